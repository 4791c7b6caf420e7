"""Tiles: small things are found, nothing is found twice, and what a seam cuts is one thing."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.boxes import iou
from models.detection import Box, Detection, Frame
from models.tiles import inference_count, rotated, tiled

PIXELS = 32
"""The detector below sees what is at least this share (1/32) of its picture wide and tall."""


def detect(frame: Frame) -> tuple[Detection, ...]:
    """A detector that sees each white rectangle, whole or cut, unless it is too small in its picture."""
    import cv2

    rows, columns = frame.shape[:2]
    count, _, stats, _ = cv2.connectedComponentsWithStats((frame[..., 0] > 128).astype(np.uint8))
    found = []
    for left, top, wide, tall, _ in stats[1:count].tolist():
        if wide >= columns / PIXELS and tall >= rows / PIXELS:
            box = (left / columns, top / rows, (left + wide) / columns, (top + tall) / rows)
            found.append(Detection("person", 0.5 + 0.4 * wide / columns, box))
    return tuple(found)


def picture(*boxes: Box) -> Frame:
    frame = np.zeros((480, 640, 3), np.uint8)
    for left, top, right, bottom in boxes:
        frame[round(top * 480) : round(bottom * 480), round(left * 640) : round(right * 640)] = 255
    return frame


def test_what_is_too_small_for_the_whole_is_found_in_a_tile() -> None:
    swimmer = (0.7, 0.2, 0.72, 0.22)
    frame = picture(swimmer)
    assert detect(frame) == ()
    (seen,) = tiled(detect, "3x3")(frame)
    assert seen.box == pytest.approx(swimmer, abs=0.004)


@pytest.mark.parametrize("box", [(0.3, 0.3, 0.7, 0.7), (0.05, 0.45, 0.95, 0.55), (0.45, 0.1, 0.5, 0.9)])
def test_what_is_larger_than_a_tile_is_one_thing(box: Box) -> None:
    (seen,) = tiled(detect, "3x2")(picture(box))
    assert seen.box == pytest.approx(box, abs=0.004)


def test_halves_that_nothing_saw_whole_are_put_together() -> None:
    """A detector that is blind for the whole picture."""

    def short_sighted(frame: Frame) -> tuple[Detection, ...]:
        return detect(frame) if frame.shape[1] < 640 else ()

    box = (0.2, 0.3, 0.8, 0.45)
    (seen,) = tiled(short_sighted, "2x2")(picture(box))
    assert seen.box == pytest.approx(box, abs=0.004)


def test_labels_are_not_mixed() -> None:
    def two(frame: Frame) -> tuple[Detection, ...]:
        return tuple(one for seen in detect(frame) for one in (seen, Detection("boat", 0.9, seen.box)))

    seen = tiled(two, "2x2")(picture((0.1, 0.1, 0.2, 0.2)))
    assert sorted(one.label for one in seen) == ["boat", "person"]


@st.composite
def scattered(draw: st.DrawFn) -> list[Box]:
    """Rectangles that lie apart, each in a cell of its own."""
    cells = draw(st.lists(st.integers(0, 15), unique=True, max_size=6))
    boxes = []
    for cell in cells:
        left, top = cell % 4 / 4 + draw(st.floats(0.01, 0.1)), cell // 4 / 4 + draw(st.floats(0.01, 0.1))
        boxes.append((left, top, left + draw(st.floats(0.04, 0.13)), top + draw(st.floats(0.04, 0.13))))
    return boxes


@pytest.mark.slow
@given(
    scattered(), st.sampled_from(["2x1", "1x3", "2x2", "3x2", "4x4"]), st.sampled_from([0.0, 0.1, 0.2, 0.5])
)
def test_each_thing_is_seen_once_wherever_the_seams_are(
    boxes: list[Box], pattern: str, shared: float
) -> None:
    seen = tiled(detect, pattern, shared)(picture(*boxes))
    assert len(seen) == len(boxes)
    for box in boxes:
        assert max(iou(box, one.box) for one in seen) > 0.7


@pytest.mark.parametrize(("pattern", "count"), [("1x1", 1), ("2x1", 3), ("2x2", 5), ("4x3", 13)])
def test_the_cost_is_told(pattern: str, count: int) -> None:
    ran = 0

    def counting(frame: Frame) -> tuple[Detection, ...]:
        nonlocal ran
        ran += 1
        return ()

    look: Callable[[Frame], tuple[Detection, ...]] = tiled(counting, pattern)
    look(picture())
    assert inference_count(pattern) == count == ran


@pytest.mark.parametrize(("pattern", "shared"), [("0x1", 0.2), ("9x9", 0.2), ("2", 0.2), ("2x2", 0.6)])
def test_what_is_no_pattern_is_refused(pattern: str, shared: float) -> None:
    with pytest.raises(ValueError, match="expected 1x1 to 8x8"):
        tiled(detect, pattern, shared)


@given(st.tuples(*[st.integers(0, 40)] * 4), st.integers(0, 3))
def test_a_turned_picture_has_its_boxes_where_they_are(edges: tuple[int, int, int, int], turn: int) -> None:
    """A white rectangle in a picture of 60 x 90 pixels, seen by whoever turns his head."""
    left, top, wide, tall = edges
    frame = np.zeros((60, 90, 3), np.uint8)
    frame[top : top + tall + 4, left : left + wide + 4] = 255
    (upright,), (found,) = detect(frame), rotated(detect, turn)(frame)
    assert found.box == pytest.approx(upright.box)
