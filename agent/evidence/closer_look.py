"""A closer look at one object: a crop around its box, at full resolution, in the whole input. Pure.

`bench.second_look` measures how many of the people who are there it finds again, and how many of those who
are not. A narrower crop finds fewer again: the network knows people by what is around them, too.
"""

from collections.abc import Iterable

from models.boxes import area, intersection
from models.detection import Box, Detect, Frame
from models.labels import PEOPLE, plain

MARGIN = 3.0
"""How many times its object a crop is wide or high, whichever is more."""
LEAST_PX = 208
"""The least size of a crop (longer side): half of the usual input, so that pixels are at most doubled."""
SAME = 0.3
"""Overlap (intersection over union) from which on a detection is of the same object."""


def region_around(box: Box, width: int, height: int) -> Box:
    """The part of a frame of ``width`` x ``height`` pixels to look at, in its shape, as fractions."""
    left, top, right, bottom = box
    size = min(1.0, max((right - left) * MARGIN, (bottom - top) * MARGIN, LEAST_PX / max(width, height)))
    first = min(max((left + right - size) / 2, 0.0), 1.0 - size)
    upper = min(max((top + bottom - size) / 2, 0.0), 1.0 - size)
    return first, upper, first + size, upper + size


def look_closer(detect: Detect, frame: Frame, box: Box, labels: Iterable[str]) -> float:
    """The best score with one of ``labels`` at about ``box``; 0 where nothing is found there."""
    rows, columns = frame.shape[:2]
    region = region_around(box, columns, rows)
    left, top, right, bottom = region
    part = frame[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)]
    if part.size == 0:
        return 0.0
    known = {plain(label) for label in labels}
    return max(
        (
            found.score
            for found in detect(part)
            if agrees(found.label, known) and overlap(_in_frame(found.box, region), box) >= SAME
        ),
        default=0.0,
    )


def agrees(label: str, known: set[str]) -> bool:
    """Whether a label, perhaps of another model, is one of ``known``; all words for people are one."""
    return plain(label) in known or (plain(label) in PEOPLE and not PEOPLE.isdisjoint(known))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    both = intersection(one, other)
    union = area(one) + area(other) - both
    return both / union if union > 0 else 0.0


def _in_frame(box: Box, region: Box) -> Box:
    wide, tall = region[2] - region[0], region[3] - region[1]
    return (
        region[0] + box[0] * wide,
        region[1] + box[1] * tall,
        region[0] + box[2] * wide,
        region[1] + box[3] * tall,
    )
