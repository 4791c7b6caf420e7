"""The scenario file as frozen models, ``schema: ringpost-scenario/1``. `loader` reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, model_validator

from agent.domain.durations import Duration
from simulators.scenario.device_config import LINES, completed_config
from simulators.scenario.expected import Expectation, Never, Sometimes
from simulators.scenario.step import Step, is_of_device
from simulators.world.settings import WorldSettings
from simulators.world.world import PlacedDevice, World

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Lat = Annotated[float, Field(ge=-90, le=90)]
Lon = Annotated[float, Field(ge=-180, le=180)]
Clock = Literal["virtual", "real"]
Hardware = Literal["receiver", "board", "boat", "drone", "camera"]
HARDWARE: dict[str, Hardware] = {
    "nmea": "receiver",
    "ubx": "receiver",
    "sensor_board": "board",
    "ais": "boat",
    "mavlink": "drone",
    "camera": "camera",
}
"""The simulated hardware of a source by its kind; a device's ``hardware`` overrides it."""


class FrozenModel(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Start(FrozenModel):
    """The first position of a device that moves without a track: on a circle at ``speed_mps``."""

    lat: Lat
    lon: Lon
    speed_mps: float = Field(default=0.0, ge=0, le=100)


class DeviceSettings(FrozenModel):
    """One device. Its configuration is written here, or in the file that ``config`` names.

    In it ``{broker}``, ``{folder}`` and ``{camera}`` are filled in; ``device``, ``schema_version`` and
    ``broker`` may be absent.
    """

    config: dict[str, Any] | str
    moves: Name | None = None
    """A track of the world; without it the device stays at its place, or begins at ``start``."""
    start: Start | None = None
    hardware: dict[str, Hardware] = Field(default_factory=dict)
    """By source, where `HARDWARE` does not fit: ``{ais: boat}`` for the instruments of a boat over NMEA."""

    def hardware_of(self, source: str) -> Hardware | None:
        """The simulated hardware of a source; None where there is none for its kind."""
        settings = self.sources().get(source, {})
        return self.hardware.get(source) or HARDWARE.get(str(settings.get("kind")))

    @property
    def tree(self) -> Mapping[str, Any]:
        """The configuration as written; empty while only its file is named: `loader` reads it."""
        return {} if isinstance(self.config, str) else self.config

    def sources(self) -> Mapping[str, Mapping[str, Any]]:
        """The sources as the configuration writes them."""
        return self.tree.get("sources") or {}

    def start_position(self) -> Start | None:
        """The first position; None where neither ``start`` nor the place gives one."""
        place = self.tree.get("place") or {}
        if self.start is None and isinstance(place.get("lat"), int | float):
            return Start(lat=place["lat"], lon=place["lon"])
        return self.start


class ExceptInvariant(FrozenModel):
    """An invariant that this scenario breaks on purpose."""

    name: str
    reason: str


class Invariants(FrozenModel):
    """The invariants of `simulators.checker`: all but those excepted, or only the named ones."""

    only: tuple[str, ...] = ()
    excepted: tuple[ExceptInvariant, ...] = Field(default=(), alias="except")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if value == "default":
            return {}
        return {"only": value} if isinstance(value, list | tuple) else value


class CentreSettings(FrozenModel):
    """``workers``: the processes of the centre; several share what wants a receipt (`centre.worker`)."""

    workers: int = Field(default=1, ge=1, le=16)


class Scenario(FrozenModel):
    """One scenario: world, devices, timeline, and what must, must never and must once happen."""

    schema_: Literal["ringpost-scenario/1"] = Field(alias="schema")
    name: Name
    about: str = Field(default="", max_length=2000)
    """What happens, for people; default: the comment at the head of the file."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    clock: Clock = "virtual"
    duration: Duration
    world: WorldSettings = WorldSettings()
    centre: CentreSettings = CentreSettings()
    devices: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")], DeviceSettings] = Field(
        min_length=1, max_length=5000
    )
    timeline: tuple[Step, ...] = Field(default=(), max_length=5000)
    expect: tuple[Expectation, ...] = Field(default=(), max_length=1000)
    never: tuple[Never, ...] = Field(default=(), max_length=1000)
    sometimes: tuple[Sometimes, ...] = Field(default=(), max_length=1000)
    invariants: Invariants = Invariants()
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _the_only_device(cls, value: Any) -> Any:
        """Where there is one device, steps and expectations need not name it."""
        devices = value.get("devices") if isinstance(value, Mapping) else None
        if not isinstance(devices, Mapping) or len(devices) != 1:
            return value
        (device,) = devices

        def named(key: str) -> Any:
            entries = value.get(key)
            if not isinstance(entries, list | tuple):
                return entries
            return [
                {"device": device, **one}
                if isinstance(one, Mapping) and (key != "timeline" or is_of_device(one))
                else one
                for one in entries
            ]

        return {**value, **{key: named(key) for key in ("timeline", "expect", "never") if key in value}}

    @property
    def device(self) -> DeviceSettings:
        """The first device: of a scenario that has only one."""
        return next(iter(self.devices.values()))

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return self.duration.total_seconds()

    @property
    def folder(self) -> Path | None:
        """Of its file."""
        return self._folder

    def within(self, folder: Path) -> "Scenario":
        """The scenario of a file in ``folder``, which may have its track files."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def make_world(self) -> World:
        """Its world. ValueError or OSError: what does not fit."""
        placed = {}
        for name, one in self.devices.items():
            start = None if one.start is None else (one.start.lat, one.start.lon)
            speed_mps = 0.0 if one.start is None else one.start.speed_mps
            config = completed_config(name, one.tree, broker_url="", folder=LINES / name)
            placed[name] = PlacedDevice(config, moves=one.moves, start=start, speed_mps=speed_mps)
        return World(self.world, self.seed, placed, self._folder)

    def step_named(self, name: str) -> tuple[int, Step]:
        """Number and step. KeyError."""
        for number, step in enumerate(self.timeline):
            if step.name == name:
                return number, step
        raise KeyError(name)
