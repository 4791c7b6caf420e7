"""What of a camera's picture the agent sees: turned, cut, and black where it must not look."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator

from agent.domain.zones import Corner
from models.detection import Box, Frame

Turn: TypeAlias = Literal[0, 90, 180, 270]


def _upright(box: Box) -> Box:
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError("a crop is [left, top, right, bottom] as fractions of the picture, 0..1")
    return box


Crop = Annotated[Box, AfterValidator(_upright)]


def framing(turn: Turn, crop: Box | None, blackout: Sequence[Sequence[Corner]]) -> Callable[[Frame], Frame]:
    """Turns clockwise, then cuts, then blackens; ``blackout`` and zones count in what is left of the picture.

    Blackened pixels are zero in the frame itself, so that nothing behind this can see them.
    """

    def frame_it(frame: Frame) -> Frame:
        import cv2
        import numpy as np

        picture: Any = frame
        if turn:
            picture = cv2.rotate(picture, _TURNS[turn])
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

    return frame_it


_TURNS = {90: 0, 180: 1, 270: 2}  # cv2.ROTATE_90_CLOCKWISE, ROTATE_180, ROTATE_90_COUNTERCLOCKWISE
