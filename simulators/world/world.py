"""The world of one run: where each device, person, ship and drone truly is at a second."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from firmware_bridge.wgs84 import Plane, Position
from simulators.world.daylight import sun_elevation_deg
from simulators.world.gnss_error import circle_at
from simulators.world.incidents import senders
from simulators.world.mission import Mission
from simulators.world.people import Person, PersonState
from simulators.world.river import Ship, make_ships, straight_line
from simulators.world.settings import PersonSettings, WorldSettings
from simulators.world.tracks import Motion, Track, find_file, make_track, read_line
from simulators.world.waves import Waves

PLANE_APART_M = 3.0
"""Devices without a place stand in a row beside the middle of the world, so far apart."""


@dataclass(frozen=True)
class PlacedDevice:
    """What the world needs of a device: its configuration, and how it moves.

    ``moves``: the name of a track. ``start``: where it begins that has neither a track nor a place; it goes
    round on a circle at ``speed_mps``.
    """

    config: Mapping[str, Any]
    moves: str | None = None
    start: Position | None = None
    speed_mps: float = 0.0

    @property
    def place(self) -> Position | None:
        """Where it is installed."""
        place = self.config.get("place") or {}
        lat, lon = place.get("lat"), place.get("lon")
        return None if lat is None or lon is None else (float(lat), float(lon))

    def source(self, name: str) -> Mapping[str, Any]:
        """The configuration of a source."""
        source: Mapping[str, Any] = self.config["sources"][name]
        return source

    def sources(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Its sources of a kind."""
        sources: Mapping[str, Mapping[str, Any]] = self.config.get("sources") or {}
        return {name: source for name, source in sources.items() if source.get("kind") == kind}


@dataclass(frozen=True)
class WorldObject:
    """Something that is no device. ``kind``: person, vessel, drone, officers, vehicle."""

    name: str
    kind: str
    motion: Motion
    phase: str | None = None
    """Of a person."""
    length_m: float | None = None
    """Of a vessel."""


