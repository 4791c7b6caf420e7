"""Paths and polygons on a plane, in metres or in fractions of a picture, and positions in a configuration."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

XY: TypeAlias = tuple[float, float]


def _lat_lon(value: object) -> object:
    if (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(number, int | float) for number in value)
    ):
        if not -90 <= value[0] <= 90:
            raise ValueError(
                f"[{value[0]:g}, {value[1]:g}]: a position is [latitude, longitude], not the reverse"
            )
        return value
    raise ValueError(
        f"{value!r} is not a position; write [latitude, longitude] in degrees, such as [32.06, 118.79]"
    )


LatLon = Annotated[
    tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-180, le=180)]],
    BeforeValidator(_lat_lon),
]
"""Latitude and longitude in degrees, as a technician writes them."""


def from_path(point: XY, path: Sequence[XY]) -> float:
    """Distance of ``point`` from the nearest place on a path of straight legs; inf without legs."""
    x, y = point
    best = math.inf
    for (from_x, from_y), (to_x, to_y) in pairwise(path):
        leg_x, leg_y = to_x - from_x, to_y - from_y
        length = leg_x**2 + leg_y**2
        share = (
            0.0 if length == 0 else max(0.0, min(1.0, ((x - from_x) * leg_x + (y - from_y) * leg_y) / length))
        )
        best = min(best, (x - from_x - share * leg_x) ** 2 + (y - from_y - share * leg_y) ** 2)
    return math.sqrt(best)


def area(corners: Sequence[XY]) -> float:
    """The area that a polygon encloses, in the square of its unit."""
    return (
        abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)))
        / 2
    )


def inside(point: XY, corners: Sequence[XY]) -> bool:
    """Whether ``point`` lies in a polygon, by the even-odd rule."""
    x, y = point
    within = False
    before = corners[-1]
    for corner in corners:
        if (corner[1] > y) != (before[1] > y):
            at = (before[0] - corner[0]) * (y - corner[1]) / (before[1] - corner[1]) + corner[0]
            within ^= x < at
        before = corner
    return within
