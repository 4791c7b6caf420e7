"""Preprocessing of each frame before anything else: rotate, crop, blackout."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator

from agent.domain.zones import Corner
from models.detection import Box, Frame

Rotation: TypeAlias = Literal[0, 90, 180, 270]


def _valid_crop(box: Box) -> Box:
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError("crop is [left, top, right, bottom] as fractions of the picture, 0..1")
    return box


Crop = Annotated[Box, AfterValidator(_valid_crop)]


def preprocessor(
    rotate: Rotation, crop: Box | None, blackout: Sequence[Sequence[Corner]]
) -> Callable[[Frame], Frame]:
    """Rotates clockwise, then crops, then blackens; ``blackout`` is in coordinates of the cropped picture.

    Blackout pixels are zero in the frame itself, so that no later stage can see them.
    """

    def preprocess(frame: Frame) -> Frame:
        import cv2
        import numpy as np

        picture: Any = frame
        if rotate:
            picture = cv2.rotate(picture, _ROTATIONS[rotate])
        if crop is not None:
            rows, columns = picture.shape[:2]
            left, top, right, bottom = crop
            picture = picture[
                round(top * rows) : max(round(bottom * rows), round(top * rows) + 1),
                round(left * columns) : max(round(right * columns), round(left * columns) + 1),
            ]
        if blackout:
            rows, columns = picture.shape[:2]
            for corners in blackout:
                polygon = np.rint(np.array(corners) * (columns, rows)).astype(np.int32)
                cv2.fillPoly(picture, [polygon], (0, 0, 0))
                cv2.polylines(picture, [polygon], isClosed=True, color=(0, 0, 0), thickness=3)
        result: Frame = picture
        return result

    return preprocess


_ROTATIONS = {90: 0, 180: 1, 270: 2}  # cv2.ROTATE_90_CLOCKWISE, ROTATE_180, ROTATE_90_COUNTERCLOCKWISE
