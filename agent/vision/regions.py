"""Plans regions: parts of a frame that are examined at full resolution beside the whole frame. Pure.

The whole frame is reduced to the network's input, so a swimmer or a far boat has a few pixels there. A region
has the frame's aspect, and is examined by the same network at the same size. Sources of the idea: regions
around motion and tracks of Frigate (github blakeblackshear/frigate, MIT), slices of SAHI.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from models.boxes import area, intersection
from models.detection import Box

Reason: TypeAlias = Literal["track", "motion", "zone", "scan"]
Size: TypeAlias = tuple[int, int]

ENLARGED = 2.0
"""A region is enlarged by at most this factor: more shows no more."""
MAX_SIDE, MAX_SCAN_SIDE = 0.6, 0.5
"""A larger region, as a share of the frame's sides, shows hardly more than the whole frame."""
ROOM = 3.0
"""Sides of a region in sizes of the object it is for: the network needs its surroundings."""
MARGIN = 1.25
"""Least sides of a region in those of all objects in it: its edge cuts none of them."""
OVERLAP = 0.2
"""Shared part of neighbouring regions of a grid, so that a small object is whole in one of them."""
COVERED = 0.8
"""A place is not planned again where other regions show this share of it."""
CELLS_FIRST = 4
"""In each n-th plan zones and scan go first, so that waves and trees never take all of the time."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the frame, in fractions, and why it is examined."""

    box: Box
    reason: Reason


@dataclass(frozen=True, slots=True)
class FarZone:
    """The part of a zone where people are small: its box, and the least height of a person there, as
    fractions of the frame."""

    box: Box
    height: float


def plan(
    frame_size: Size,
    input_size: Size,
    motion_boxes: Sequence[Box],
    tracks: Sequence[Box],
    far_zones: Sequence[FarZone],
    limit: int,
    *,
    scan: bool = False,
    turn: int = 0,
    cell: int = 0,
) -> tuple[Region, ...]:
    """At most ``limit`` regions of a frame, the most urgent first; sizes are width and height in pixels.

    ``tracks`` are the boxes to look at, the most urgent first; they precede ``motion_boxes``. Far zones, and
    with ``scan`` the whole frame, are examined cell by cell: ``cell`` is the number of cells examined so far,
    ``turn`` the number of plans. No regions where the input shows the frame in full resolution already.
    """
    least, native = _sides(frame_size, input_size)
    if limit < 1 or least >= MAX_SIDE:
        return ()
    cells = _cells(far_zones, least, native, scan=scan)
    reserved = min(len(cells), 1 if limit > 1 or turn % 2 else 0)
    asked = [Region(box, "track") for box in _turned(tracks, turn, limit)]
    asked += [Region(box, "motion") for box in _turned(motion_boxes, turn, limit)]
    found = _cover(asked, least)[: limit - reserved]
    start = cell % len(cells) if cells else 0
    in_turn = _unseen([*cells[start:], *cells[:start]], found, limit - len(found))
    return (*in_turn, *found) if turn % CELLS_FIRST == 0 else (*found, *in_turn)


def _sides(frame_size: Size, input_size: Size) -> tuple[float, float]:
    """The least sides of a region, and those of a region that is not enlarged, as shares of the frame's."""
    native = min(inner / outer for inner, outer in zip(input_size, frame_size, strict=True))
    return native / ENLARGED, native


def _turned(boxes: Sequence[Box], turn: int, limit: int) -> list[Box]:
    """The boxes, with another first in each plan where they may not all fit."""
    start = turn % len(boxes) if len(boxes) > limit else 0
    return [*boxes[start:], *boxes[:start]]


def _cover(asked: Iterable[Region], least: float) -> list[Region]:
    """Regions that contain the boxes with room around; near ones share a region. Large ones need none."""
    clusters: list[tuple[Region, float]] = []
    for one in asked:
        size = max(one.box[2] - one.box[0], one.box[3] - one.box[1])
        if not 0 < size * ROOM <= MAX_SIDE:
            continue
        side = max(size * ROOM, least)
        for number, (other, other_side) in enumerate(clusters):
            both, common = _union(one.box, other.box), min(side, other_side)
            if MARGIN * max(both[2] - both[0], both[3] - both[1]) <= common:
                clusters[number] = (Region(both, other.reason), common)
                break
        else:
            clusters.append((one, side))
    return [Region(_around(one.box, side), one.reason) for one, side in clusters]


def _around(box: Box, side: float) -> Box:
    """A region with these sides, ``box`` in its middle as far as the frame's edges allow."""
    left, top = (min(max((box[axis] + box[axis + 2] - side) / 2, 0.0), 1.0 - side) for axis in (0, 1))
    return left, top, left + side, top + side


def _cells(far_zones: Iterable[FarZone], least: float, native: float, *, scan: bool) -> list[Region]:
    """The cells of all far zones, then those of the whole frame."""
    cells = []
    for zone in far_zones:
        side = min(max(zone.height * ROOM, least), MAX_SCAN_SIDE)
        cells += [Region(box, "zone") for box in _grid(zone.box, side)]
    if scan:
        side = max(min(native, MAX_SCAN_SIDE), least)
        cells += [Region(box, "scan") for box in _grid((0.0, 0.0, 1.0, 1.0), side)]
    return cells


def _grid(box: Box, side: float) -> list[Box]:
    """Overlapping regions that cover ``box``, in rows."""
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in box)
    return [
        (x, y, x + side, y + side) for y in _starts(top, bottom, side) for x in _starts(left, right, side)
    ]


def _starts(first: float, last: float, side: float) -> list[float]:
    """The starts of the overlapping spans of length ``side`` that cover ``first`` to ``last``."""
    extent = last - first
    if extent <= side:
        return [min(max((first + last - side) / 2, 0.0), 1.0 - side)]
    steps = math.ceil((extent - side) / (side * (1 - OVERLAP)) - 1e-9)
    return [first + number * (extent - side) / steps for number in range(steps + 1)]


def _unseen(cells: Iterable[Region], known: Sequence[Region], limit: int) -> list[Region]:
    """The first ``limit`` cells that show what no other region shows."""
    found: list[Region] = []
    for cell in cells:
        if len(found) >= limit:
            break
        if not any(
            intersection(cell.box, other.box) >= COVERED * area(cell.box) for other in (*known, *found)
        ):
            found.append(cell)
    return found


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
