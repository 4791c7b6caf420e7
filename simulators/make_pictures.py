"""Makes simulators/pictures/ out of one photograph: a man, cut out, and the field behind him without him.

    python -m simulators.make_pictures camera.png simulators/pictures

``camera.png`` is in the wheel of scikit-image 0.26 (skimage/data/camera.png): a photograph by Lav Varshney,
CC0. The man's face is blurred: the demo does not need it. Run once; scikit-image is not needed at run time.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 360
MAN_TALL = 260
FACE = (165, 95, 270, 205)
"""Left, top, right, bottom of the face in the photograph."""
OUTLINE = np.array(
    [
        (0, 511), (0, 262), (30, 215), (60, 150), (100, 125), (135, 118), (157, 104), (160, 85), (185, 66),
        (225, 64), (262, 85), (272, 112), (262, 138), (326, 138), (326, 158), (318, 178), (332, 178),
        (328, 205), (305, 225), (292, 245), (290, 285), (252, 312), (215, 300), (150, 385), (152, 511),
    ]
)  # fmt: skip


def cut_out(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The man as BGRA."""
    mask = np.full((photograph.shape[0], photograph.shape[1]), cv2.GC_BGD, np.uint8)
    cv2.fillPoly(mask, [cv2.convexHull(OUTLINE)], (cv2.GC_PR_BGD,))
    cv2.fillPoly(mask, [OUTLINE], (cv2.GC_PR_FGD,))
    whole = (0, 0, photograph.shape[1], photograph.shape[0])
    cv2.grabCut(photograph, mask, whole, np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    man = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    closed = cv2.morphologyEx(man, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(closed)
    man = np.where(parts == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA])), 255, 0).astype(np.uint8)
    left, top, right, bottom = FACE
    picture = photograph.copy()
    picture[top:bottom, left:right] = cv2.blur(picture[top:bottom, left:right], (21, 21))
    rows, columns = np.nonzero(man)
    layers = np.dstack([picture, cv2.GaussianBlur(man, (3, 3), 0)])
    man_alone = layers[rows.min() :, : columns.max() + 1]
    scale = MAN_TALL / man_alone.shape[0]
    return np.asarray(cv2.resize(man_alone, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def field(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The field and the houses behind it, from the part of the photograph without a person."""
    part = photograph[:, 412:512]
    wide = np.hstack([part, part[:, ::-1]] * 4)[:, :WIDTH]
    return np.asarray(cv2.resize(wide[60:500], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def main() -> None:
    """Writes man.png and field.jpg."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m simulators.make_pictures camera.png FOLDER")
    photograph = cv2.imread(sys.argv[1])
    if photograph is None:
        raise SystemExit(f"{sys.argv[1]}: not a picture")
    folder = Path(sys.argv[2])
    cv2.imwrite(str(folder / "man.png"), cut_out(np.asarray(photograph, np.uint8)))
    cv2.imwrite(
        str(folder / "field.jpg"), field(np.asarray(photograph, np.uint8)), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )


if __name__ == "__main__":
    main()
