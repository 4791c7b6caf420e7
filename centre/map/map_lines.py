"""Rivers, roads and other lines of a map, from GeoJSON files. Blocking: reads files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agent.runtime.sanitize import as_dict, as_list
from centre.map.field_values import name, number
from firmware_bridge.regular_files import read_regular

MAX_BYTES = 64 * 1024 * 1024
MAX_POINTS = 500_000
Position: TypeAlias = tuple[float, float]
"""Latitude and longitude in degrees; GeoJSON has them the other way round."""


@dataclass(frozen=True, slots=True)
class NamedLine:
    """A line with its name, which may be empty."""

    name: str
    points: tuple[Position, ...]


def read_geojson(path: Path) -> dict[str, Any]:
    """The object in a GeoJSON file. OSError; ValueError with one line."""
    try:
        found = json.loads(read_regular(path, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not GeoJSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise ValueError(f"{path}: not GeoJSON: it has to be an object with a type")
    return found


def read_lines(path: Path) -> tuple[NamedLine, ...]:
    """The lines of a GeoJSON file, and the outlines of its polygons. OSError; ValueError with one line."""
    lines = tuple(_lines(read_geojson(path), path))
    if not lines:
        raise ValueError(f"{path}: has no LineString")
    if sum(len(line.points) for line in lines) > MAX_POINTS:
        raise ValueError(f"{path}: more than {MAX_POINTS} points: simplify it")
    return lines


def _lines(found: dict[str, Any], path: Path) -> Iterator[NamedLine]:
    features = as_list(found.get("features")) if found["type"] == "FeatureCollection" else [found]
    for feature in map(as_dict, features):
        geometry = as_dict(feature.get("geometry")) or feature
        label = name(as_dict(feature.get("properties")).get("name"))
        coordinates = as_list(geometry.get("coordinates"))
        match geometry.get("type"):
            case "LineString":
                parts = [coordinates]
            case "MultiLineString" | "Polygon":
                parts = coordinates
            case "MultiPolygon":
                parts = [ring for polygon in coordinates for ring in as_list(polygon)]
            case _:
                parts = []
        for part in parts:
            points = tuple(_position(point, path) for point in as_list(part))
            if len(points) >= 2:
                yield NamedLine(label, points)


def _position(point: object, path: Path) -> Position:
    east, north = (*as_list(point), None, None)[:2]
    lat, lon = number(north, -90, 90), number(east, -180, 180)
    if lat is None or lon is None:
        raise ValueError(
            f"{path}: {str(point)[:60]} is not a position: write [longitude, latitude] in degrees"
        )
    return lat, lon
