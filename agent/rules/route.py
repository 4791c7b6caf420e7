"""The device is off its route."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, PrivateAttr

from agent.domain.geometry import from_path
from agent.domain.site import Site
from agent.domain.yaml_loader import BadConfig, line_of, load_yaml
from agent.rules.position_rule import EXIT_MARGIN, DistanceMeasure, PositionRule
from firmware_bridge.regular_files import read_regular
from firmware_bridge.secret import NearPath
from firmware_bridge.wgs84 import Metres, Plane

MAX_BYTES = 1024 * 1024
PARTS = {
    "FeatureCollection": "features",
    "GeometryCollection": "geometries",
    "MultiLineString": "coordinates",
}
WGS84 = ("CRS84", "4326", "4490")

Leg: TypeAlias = tuple[tuple[float, float], ...]
"""Positions in order, each latitude and longitude."""
Steps: TypeAlias = tuple[str | int, ...]


class Route(PositionRule):
    """A finding while the device is farther than ``corridor_m`` from its route, the lines in a GeoJSON file.

    Without ``path`` the file is that of ``duty.route``; it is read with the configuration.
    """

    kind: Literal["route"] = "route"
    path: NearPath | None = None
    corridor_m: float = Field(default=100, gt=0, le=100_000)
    """The allowed distance to each side."""

    _legs: tuple[Leg, ...] = PrivateAttr(default=())

    def resolve(self, site: Site) -> Self:
        rule = super().resolve(site)
        path = rule.path or site.route
        if path is None:
            raise ValueError("which route? give path, or duty.route")
        rule = rule.model_copy(update={"path": path})
        rule._legs = read_route(path)
        return rule

    def distance_measure(self) -> tuple[DistanceMeasure, float]:
        middle = Plane(*self._legs[0][0])
        legs: list[list[Metres]] = [[middle.metres(*position) for position in leg] for leg in self._legs]

        def measure(lat: float, lon: float) -> float:
            point = middle.metres(lat, lon)
            return min(from_path(point, leg) for leg in legs) - self.corridor_m

        return measure, EXIT_MARGIN * self.corridor_m

    def violation(self, outside: bool, _at: datetime) -> str | None:
        return "off_route" if outside else None

    def text(self, _violation: str, off_m: float) -> str:
        return f"{off_m + self.corridor_m:.0f} m off {self.where or 'the route'}"


def read_route(path: Path) -> tuple[Leg, ...]:
    """The lines of a GeoJSON file. ValueError with ``FILE:LINE: message`` if it is invalid."""
    try:
        data = read_regular(path, MAX_BYTES)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    try:
        text = data.decode()
        tree = json.loads(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}:{data[: error.start].count(10) + 1}: not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: no GeoJSON: {error.msg}") from error
    except RecursionError:
        raise ValueError(f"{path}: nested too deep") from None
    legs = []
    for steps, found in _lines(tree, ()):
        problem = found if isinstance(found, str) else _problem(found)
        if problem is not None:
            raise ValueError(f"{path}:{_line(text, steps)}: {problem}")
        legs.append(tuple((float(one[1]), float(one[0])) for one in found))
    if not legs:
        raise ValueError(f"{path}: no LineString in it")
    return tuple(legs)


def _lines(node: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    """The coordinates of each line in a GeoJSON object, with its path; an error text where it is invalid."""
    if not isinstance(node, dict):
        yield steps, "no GeoJSON object"
        return
    crs = str(node.get("crs") or "CRS84")
    if not any(name in crs for name in WGS84):
        yield (*steps, "crs"), "positions must be WGS-84 (EPSG:4326)"
        return
    kind = node.get("type")
    held = PARTS.get(str(kind))
    parts = node.get(held) if held else None
    if held is not None and not isinstance(parts, list):
        yield steps, f"a {kind} has a list of {held}"
    elif kind == "Feature":
        yield from _lines(node.get("geometry"), (*steps, "geometry"))
    elif kind == "LineString":
        yield (*steps, "coordinates"), node.get("coordinates")
    elif held is not None:
        for index, part in enumerate(parts or ()):
            way = (*steps, held, index)
            yield from [(way, part)] if kind == "MultiLineString" else _lines(part, way)
    elif kind not in ("Point", "MultiPoint", "Polygon", "MultiPolygon"):
        yield (*steps, "type"), "no type of GeoJSON"


def _problem(line: Any) -> str | None:
    """What is wrong with the coordinates of a line, or None."""
    if not isinstance(line, list) or len(line) < 2:
        return "a line has two positions or more, each [longitude, latitude]"
    for one in line:
        numbers = (
            isinstance(one, list) and len(one) >= 2 and all(type(number) in (int, float) for number in one)
        )
        if not numbers:
            return "no position; GeoJSON writes [longitude, latitude]"
        if not (-180 <= one[0] <= 180 and -90 <= one[1] <= 90):
            return "a position that is nowhere on Earth; GeoJSON writes the longitude first"
    return None


def _line(text: str, steps: Steps) -> int:
    """The line number of the path ``steps``; JSON is YAML too, and the YAML reader keeps lines."""
    try:
        return line_of(load_yaml(text, ""), steps)
    except BadConfig:
        return 1
