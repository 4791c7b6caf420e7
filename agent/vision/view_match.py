"""Whether two pictures show one view at one time, so that boxes and blackout of one fit the other. Pure."""

from typing import TYPE_CHECKING, Any

from models.detection import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 36
MAX_STRETCH = 0.025
"""Largest difference of the aspect ratios: encoders round a side to 16 pixels."""
LEAST_CORRELATION = 0.7
LEAST_CONTRAST = 1.0
"""Grey levels (standard deviation) below which nothing can be compared."""


def shrunk(frame: Frame, max_side: int) -> Frame:
    """``frame`` with at most ``max_side`` pixels on its longer side."""
    scale = max_side / max(frame.shape[:2])
    if scale >= 1:
        return frame
    import cv2
    import numpy as np

    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def difference(seen: Frame, larger: Frame) -> str | None:
    """Why ``larger`` is no picture of what ``seen`` shows; None where it is."""
    import numpy as np

    aspects = [frame.shape[1] / frame.shape[0] for frame in (seen, larger)]
    if abs(aspects[1] / aspects[0] - 1) > MAX_STRETCH:
        sizes = [f"{frame.shape[1]}x{frame.shape[0]}" for frame in (seen, larger)]
        return f"its pictures have another aspect ratio ({sizes[1]}) than those of url ({sizes[0]})"
    first, second = _grey(seen), _grey(larger)
    shown = (first > 0) | (second > 0)  # blacked out pixels are equal in any two views
    if not shown.any():
        return "its view can't be compared with that of url: both are black"
    one, other = first[shown] - first[shown].mean(), second[shown] - second[shown].mean()
    spread = float(one.std()), float(other.std())
    if min(spread) < LEAST_CONTRAST:
        return "its view can't be compared with that of url: there is no contrast"
    if float(np.mean(one * other)) / (spread[0] * spread[1]) < LEAST_CORRELATION:
        return "it shows another view than url"
    return None


def _grey(frame: Frame) -> "NDArray[Any]":
    import cv2
    import numpy as np

    small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)
