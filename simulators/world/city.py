"""A whole city of devices in an invented place: the same for the same seed.

The numbers are those of a real city of nine million people: 33 + 9 + 38 + 33 + 486 + 191 posts on three
rings, 4 river stations with boats on 98 km of river, 20 drone teams and 1,032 watch points. What each of the
first six stands for (`GROUPS`) is an assumption; so is the number of boats of a station.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from firmware_bridge.wgs84 import Plane, Position
from simulators.world.settings import TrackSettings, WorldSettings
from simulators.world.world import PlacedDevice, World

MIDDLE: Position = (33.0, 170.0)
"""In the open ocean: no real place is meant."""
PLANE = Plane(*MIDDLE)
RIVER_M = 98_000.0
STATIONS, BOATS_OF_STATION = 4, 2
DISTRICTS = (
    "amberfield", "coldquay", "dunmoor", "eastlock", "fernbank", "greywharf", "hightarn", "ironmere",
    "juniper-hill", "kingsferry", "larkmead",
)  # fmt: skip
EDGE_M: Mapping[str, tuple[float, float]] = {
    "perimeter": (26_000.0, 34_000.0), "ring_road": (9_500.0, 10_500.0), "inner_city": (300.0, 8_500.0),
}  # fmt: skip
"""The distance of a post from the middle of the city by its ring, least and most."""

Ring = Literal["perimeter", "ring_road", "inner_city"]
CityKind = Literal["checkpoint_camera", "metro_post", "watch_point", "patrol_boat", "drone_ground_station"]


@dataclass(frozen=True, slots=True)
class Group:
    """Posts of one sort."""

    count: int
    name: str
    kind: CityKind
    ring: Ring
    domain: str
    meaning: str


GROUPS = (
    Group(33, "gate", "checkpoint_camera", "perimeter", "ground", "checkpoints on the roads into the city"),
    Group(9, "lock", "checkpoint_camera", "perimeter", "water", "checkpoints on the waterways into the city"),
    Group(
        38, "ramp", "checkpoint_camera", "ring_road", "ground", "checkpoints at the ramps of the ring road"
    ),
    Group(33, "crossing", "checkpoint_camera", "ring_road", "between", "bridges and tunnels"),
    Group(486, "street", "checkpoint_camera", "inner_city", "ground", "posts at streets and squares"),
    Group(191, "metro", "metro_post", "inner_city", "underground", "metro stations"),
    Group(STATIONS, "river", "watch_point", "inner_city", "water", "river stations"),
    Group(STATIONS * BOATS_OF_STATION, "boat", "patrol_boat", "inner_city", "water", "their boats"),
    Group(20, "drone", "drone_ground_station", "ring_road", "air", "drone teams"),
    Group(1032, "watch", "watch_point", "inner_city", "ground", "watch points"),
)
TOTAL = sum(group.count for group in GROUPS)


@dataclass(frozen=True, slots=True)
class City:
    """The devices by name, and the world that they are in."""

    settings: WorldSettings
    devices: Mapping[str, PlacedDevice]

    def world(self, seed: int) -> World:
        return World(self.settings, seed, self.devices)

    def scenario_devices(self) -> dict[str, dict[str, Any]]:
        """The section ``devices`` of a scenario file."""
        return {
            name: {"config": dict(device.config)} | ({"moves": device.moves} if device.moves else {})
            for name, device in self.devices.items()
        }


def make_city(seed: int, share: float = 1.0, cameras: float = 0.0) -> City:
    """The city, or a ``share`` of each group (at least one device of each).

    ``cameras``: the share of checkpoints with a camera; all others have a sensor board only: it costs less.
    """
    devices: dict[str, PlacedDevice] = {}
    tracks: dict[str, TrackSettings] = {}
    for group in GROUPS:
        for number in range(max(1, round(group.count * share))):
            name = f"{group.name}-{number + 1:04d}"
            chance = random.Random(f"city {seed} {name}")
            moves = None
            if group.kind == "patrol_boat":
                moves = name
                tracks[name] = _patrol(number % STATIONS, chance)
            devices[name] = PlacedDevice(_config(name, group, number, cameras, chance), moves)
    return City(WorldSettings(lat=MIDDLE[0], lon=MIDDLE[1], tracks=tracks), devices)


def river_at(along_m: float) -> Position:
    """A position on the river, so far from its west end; it winds through the middle of the city."""
    east = along_m - RIVER_M / 2
    return PLANE.position(east, 2_500 * math.sin(east / 4_500) + 400 * math.sin(east / 1_150))


def _patrol(station: int, chance: random.Random) -> TrackSettings:
    """The stretch of a station, up and down."""
    length_m = RIVER_M / STATIONS
    marks = [station * length_m + chance.uniform(0, 500) + step * length_m / 12 for step in range(12)]
    return TrackSettings(
        waypoints=tuple(river_at(mark) for mark in (marks if chance.random() < 0.5 else marks[::-1])),
        speed_mps=round(chance.uniform(4, 11), 1),
        turn_radius_m=150,
        at_end="returns",
    )


def _place(group: Group, number: int, chance: random.Random) -> Position:
    if group.name == "river":
        return river_at((number + 0.5) * RIVER_M / STATIONS)
    if group.domain == "water":
        return river_at(chance.choice((0.04, 0.96)) * RIVER_M + chance.uniform(-3_000, 3_000))
    nearest, furthest = EDGE_M[group.ring]
    # as many on each square kilometre; posts on a ring are evenly around it
    radius = math.sqrt(chance.uniform(nearest**2, furthest**2))
    turn = math.tau * (
        chance.random() if group.ring == "inner_city" else (number + chance.random()) / group.count
    )
    return PLANE.position(radius * math.sin(turn), radius * math.cos(turn))


def _config(name: str, group: Group, number: int, cameras: float, chance: random.Random) -> dict[str, Any]:
    """A small configuration of the kind."""
    district = DISTRICTS[chance.randrange(len(DISTRICTS))]
    place: dict[str, Any] = {
        "ring": group.ring, "domain": group.domain, "site": district, "post": name,
        "timezone": "Asia/Shanghai",
    }  # fmt: skip
    if group.kind != "patrol_boat":
        place["lat"], place["lon"] = (round(one, 6) for one in _place(group, number, chance))
    with_camera = group.kind == "checkpoint_camera" and number < round(cameras * group.count)
    return {
        "kind": group.kind,
        "place": place,
        "duty": {"unit": f"{district}-1", "responsible": "shift-a"},
        "data": {"max_mb": 32},
        "sources": dict(_sources(group.kind, with_camera)),
        "rules": dict(_rules(group.kind, with_camera)),
    }


def _sources(kind: CityKind, with_camera: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "board", {"kind": "sensor_board", "port": "{folder}/board", "outputs": ["siren", "light"]}
    if with_camera:
        zones = {
            "rail": [[0.3, 0.5], [0.5, 0.5], [0.5, 1.0], [0.3, 1.0]],
            "over": [[0.5, 0.5], [0.7, 0.5], [0.7, 1.0], [0.5, 1.0]],
        }
        camera = {"kind": "camera", "url": "{camera}", "purpose": "public safety", "fps": 2, "zones": zones}
        yield "cam1", camera | {"detector": {"labels": ["person"]}}
    if kind == "patrol_boat":
        yield "gnss", {"kind": "nmea", "port": "{folder}/gnss", "baud": 9600}
    if kind == "drone_ground_station":
        yield "radio", {"kind": "mavlink", "port": "{folder}/radio"}


def _rules(kind: CityKind, with_camera: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    yield (
        "panic",
        {
            "kind": "switch",
            "source": "board",
            "name": "panic_button",
            "severity": "critical",
            "need_ack": True,
        },
    )
    yield "tamper", {"kind": "switch", "source": "board", "name": "tamper", "severity": "warning"}
    yield "board-silent", {"kind": "silence", "source": "board", "after": "15s"}
    if with_camera:
        yield (
            "over-railing",
            {"kind": "beyond_railing", "camera": "cam1", "zone": "over", "where": "the railing"},
        )
        yield "camera-blind", {"kind": "blind", "camera": "cam1", "after": "10s"}
    if kind == "patrol_boat":
        yield "receiver-silent", {"kind": "silence", "source": "gnss", "after": "10s"}
    if kind == "drone_ground_station":
        yield "drone-lost", {"kind": "drone_lost", "source": "radio", "after": "10s", "severity": "critical"}
