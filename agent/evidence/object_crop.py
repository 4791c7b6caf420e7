"""A closer look at one object: a crop around its box, at full resolution, in the whole input. Pure.

`bench.second_look` measures how many of the people who are there it finds again, and how many of those who
are not. A narrower crop finds fewer again: the network knows people by what is around them, too.
"""

from collections.abc import Iterable

from models.boxes import iou
from models.detection import Box, Detect, Frame
from models.labels import PEOPLE, plain
from models.tiles import detect_part

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


def score_in_crop(detect: Detect, frame: Frame, box: Box, labels: Iterable[str]) -> float:
    """The best score with one of ``labels`` at about ``box``; 0 where nothing is found there."""
    rows, columns = frame.shape[:2]
    known = {plain(label) for label in labels}
    found = [one.detection for one in detect_part(detect, frame, region_around(box, columns, rows))]
    scores = [one.score for one in found if agrees(one.label, known) and iou(one.box, box) >= SAME]
    return max(scores, default=0.0)


def agrees(label: str, known: set[str]) -> bool:
    """Whether a label, perhaps of another model, is one of ``known``; all words for people are one."""
    return plain(label) in known or (plain(label) in PEOPLE and not PEOPLE.isdisjoint(known))
