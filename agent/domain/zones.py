"""Zones and lines in a picture, in fractions of its width and height, and positions in them. Pure."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from agent.domain.geometry import area, inside
from models.detection import Box

Corner: TypeAlias = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]


def _simple(corners: list[Corner]) -> list[Corner]:
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    if any(_cross(*one, *other) for one, other in combinations(edges, 2)):
        raise ValueError("the outline crosses itself; give its corners in order")
    if area(corners) < 1e-4:
        raise ValueError("the corners enclose no area")
    return corners


Zone = Annotated[list[Corner], Field(min_length=3, max_length=64), AfterValidator(_simple)]
"""The corners of a polygon in order, each [from the left, from the top] in 0..1."""


SHORTEST = 0.02
"""The least length of a line, as the sum of its fractions of width and height."""


def _two_ends(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(
            "a line has two ends: [[from the left, from the top], [from the left, from the top]]"
        )
    return value


def _long_enough(line: tuple[Corner, Corner]) -> tuple[Corner, Corner]:
    if abs(line[0][0] - line[1][0]) + abs(line[0][1] - line[1][1]) < SHORTEST:
        raise ValueError("the line's two ends are (nearly) the same point")
    return line


Line = Annotated[tuple[Corner, Corner], BeforeValidator(_two_ends), AfterValidator(_long_enough)]
"""A directed line, from its first end to its second."""


def foot_of(box: Box) -> Corner:
    """The middle of a box's lower edge: where an object stands."""
    return (box[0] + box[2]) / 2, min(box[3], 0.9999)


def right_of(line: tuple[Corner, Corner], point: Corner) -> float:
    """Signed distance of ``point`` from the line through both ends, in fractions; right of it is positive."""
    (x, y), (to_x, to_y) = line
    return float(_turn(*line, point) / ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5)


def beside(line: tuple[Corner, Corner], point: Corner) -> bool:
    """Whether ``point`` is beside the line and not past one of its ends."""
    (x, y), (to_x, to_y) = line
    along = (point[0] - x) * (to_x - x) + (point[1] - y) * (to_y - y)
    return 0 <= along <= (to_x - x) ** 2 + (to_y - y) ** 2


def crosses(line: tuple[Corner, Corner], before: Corner, after: Corner) -> bool:
    """Whether the way from ``before`` to ``after`` crosses the line between its ends."""
    start, end = line
    apart = _turn(start, end, before) * _turn(start, end, after) < 0
    return apart and _turn(before, after, start) * _turn(before, after, end) <= 0


def zones_of(box: Box, zones: Mapping[str, Sequence[Corner]]) -> tuple[str, ...]:
    """The zones that contain the foot of a box (the middle of its lower edge)."""
    foot = foot_of(box)
    return tuple(name for name, corners in zones.items() if inside(foot, corners))


def _cross(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    """Whether the open segments a–b and c–d cross."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(start: Corner, end: Corner, point: Corner) -> float:
    """Positive where ``point`` is to the right of the way from start to end (y points down)."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
