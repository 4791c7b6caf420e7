"""The section ``world`` of a scenario file."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from agent.domain.durations import Duration
from agent.domain.geometry import LatLon

Speed = Annotated[float, Field(gt=0, le=100)]
"""In m/s."""
Instant = Annotated[Duration, Field(ge=timedelta(0))]
"""From the start of the run."""


DEFAULT_AT = datetime(2026, 11, 28, 4, tzinfo=UTC)


class FrozenModel(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Stop(FrozenModel):
    """A halt at a waypoint, counted from 0."""

    at: int = Field(ge=0)
    lasts: Duration = Field(alias="for", ge=timedelta(0))


class TrackSettings(FrozenModel):
    """A way along waypoints: of a GeoJSON file, whose properties may have the other keys, or given here."""

    file: str | None = None
    """A LineString: absolute, beside the scenario, or of ``simulators/world``."""
    waypoints: Annotated[tuple[LatLon, ...], Field(min_length=2, max_length=1000)] | None = None
    speed_mps: Speed | Annotated[tuple[Speed, ...], Field(min_length=1)] | None = None
    """Along the whole way, or along each leg. Default: 5 m/s."""
    starts: Instant = Field(default=timedelta(0), validate_default=True)
    stops: tuple[Stop, ...] | None = None
    turn_radius_m: float | None = Field(default=None, ge=0, le=5000)
    """Corners are rounded to this radius, where the legs are long enough. Default: 15 m."""
    accelerates_mps2: float | None = Field(default=None, gt=0, le=20)
    """Default: 0.5 m/s²."""
    at_end: Literal["stays", "returns"] = "stays"
    """``returns``: back and forth for ever."""
    kind: Literal["vessel", "officers", "vehicle", "drone"] = "vessel"
    """Of what moves along it, where that is no device."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.file is None) == (self.waypoints is None):
            raise ValueError("a track has either a file or waypoints")
        return self


class Aboard(FrozenModel):
    """From ``at`` on the person is on what moves along ``track``."""

    track: str
    at: Instant


class PersonSettings(FrozenModel):
    """A person: walks along ``path`` to its end, or comes into a ``zone`` of a ``camera``."""

    name: str = Field(default="man", min_length=1, max_length=60)
    path: Annotated[tuple[LatLon, ...], Field(min_length=2, max_length=100)] | None = None
    zone: str | None = None
    camera: str | None = None
    device: str | None = None
    """Whose camera it is. Default: the only device with a camera of this name."""
    place: LatLon | None = None
    """Where the zone is. Default: where its camera is."""
    walks_mps: Speed = 1.3
    comes: Instant = Field(default=timedelta(0), validate_default=True)
    climbs: Instant | None = None
    """When the person is over the railing: ``person_beyond_railing`` of the truth."""
    beyond: LatLon | str | None = None
    """Where the person then stands: a position, or a zone of the camera."""
    in_water: Instant | None = None
    drifts_mps: float = Field(default=0.0, ge=0, le=5)
    drifts_deg: float = Field(default=0.0, ge=0, lt=360)
    aboard: Aboard | None = None
    leaves: Instant | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.path is None) == (self.zone is None):
            raise ValueError(f"{self.name}: give either a path, or a zone of a camera")
        if (self.zone is None) != (self.camera is None):
            raise ValueError(f"{self.name}: zone and camera go together")
        if (self.climbs is None) != (self.beyond is None):
            raise ValueError(f"{self.name}: climbs and beyond go together")
        if self.beyond is not None and isinstance(self.beyond, str) != (self.zone is not None):
            raise ValueError(f"{self.name}: beyond is a position where path is given, a zone where zone is")
        aboard = None if self.aboard is None else self.aboard.at
        order = [self.comes, self.climbs, self.in_water, aboard, self.leaves]
        given = [instant for instant in order if instant is not None]
        if given != sorted(given) or self.leaves == self.comes:
            raise ValueError(
                f"{self.name}: comes, climbs, in_water, aboard, leaves are in this order of time"
            )
        return self


class TrafficSettings(FrozenModel):
    """Ships that pass on a river: along a GeoJSON ``file``, or along a straight line through the world."""

    vessels: int = Field(default=12, ge=0, le=500)
    file: str | None = None
    course_deg: float = Field(default=60.0, ge=0, lt=360)
    """Downstream, of the straight line."""
    incidents: bool = False
    """Whether the ships of `simulators.world.incidents` are in the middle of the world too: a collision
    course, a ship torn loose, a beacon. Without any ``river_traffic`` they are."""


class WorldSettings(FrozenModel):
    """Place and time of the run, and everything that moves there."""

    lat: float | None = Field(default=None, gt=-85, lt=85)
    lon: float | None = Field(default=None, ge=-180, le=180)
    """Default: where the first device is."""
    at: AwareDatetime = DEFAULT_AT
    """The true time at the start of a run in virtual time."""
    tracks: dict[str, TrackSettings] = Field(default_factory=dict)
    people: tuple[PersonSettings, ...] = ()
    river_traffic: TrafficSettings | None = None
    waves_m: float = Field(default=0.0, ge=0, le=15)
    """Significant wave height: the mean of the highest third, from trough to crest."""
    water_m: float = Field(default=0.0, ge=-500, le=0)
    """The water's height above the ground of the fixed posts: -25 below a bridge."""
    rain: float = Field(default=0.0, ge=0, le=1)
    lit: bool = True
    """Whether cameras have lamps at night."""

    @model_validator(mode="after")
    def _place(self) -> Self:
        if (self.lat is None) != (self.lon is None):
            raise ValueError("lat and lon go together")
        return self

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [person.name for person in self.people]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two people are named {', '.join(sorted(twice))}")
        for person in self.people:
            if person.aboard is not None and person.aboard.track not in self.tracks:
                known = ", ".join(self.tracks) or "none"
                raise ValueError(f"{person.name}: unknown track {person.aboard.track!r}; known: {known}")
        return self
