"""Zones and lines as shapes of a drawing, and what is wrong with one. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from agent.domain.geometry import area
from agent.domain.zones import Corner, Line, Zone

Kind: TypeAlias = Literal["zone", "line"]
SNAP = 0.015
"""A corner this near to the edge of the picture, or to a corner of another shape, is put onto it."""
TINY_AREA = 0.0015
"""A zone below this share of the picture is smaller than the foot point's jitter."""
DECIMALS = 4
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ZONE: TypeAdapter[list[Corner]] = TypeAdapter(Zone)
_LINE: TypeAdapter[tuple[Corner, Corner]] = TypeAdapter(Line)


@dataclass(frozen=True, slots=True)
class Shape:
    """A zone, or a line from its first corner to its second. ``closed`` False: it is being drawn."""

    name: str
    kind: Kind
    corners: tuple[Corner, ...] = ()
    closed: bool = False

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.name}"


def problem_of(one: Shape) -> str | None:
    """What is wrong with a shape, in the words of the configuration's check; None where it is right."""
    if not one.closed:
        return None
    try:
        if one.kind == "zone":
            _ZONE.validate_python([list(corner) for corner in one.corners])
        else:
            _LINE.validate_python([list(corner) for corner in one.corners])
    except ValidationError as error:
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    if one.kind == "zone" and area(one.corners) < TINY_AREA:
        return "too small: nobody's foot point stays in it"
    return None


def as_corners(corners: Sequence[Sequence[float]]) -> tuple[Corner, ...]:
    """Corners as they are kept: within the picture, rounded."""
    return tuple(rounded(float(corner[0]), float(corner[1])) for corner in corners)


def rounded(x: float, y: float) -> Corner:
    """A corner within the picture, to `DECIMALS` places."""
    return round(min(1.0, max(0.0, x)), DECIMALS), round(min(1.0, max(0.0, y)), DECIMALS)


def to_edge(value: float) -> float:
    """The edge of the picture, where a coordinate is near it."""
    return 0.0 if value < SNAP else 1.0 if value > 1 - SNAP else value


def as_lists(corners: Sequence[Corner]) -> list[list[float]]:
    """Corners as in the configuration."""
    return [list(corner) for corner in corners]