@dataclass(frozen=True)
class World:
    """Pure: each answer depends on the arguments and the seed only. ValueError, OSError while it is made:
    what does not fit. ``folder``: of the scenario, for its track files."""

    settings: WorldSettings = field(default_factory=WorldSettings)
    seed: int = 0
    devices: Mapping[str, PlacedDevice] = field(default_factory=dict)
    folder: Path | None = None

    def __post_init__(self) -> None:
        for name, device in self.devices.items():
            if device.moves is not None and device.moves not in self.tracks:
                known = ", ".join(self.tracks) or "none"
                raise ValueError(f"{name} moves along {device.moves!r}, which is no track; known: {known}")
        for known_later in (self.tracks, self.people, self.ships):
            len(known_later)

    @cached_property
    def tracks(self) -> dict[str, Track]:
        return {name: make_track(one, self.folder) for name, one in self.settings.tracks.items()}

    @cached_property
    def middle(self) -> Position:
        """Where the world is."""
        if self.settings.lat is not None and self.settings.lon is not None:
            return self.settings.lat, self.settings.lon
        known = (device.start or device.place for device in self.devices.values())
        first = next((one for one in known if one is not None), None)
        return first or next((track.at(0).position for track in self.tracks.values()), (0.0, 0.0))

    @cached_property
    def people(self) -> tuple[Person, ...]:
        return tuple(self._person(one) for one in self.settings.people)

    @cached_property
    def ships(self) -> tuple[Ship, ...]:
        traffic = self.settings.river_traffic
        if traffic is None:
            return ()
        if traffic.file is not None:
            line, _ = read_line(find_file(traffic.file, self.folder))
        else:
            line = straight_line(*self.middle, traffic.course_deg)
        return make_ships(line, traffic.vessels, self.seed)

    @property
    def has_incidents(self) -> bool:
        """Whether the ships of `simulators.world.incidents` are around the middle."""
        return self.settings.river_traffic is None or self.settings.river_traffic.incidents

    @cached_property
    def waves(self) -> Waves:
        return Waves(self.settings.waves_m, self.seed)

    @cached_property
    def missions(self) -> dict[str, Mission]:
        """By ground station: the mission of its drone."""
        return {
            name: Mission(*self.motion(name, 0).position)
            for name, device in self.devices.items()
            if device.sources("mavlink")
        }

    def motion(self, device: str, second: float) -> Motion:
        """Where a device is."""
        placed = self.devices[device]
        if placed.moves is not None:
            return self.tracks[placed.moves].at(second)
        start = placed.start or placed.place
        if start is not None:
            return circle_at(second, lat=start[0], lon=start[1], speed_mps=placed.speed_mps)
        number = list(self.devices).index(device)
        return Motion(*Plane(*self.middle).position(PLANE_APART_M * number, 0.0))

    def stands(self, device: str) -> bool:
        """Whether a device never moves."""
        return self.devices[device].moves is None and not self.devices[device].speed_mps

    def floats(self, device: str) -> bool:
        """Whether the waves move a device."""
        domain = (self.devices[device].config.get("place") or {}).get("domain")
        return domain == "water" and not self.stands(device)

    def camera_of(self, person: PersonSettings) -> tuple[str, str]:
        """Device and source of the camera in whose zone a person stands. ValueError: none, or several."""
        found = [
            (name, source)
            for name, device in self.devices.items()
            for source in device.sources("camera")
            if source == person.camera and person.device in (None, name)
        ]
        if len(found) != 1:
            several = "several devices have it: name the device" if found else "no device has it"
            raise ValueError(f"{person.name}: camera {person.camera!r}: {several}")
        return found[0]

    def objects(self, second: float) -> Iterator[WorldObject]:
        """People, ships, drones, and what moves along a track that is no device's."""
        for person in self.people:
            if (state := person.at(second)) is not None:
                yield WorldObject(state.name, "person", state.motion, state.phase)
        taken = {device.moves for device in self.devices.values()}
        for name, track in self.tracks.items():
            if name not in taken:
                yield WorldObject(name, self.settings.tracks[name].kind, track.at(second))
        for ship in self.ships:
            report = ship.report
            yield WorldObject(str(report.mmsi), "vessel", ship.at(second), length_m=report.length_m)
        if self.settings.river_traffic is not None and self.has_incidents:
            for sender in senders(self.seed):
                if (found := sender.motion(second, *self.middle)) is not None:
                    yield WorldObject(str(sender.report.mmsi), sender.kind, found)
        for name, mission in self.missions.items():
            yield WorldObject(f"{name}.drone", "drone", mission.motion(second))

    def person_states(self, second: float) -> Iterator[tuple[Person, PersonState]]:
        """The people who are there."""
        for person in self.people:
            if (state := person.at(second)) is not None:
                yield person, state

    def events(self) -> list[tuple[float, dict[str, Any]]]:
        """All events of the world, in order of time: second and fields, first of them ``event``."""
        found: list[tuple[float, dict[str, Any]]] = []
        for person in self.people:
            found += [
                (second, {"event": event, "object": person.settings.name})
                for second, event in person.events()
            ]
        for name, track in self.tracks.items():
            movers = [{"device": one} for one, device in self.devices.items() if device.moves == name]
            for whose in movers or [{"object": name}]:
                found.append((track.starts_s, {"event": "track_begins", **whose}))
                found.append((track.starts_s + track.duration_s, {"event": "track_ends", **whose}))
        return sorted(found, key=lambda one: one[0])

    def at(self, second: float) -> datetime:
        """The true time at a second of a run in virtual time."""
        return self.settings.at.astimezone(UTC) + timedelta(seconds=second)

    def sun_deg(self, second: float) -> float:
        """The elevation of the sun."""
        return sun_elevation_deg(self.at(second), *self.middle)

    def _person(self, settings: PersonSettings) -> Person:
        place = self.middle
        if settings.zone is not None:
            device, source = self.camera_of(settings)
            zones = self.devices[device].sources("camera")[source].get("zones") or {}
            for zone in (settings.zone, settings.beyond):
                if isinstance(zone, str) and zone not in zones:
                    known = ", ".join(zones) or "none"
                    raise ValueError(f"{settings.name}: {source} has no zone {zone!r}; known: {known}")
            place = self.motion(device, 0).position
        boat = None if settings.aboard is None else self.tracks[settings.aboard.track].at
        return Person(settings, place, boat)
