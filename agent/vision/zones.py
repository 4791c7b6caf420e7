"""Zones: polygons in a picture, in fractions of its width and height, and who stands in them. Pure."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from models.detection import Box

Corner: TypeAlias = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]


def _simple(corners: list[Corner]) -> list[Corner]:
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in edges) / 2
    if any(_cross(*one, *other) for one, other in combinations(edges, 2)):
        raise ValueError("the outline crosses itself; give its corners in order")
    if abs(area) < 1e-4:
        raise ValueError("the corners enclose no area")
    return corners


Zone = Annotated[list[Corner], Field(min_length=3, max_length=64), AfterValidator(_simple)]
"""A polygon's corners in order, each [from the left, from the top] in 0..1."""


def zones_of(box: Box, zones: Mapping[str, Sequence[Corner]]) -> tuple[str, ...]:
    """The zones in which the foot of a box (the middle of its lower edge) stands."""
    foot = ((box[0] + box[2]) / 2, min(box[3], 0.9999))
    return tuple(name for name, corners in zones.items() if _inside(foot, corners))


def _inside(point: Corner, corners: Sequence[Corner]) -> bool:
    """Even-odd rule."""
    x, y = point
    inside = False
    before = corners[-1]
    for corner in corners:
        if (corner[1] > y) != (before[1] > y):
            at = (before[0] - corner[0]) * (y - corner[1]) / (before[1] - corner[1]) + corner[0]
            inside ^= x < at
        before = corner
    return inside


def _cross(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    """Whether the open segments a–b and c–d cross."""

    def side(p: Corner, q: Corner, r: Corner) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
