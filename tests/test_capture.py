"""What a frame's time is; turning, cutting, blackening."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from agent.vision.camera import Camera
from agent.vision.frame_timestamps import FrameClock
from agent.vision.preprocess import preprocessor
from models.detection import Frame

# When a frame was taken.


def test_a_driver_knows_when() -> None:
    clock = FrameClock(driver=True)
    assert clock.at_s(100.05, 100.0) == 100.0
    assert clock.at_s(100.15, 0.0) == 100.15  # it does not say


def test_a_stream_with_a_steady_clock_loses_its_jitter() -> None:
    clock = FrameClock()
    jitter = [0.0, 0.03, 0.08, 0.01, 0.12] * 100
    at = [clock.at_s(500 + 0.1 * step + late, 7 + 0.1 * step) for step, late in enumerate(jitter)]
    assert at[-1] - 500 - 0.1 * (len(jitter) - 1) == pytest.approx(0, abs=0.005)
    steps = np.diff(at[200:])
    assert steps == pytest.approx(np.full(len(steps), 0.1), abs=0.005)


@pytest.mark.parametrize("stamp", [lambda step: 0.0, lambda step: 0.04 * step, lambda step: 5.0 - step])
def test_a_clock_that_is_made_up_is_not_believed(stamp: Callable[[int], float]) -> None:
    clock = FrameClock()
    for step in range(400):
        assert clock.at_s(0.1 * step, stamp(step)) == 0.1 * step


def test_a_frame_is_never_from_the_future_nor_older_than_the_one_before() -> None:
    clock = FrameClock()
    noise = np.random.default_rng(0)
    arrived, stamp, last = 0.0, 0.0, 0.0
    for _ in range(3000):
        arrived += noise.uniform(0, 0.2)
        stamp += noise.choice([0.1, 0.1, 0.1, 0.0, 3.0, -2.0], p=[0.3, 0.3, 0.3, 0.04, 0.03, 0.03])
        at = clock.at_s(arrived, stamp)
        assert last <= at <= arrived
        last = at


# What of the picture is seen.


def marked() -> Frame:
    """60 x 100, its upper left corner white."""
    frame = np.full((60, 100, 3), 9, np.uint8)
    frame[:10, :20] = 255
    return frame


@pytest.mark.parametrize(
    ("turn", "shape", "corner"),
    [(0, (60, 100), (0, 0)), (90, (100, 60), (0, -1)), (180, (60, 100), (-1, -1)), (270, (100, 60), (-1, 0))],
)
def test_a_turn_is_clockwise(turn: Any, shape: tuple[int, int], corner: tuple[int, int]) -> None:
    turned = preprocessor(turn, None, [])(marked())
    assert turned.shape[:2] == shape
    assert turned[corner][0] == 255


def test_a_crop_comes_after_the_turn_and_black_after_both() -> None:
    seen = preprocessor(90, (0.5, 0, 1, 0.5), [[(0, 0.5), (1, 0.5), (1, 1), (0, 1)]])(marked())
    assert seen.shape[:2] == (50, 30)
    assert seen[0, -1, 0] == 255
    assert not seen[25:].any()
    assert seen[:22].all()


@pytest.mark.parametrize("seed", range(5))
def test_no_pixel_of_a_black_polygon_is_left(seed: int) -> None:
    """Each pixel whose area a polygon touches."""
    noise = np.random.default_rng(seed)
    corners = [tuple(map(float, one)) for one in noise.uniform(0, 1, (3, 2))]
    frame = np.full((97, 131, 3), 200, np.uint8)
    preprocessor(0, None, [corners])(frame)  # type: ignore[list-item]
    a, b, c = np.array(corners)
    for u, v in noise.dirichlet([1, 1, 1], 4000)[:, :2]:
        x, y = a * u + b * v + c * (1 - u - v)
        assert not frame[min(96, int(y * 97)), min(130, int(x * 131))].any()


@pytest.mark.parametrize("crop", [[0.5, 0, 0.5, 1], [0, 0, 1, 1.2], [0.9, 0, 0.1, 1]])
def test_a_crop_of_nothing_is_refused(crop: list[float]) -> None:
    with pytest.raises(ValidationError, match="fractions"):
        Camera(url="x", purpose="a test", crop=tuple(crop))  # type: ignore[arg-type]
