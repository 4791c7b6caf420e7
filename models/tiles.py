"""Detects in parts of a picture, so that small objects are large enough: a swimmer, a far boat.

Each part costs one inference. `tiled` examines overlapping tiles, and the whole picture for objects larger
than a tile. An object that is cut by a seam is found whole in the neighbouring tile or in the whole picture;
its part in the first tile is dropped, or joined with the others where no tile has it whole (`merge`). Parts
that were examined beside an earlier frame are added to the detections of a newer one (`add_parts`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from models.boxes import area, distance, intersection, iou
from models.detection import Box, Detect, Detection, Frame

Pattern = Annotated[str, StringConstraints(pattern=r"^[1-8]x[1-8]$")]
"""Columns and rows, such as ``3x2``."""
SEAM = 0.015
"""A box that ends this close to a seam (a share of the tile) is cut by it."""
SAME, INSIDE, IN_LINE = 0.5, 0.6, 0.7
"""Overlap of the same object; share of a cut box that lies in a whole one; alignment of two halves."""
NEAR, MIN_SIZE_RATIO = 0.7, 0.4
"""The same object in a part and in the whole picture: distance of the centres in sizes of the larger box, and
ratio of the areas. The box of an object of a few pixels is uncertain by a third of its size."""


@dataclass(frozen=True, slots=True)
class PartDetection:
    """A detection in a part, with its box in the whole picture; ``cut``: the edge of the part cuts it."""

    detection: Detection
    cut: bool


def inference_count(pattern: str) -> int:
    """The number of inferences for one picture."""
    columns, rows = map(int, pattern.split("x"))
    return columns * rows + 1 if columns * rows > 1 else 1


def tiled(detect: Detect, pattern: str, overlap: float = 0.2) -> Detect:
    """``detect`` for each tile and for the whole; ``overlap`` is the shared fraction of neighbours."""
    if not re.fullmatch(r"[1-8]x[1-8]", pattern) or not 0 <= overlap <= 0.5:
        raise ValueError(f"tiles {pattern!r} with an overlap of {overlap}: expected 1x1 to 8x8 and 0 to 0.5")
    columns, rows = map(int, pattern.split("x"))
    if columns * rows == 1:
        return detect
    tiles = [
        (left, top, right, bottom)
        for top, bottom in _spans(rows, overlap)
        for left, right in _spans(columns, overlap)
    ]

    def detect_all(frame: Frame) -> tuple[Detection, ...]:
        seen = [PartDetection(one, cut=False) for one in detect(frame)]
        for tile in tiles:
            seen += detect_part(detect, frame, tile)
        return merge(seen)

    return detect_all


def rotated(detect: Detect, turn: int) -> Detect:
    """``detect`` on the picture rotated clockwise by ``turn`` quarters; boxes refer to the original
    picture.
    """
    if turn % 4 == 0:
        return detect

    def detect_all(frame: Frame) -> tuple[Detection, ...]:
        import numpy as np

        seen = detect(np.ascontiguousarray(np.rot90(frame, -turn)))
        return tuple(Detection(one.label, one.score, _rotated_back(one.box, turn)) for one in seen)

    return detect_all


def _rotated_back(box: Box, turn: int) -> Box:
    left, top, right, bottom = box
    for _ in range(turn % 4):
        left, top, right, bottom = top, 1 - right, bottom, 1 - left
    return left, top, right, bottom


def detect_part(detect: Detect, frame: Frame, part: Box) -> list[PartDetection]:
    """The detections in one part of the picture; a part of no pixel has none."""
    rows, columns = frame.shape[:2]
    left, top, right, bottom = part
    cropped = frame[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)]
    return [_in_picture(one, part) for one in detect(cropped)] if cropped.size else []


def merge(seen: Sequence[PartDetection]) -> tuple[Detection, ...]:
    """Each object once, best first."""
    kept = without_repeats(seen)
    whole = [one.detection for one in kept if not one.cut]
    halves = [one.detection for one in kept if one.cut]
    while halves:
        first = halves.pop(0)
        other = next((one for one in halves if _halves(first, one)), None)
        if other is None:
            whole.append(first)
        else:
            halves.remove(other)
            halves.insert(0, _joined(first, other))
    return tuple(sorted(whole, key=lambda one: -one.score))


def without_repeats(seen: Sequence[PartDetection]) -> list[PartDetection]:
    """Each object once; a cut one loses against a whole one that covers it."""
    kept: list[PartDetection] = []
    for one in sorted(seen, key=lambda one: (one.cut, -one.detection.score)):
        if not any(_covers(other, one) for other in kept):
            kept.append(one)
    return kept


def add_parts(
    whole: Sequence[Detection], parts: Sequence[Detection], group: Callable[[str], str] = str
) -> tuple[Detection, ...]:
    """``whole``, the detections of a picture, and what only ``parts`` of it show: each object once.

    The parts may have been examined in an earlier picture, so an object need not overlap its earlier box:
    each one is matched with at most one of the others, the nearest pair first. A pair has the higher score
    of both, at the box of the whole picture, which is newer; where both boxes overlap, at the box with the
    higher score, which is more precise. ``group``: labels of one group are the same object.
    """
    pairs = sorted(
        (away, number, other)
        for number, part in enumerate(parts)
        for other, one in enumerate(whole)
        if group(part.label) == group(one.label)
        and (away := distance(part.box, one.box)) <= NEAR
        and min(area(part.box), area(one.box)) >= MIN_SIZE_RATIO * max(area(part.box), area(one.box))
    )
    result, matched = list(whole), dict[int, int]()
    for _, number, other in pairs:
        if number in matched or other in matched.values():
            continue
        matched[number] = other
        part, one = parts[number], whole[other]
        if part.score > one.score:
            box = part.box if iou(part.box, one.box) >= SAME else one.box
            result[other] = Detection(part.label, part.score, box)
    result += [part for number, part in enumerate(parts) if number not in matched]
    return tuple(sorted(result, key=lambda one: -one.score))


def _spans(count: int, overlap: float) -> list[tuple[float, float]]:
    size = 1 / (count - (count - 1) * overlap)
    return [(number * size * (1 - overlap), number * size * (1 - overlap) + size) for number in range(count)]


def _in_picture(detection: Detection, tile: Box) -> PartDetection:
    """A detection in a part as a detection in the picture, and whether a seam cuts it."""
    left, top, right, bottom = detection.box
    wide, tall = tile[2] - tile[0], tile[3] - tile[1]
    cut = (
        (left < SEAM and tile[0] > 0)
        or (top < SEAM and tile[1] > 0)
        or (right > 1 - SEAM and tile[2] < 1 - 1e-6)
        or (bottom > 1 - SEAM and tile[3] < 1 - 1e-6)
    )
    box = (tile[0] + left * wide, tile[1] + top * tall, tile[0] + right * wide, tile[1] + bottom * tall)
    return PartDetection(Detection(detection.label, detection.score, box), cut)


def _covers(kept: PartDetection, one: PartDetection) -> bool:
    if kept.detection.label != one.detection.label:
        return False
    both = intersection(kept.detection.box, one.detection.box)
    ours, theirs = area(one.detection.box), area(kept.detection.box)
    return both > SAME * (ours + theirs - both) or (one.cut and not kept.cut and both > INSIDE * ours)


def _halves(one: Detection, other: Detection) -> bool:
    """Whether two cut boxes are parts of one object: they touch, and are aligned."""
    if one.label != other.label or intersection(one.box, other.box) <= 0:
        return False
    return any(
        min(one.box[axis + 2], other.box[axis + 2]) - max(one.box[axis], other.box[axis])
        >= IN_LINE * (max(one.box[axis + 2], other.box[axis + 2]) - min(one.box[axis], other.box[axis]))
        for axis in (0, 1)
    )


def _joined(one: Detection, other: Detection) -> Detection:
    firsts, lasts = (
        [pick(one.box[edge], other.box[edge]) for edge in edges]
        for pick, edges in ((min, (0, 1)), (max, (2, 3)))
    )
    return Detection(one.label, max(one.score, other.score), (firsts[0], firsts[1], lasts[0], lasts[1]))
