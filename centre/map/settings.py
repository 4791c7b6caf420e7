"""``map.yaml``: what the map shows below the forces, and how fast they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.domain.geometry import LatLon
from agent.domain.schedule import ZoneName
from agent.domain.yaml_loader import BadConfig, Problem, alternatives, line_of, load_yaml, read_text

MAX_FILES = 32


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pmtiles(_Section):
    """One file with all tiles."""

    kind: Literal["pmtiles"]
    file: Path


class GeojsonBase(_Section):
    """Areas and lines, drawn as they are."""

    kind: Literal["geojson"]
    files: tuple[Path, ...] = Field(min_length=1, max_length=MAX_FILES)


class TileFolder(_Section):
    """``{z}/{x}/{y}.png`` below a folder."""

    kind: Literal["tiles"]
    folder: Path
    suffix: Literal["png", "jpg", "webp"] = "png"
    max_zoom: int = Field(default=16, ge=0, le=22)


class Grid(_Section):
    """A plain grid."""

    kind: Literal["none"] = "none"


class Speed(_Section):
    """How the people or the craft of a kind of device move. m/s and seconds."""

    by: Literal["water", "air", "road", "foot", "stays"]
    mps: float = Field(default=1.8, gt=0, le=150)
    ready_s: float = Field(default=0, ge=0, le=3600)
    """From the call to the departure."""
    detour: float = Field(default=1.0, ge=1, le=5)
    """The way as a multiple of the straight line; not on the water, where the river line gives it."""


SPEEDS: Mapping[str, Speed] = {
    "patrol_boat": Speed(by="water", mps=12.0, ready_s=15.0),
    "drone_ground_station": Speed(by="air", mps=15.0, ready_s=30.0),
    "checkpoint_camera": Speed(by="road", mps=8.0, ready_s=30.0, detour=1.4),
    "metro_post": Speed(by="foot", mps=1.8, ready_s=15.0, detour=1.3),
    "watch_point": Speed(by="foot", mps=1.8, ready_s=15.0, detour=1.3),
}
"""Where ``speeds`` does not name a kind."""
DEFAULT_SPEED = Speed(by="foot", mps=1.8, ready_s=30.0, detour=1.3)


class MapSettings(_Section):
    """All of ``map.yaml``; every key has a default."""

    schema_version: Literal[1] = 1
    title: str = Field(default="", max_length=100)
    center: LatLon | None = None
    """Without it: where the forces are."""
    zoom: float = Field(default=12, ge=1, le=20)
    base: Annotated[Pmtiles | GeojsonBase | TileFolder | Grid, Field(discriminator="kind")] = Grid()
    attribution: str = Field(default="", max_length=300)
    rivers: tuple[Path, ...] = Field(default=(), max_length=MAX_FILES)
    """GeoJSON files of lines with names: boats go along them."""
    roads: tuple[Path, ...] = Field(default=(), max_length=MAX_FILES)
    shore_m: float = Field(default=200, ge=0, le=10_000)
    """A boat helps up to this far from a river line."""
    speeds: dict[str, Speed] = Field(default_factory=dict, max_length=64)
    """By kind of device."""
    rings: tuple[str, ...] = Field(default=("inner_city", "ring_road", "perimeter"), max_length=16)
    """In the order of the filters."""
    minutes: tuple[Annotated[float, Field(gt=0, le=120)], ...] = Field(
        default=(1, 3, 5), min_length=1, max_length=6
    )
    """After an alert, when forces should be there."""
    timezone: ZoneName = "UTC"
    units: Literal["metric", "nautical", "imperial"] = "metric"
    roles: Path | None = None
    """The roles document: whose keys may hand alerts over and note something."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def speed(self, kind: str) -> Speed:
        """How a kind of device moves."""
        return self.speeds.get(kind) or SPEEDS.get(kind, DEFAULT_SPEED)


def load_settings(path: Path) -> MapSettings:
    """The settings in a file; paths in it are below its folder. OSError; BadConfig with one line."""
    return parse_settings(read_text(path), str(path), path.parent)


def parse_settings(text: str, file: str, folder: Path) -> MapSettings:
    """The settings in ``text``. BadConfig with one line; a file that is missing is a mistake too."""
    tree = load_yaml(text, file)
    try:
        settings = MapSettings.model_validate(tree)
    except ValidationError as error:
        raise BadConfig([_problem(error.errors(include_url=False)[0], tree)], file) from error
    placed = _placed(settings, folder)
    for where, found in _files(placed):
        if not found.exists():
            raise BadConfig([Problem(line_of(tree, where), ".".join(where), f"{found}: no such file")], file)
    return placed


def _files(settings: MapSettings) -> list[tuple[tuple[str, ...], Path]]:
    """Each file that the settings name, with its path in the settings."""
    found: list[tuple[tuple[str, ...], Path]] = []
    match settings.base:
        case Pmtiles(file=file):
            found.append((("base", "file"), file))
        case GeojsonBase(files=files):
            found += [(("base", "files"), file) for file in files]
        case TileFolder(folder=folder):
            found.append((("base", "folder"), folder))
    found += [(("rivers",), file) for file in settings.rivers]
    found += [(("roads",), file) for file in settings.roads]
    return found if settings.roles is None else [*found, (("roles",), settings.roles)]


def _placed(settings: MapSettings, folder: Path) -> MapSettings:
    """The settings with all paths below ``folder``; absolute ones stay."""

    def at(path: Path) -> Path:
        return folder / path.expanduser()

    base: Any = settings.base
    match base:
        case Pmtiles():
            base = base.model_copy(update={"file": at(base.file)})
        case GeojsonBase():
            base = base.model_copy(update={"files": tuple(map(at, base.files))})
        case TileFolder():
            base = base.model_copy(update={"folder": at(base.folder)})
    return settings.model_copy(
        update={
            "base": base,
            "rivers": tuple(map(at, settings.rivers)),
            "roads": tuple(map(at, settings.roads)),
            "roles": None if settings.roles is None else at(settings.roles),
        }
    )


def _problem(detail: Any, tree: Any) -> Problem:
    """A pydantic error as one line, with the line of the file."""
    path = [str(step) for step in detail["loc"] if step not in ("pmtiles", "geojson", "tiles", "none")]
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden" and len(path) == 1:
        message = f"unknown key; {alternatives(path[0], MapSettings.model_fields)}"
    elif detail["type"] == "extra_forbidden":
        message = "unknown key"
    elif detail["type"] == "union_tag_invalid":
        path.append("kind")
        message = "write pmtiles, geojson, tiles or none"
    elif detail["type"] == "missing":
        message = "is required"
    return Problem(line_of(tree, path), ".".join(path), message[0].lower() + message[1:])
