"""Fits a picture into a network's input, and maps boxes back onto the picture. Pure."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.detection import Box, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 32
"""The coarsest stride of the networks: a side that is no multiple has partial cells at its edge."""
MAX_ASPECT = 3.0
"""The longer side by the shorter one, at most."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The position of a picture in the input: input pixel = picture pixel x scale + offset."""

    scale_x: float
    scale_y: float
    left: int
    top: int
    width: int
    height: int

    def back(self, left: float, top: float, right: float, bottom: float) -> Box:
        """A box in input pixels as fractions of the picture, clipped to its edges."""
        across, down = self.scale_x * self.width, self.scale_y * self.height
        return (
            _unit((left - self.left) / across),
            _unit((top - self.top) / down),
            _unit((right - self.left) / across),
            _unit((bottom - self.top) / down),
        )


def input_size(columns: int, rows: int, area: int) -> tuple[int, int]:
    """Width and height of about ``area`` pixels in the aspect of the picture, each a multiple of `STEP`.

    An aspect beyond `MAX_ASPECT` is bounded: the picture gets bars. ValueError where the picture is empty.
    """
    if columns <= 0 or rows <= 0:
        raise ValueError("an empty picture")
    aspect = min(MAX_ASPECT, max(1 / MAX_ASPECT, columns / rows))
    width, height = (max(1, round(math.sqrt(one) / STEP)) * STEP for one in (area * aspect, area / aspect))
    return width, height


def fit(
    frame: Frame,
    width: int,
    height: int,
    resize: Literal["letterbox", "stretch"],
    *,
    pad: int = 0,
    corner: bool = False,
    invert: bool = False,
) -> "tuple[NDArray[Any], Fit]":
    """The picture at ``width`` x ``height``, stretched, or whole with ``pad`` around it.

    A whole picture is centred, or with ``corner`` at the top left. ``invert`` exchanges light and dark.
    """
    import cv2
    import numpy as np

    rows, columns = frame.shape[:2]
    if rows == 0 or columns == 0:
        raise ValueError("an empty picture")
    if resize == "stretch":
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        small = cv2.bitwise_not(small) if invert else small
        return small, Fit(width / columns, height / rows, 0, 0, columns, rows)
    scale = min(width / columns, height / rows)
    inner_width, inner_height = max(1, round(columns * scale)), max(1, round(rows * scale))
    left, top = (0, 0) if corner else ((width - inner_width) // 2, (height - inner_height) // 2)
    canvas = np.full((height, width, 3), pad, np.uint8)
    small = cv2.resize(frame, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
    small = cv2.bitwise_not(small) if invert else small
    canvas[top : top + inner_height, left : left + inner_width] = small
    return canvas, Fit(inner_width / columns, inner_height / rows, left, top, columns, rows)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
