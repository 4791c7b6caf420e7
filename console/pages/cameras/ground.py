"""Surveyed ground points: pixels of the picture and their positions, the fit, and how good it is. Pure but
for numpy, which the fit loads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.cli.ground_survey import ground_grid
from agent.positioning.ground_plane import ControlPoint, GroundPlane
from agent.positioning.survey_points import POOR_PX
from firmware_bridge.wgs84 import metres_per_degree

LEAST = 4
MOST = 100


@dataclass(frozen=True, slots=True)
class MarkedPoint:
    """A point of the picture (0..1), and its position once it is given."""

    x: float
    y: float
    lat: float | None = None
    lon: float | None = None

    @property
    def is_whole(self) -> bool:
        return self.lat is not None and self.lon is not None


@dataclass(frozen=True, slots=True)
class Residual:
    """How far a point is off the fit, in pixels and in metres on the ground (None above the horizon)."""

    px: float
    metres: float | None
    fitted: tuple[float, float] | None
    """Where its position lies in the picture (0..1)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The plane through the points. ``horizon`` and ``grid`` are in shares of the picture."""

    residuals: dict[int, Residual]
    """By index of the point."""
    horizon: tuple[tuple[float, float], tuple[float, float]] | None
    grid_m: int
    grid: list[list[tuple[float, float]]]
    worst: int
    """Index of the point with the largest residual."""

    @property
    def is_poor(self) -> bool:
        return self.residuals[self.worst].px > POOR_PX

    @property
    def is_exact(self) -> bool:
        """Four points always fit: no mistake can be seen."""
        return len(self.residuals) == LEAST


@dataclass(slots=True)
class GroundDrawing:
    """The points of one camera, whose picture has ``size`` pixels."""

    size: tuple[int, int] = (16, 9)
    points: list[MarkedPoint] = field(default_factory=list)
    selected: int | None = None
    file: str | None = None
    """The points in force are in this file at the device, which the page can't read."""
    kept: list[MarkedPoint] = field(default_factory=list)

    @classmethod
    def of(cls, ground: Mapping[str, Any] | None, size: tuple[int, int]) -> "GroundDrawing":
        """The points in force, read in a picture of ``ground.picture`` pixels."""
        if ground is None:
            return cls(size)
        points = ground.get("points")
        if isinstance(points, str):
            return cls(size, file=points)
        width, height = ground.get("picture") or size
        marked = [
            MarkedPoint(one["x"] / width, one["y"] / height, one["lat"], one["lon"]) for one in points or ()
        ]
        return cls(size, list(marked), kept=list(marked))

    def tap(self, x: float, y: float, corner: int | None = None) -> None:
        """Selects the point under the pointer, or marks a new one."""
        if corner is not None and corner < len(self.points):
            self.selected = corner
        elif len(self.points) < MOST:
            self.points.append(MarkedPoint(round(x, 5), round(y, 5)))
            self.selected = len(self.points) - 1

    def move(self, index: int, x: float, y: float) -> None:
        """Puts a point to another pixel."""
        if 0 <= index < len(self.points):
            self.points[index] = replace(self.points[index], x=round(x, 5), y=round(y, 5))
            self.selected = index

    def locate(self, lat: float, lon: float) -> bool:
        """Gives the selected point its position; False where none is selected or there is no such place."""
        if self.selected is None or not (math.isfinite(lat) and abs(lat) < 90 and abs(lon) <= 180):
            return False
        self.points[self.selected] = replace(self.points[self.selected], lat=round(lat, 7), lon=round(lon, 7))
        return True

    def remove(self, index: int) -> None:
        """Removes a point."""
        if 0 <= index < len(self.points):
            del self.points[index]
            self.selected = None

    @property
    def is_changed(self) -> bool:
        return self.points != self.kept

    def fit(self) -> Fit:
        """The plane through the whole points. ValueError: too few, or in a line."""
        width, height = self.size
        whole = [(index, one) for index, one in enumerate(self.points) if one.is_whole]
        points = [
            ControlPoint(one.x * width, one.y * height, float(one.lat or 0), float(one.lon or 0))
            for _, one in whole
        ]
        plane = GroundPlane(points)
        residuals = {}
        for (index, _), point, px in zip(whole, points, plane.residuals_px, strict=True):
            fitted = plane.pixel(point.lat, point.lon)
            residuals[index] = Residual(
                px, _off_m(plane, point), None if fitted is None else (fitted[0] / width, fitted[1] / height)
            )
        step, lines = ground_grid(plane, points)
        grid = [[(x / width, y / height) for x, y in line] for line in lines]
        return Fit(
            residuals,
            _horizon(plane, width, height),
            step,
            [part for line in grid for part in _inside_picture(line)],
            max(residuals, key=lambda index: residuals[index].px),
        )

    def patch(self) -> dict[str, Any] | None:
        """``ground`` of the camera: the points in pixels of the picture; None where all were removed."""
        width, height = self.size
        whole = [one for one in self.points if one.is_whole]
        if not whole:
            return None
        return {
            "picture": [width, height],
            "points": [
                {"x": round(one.x * width, 1), "y": round(one.y * height, 1), "lat": one.lat, "lon": one.lon}
                for one in whole
            ],
        }


def _off_m(plane: GroundPlane, point: ControlPoint) -> float | None:
    """Metres between a point's position and the ground at its pixel."""
    found = plane.locate(point.x, point.y)
    if found is None:
        return None
    east_m, north_m = metres_per_degree(point.lat)
    return math.hypot((found.lat - point.lat) * north_m, (found.lon - point.lon) * east_m)


def _horizon(
    plane: GroundPlane, width: int, height: int
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    left, right = plane.horizon_y(0), plane.horizon_y(width)
    if left is None or right is None or not (-1 <= left / height <= 2 and -1 <= right / height <= 2):
        return None
    return (0.0, left / height), (1.0, right / height)


def _inside_picture(line: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The parts of a line within the picture or just outside."""
    parts: list[list[tuple[float, float]]] = [[]]
    for x, y in line:
        if -0.2 <= x <= 1.2 and -0.2 <= y <= 1.2:
            parts[-1].append((round(x, 4), round(y, 4)))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if len(part) > 1]
