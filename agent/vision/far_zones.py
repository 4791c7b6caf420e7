"""The parts of zones where people are too small for the whole frame: by survey, mount or learned heights.

Without zones the whole frame counts as one.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent.domain.geometry import inside
from agent.domain.zones import Corner
from agent.vision.regions import FarZone, Size
from models.detection import Box, Detection

SMALL_PX = 40.0
"""A person of fewer pixels at the network's input is often missed."""
STEPS = 16
"""Rows and columns of a zone in which the height of a person is computed."""
LEARNED_FROM, LEARNED_SPREAD = 60, 0.05
"""Detections of people, and range of their feet as a share of the picture, from which heights are known."""
MEMORY = 500
WHOLE: Sequence[Corner] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))

PersonHeight: TypeAlias = Callable[[Corner], float | None]
"""Height of a person whose feet are at a corner, as a fraction of the frame; None where nobody can stand."""


@dataclass(frozen=True, slots=True)
class SmallPeople:
    """Where people are small, and whether they are large wherever they count."""

    far_zones: tuple[FarZone, ...] = ()
    people_are_large: bool = False


class LearnedHeights:
    """The heights of people by the position of their feet: on level ground, a straight line."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=MEMORY)

    def learn(self, detections: Iterable[Detection]) -> None:
        """Takes confident detections of people; one at an edge of the frame may be cut."""
        for one in detections:
            left, top, right, bottom = one.box
            if one.label == "person" and min(left, top, 1 - right, 1 - bottom) > 0.005:
                self._seen.append((bottom, bottom - top))

    def height(self) -> PersonHeight | None:
        """The height by position; None until it is known."""
        import numpy as np

        if len(self._seen) < LEARNED_FROM:
            return None
        feet, heights = np.array(self._seen).T
        if np.ptp(np.percentile(feet, (10, 90))) < LEARNED_SPREAD:
            return None
        slope, start = (float(one) for one in np.polyfit(feet, heights, 1))

        def height(corner: Corner) -> float | None:
            found = start + slope * corner[1]
            return found if slope > 0 and found > 0 else None

        return height if slope > 0 else None


def find_small_people(
    height: PersonHeight | None, zones: Mapping[str, Sequence[Corner]], input_size: Size, frame_size: Size
) -> SmallPeople:
    """Where people have fewer than `SMALL_PX` pixels at the network's input."""
    if height is None:
        return SmallPeople()
    scale = min(inner / outer for inner, outer in zip(input_size, frame_size, strict=True))
    smallest = SMALL_PX / (scale * frame_size[1])
    found = (_far_part(height, zone, smallest) for zone in (zones.values() or [WHOLE]))
    far = tuple(one for one in found if one is not None)
    return SmallPeople(far, not far)


def _far_part(height: PersonHeight, zone: Sequence[Corner], smallest: float) -> FarZone | None:
    """The part of a zone where people are smaller than ``smallest``, a fraction of the frame's height."""
    left, top, right, bottom = _bounds(zone)
    small = [
        (x, y, tall)
        for y in _steps(top, bottom)
        for x in _steps(left, right)
        if inside((x, y), zone) and (tall := height((x, y))) is not None and tall < smallest
    ]
    if not small:
        return None
    across, down = (right - left) / STEPS / 2, (bottom - top) / STEPS / 2
    box = (
        max(0.0, min(x for x, _, _ in small) - across),
        max(0.0, min(y - tall for _, y, tall in small) - down),
        min(1.0, max(x for x, _, _ in small) + across),
        min(1.0, max(y for _, y, _ in small) + down),
    )
    return FarZone(box, min(tall for _, _, tall in small))


def _bounds(zone: Sequence[Corner]) -> Box:
    across, down = [x for x, _ in zone], [y for _, y in zone]
    return min(across), min(down), max(across), max(down)


def _steps(first: float, last: float) -> list[float]:
    """Centres of equal parts."""
    return [first + (last - first) * (number + 0.5) / STEPS for number in range(STEPS)]
