"""Variants of labelled pictures: as a 16:9 frame, farther away, like thermal or night, normalised.

Thermal and night are MADE from daylight photographs: no camera took them.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

GREY = 114
FARTHER = {"half": 0.5, "quarter": 0.25}
"""The picture at this scale in the middle of a grey one of its size: objects as from farther away."""


def make_variant(pictures: Path, folder: Path, names: Sequence[str]) -> Path:
    """The pictures changed by each of ``names`` in turn, and their labels with them, in ``folder``.

    ValueError: an unknown name.
    """
    for name in names:
        if name not in (*CHANGES, *FARTHER, "16:9"):
            raise ValueError(f"{name}: not one of 16:9, {', '.join((*FARTHER, *CHANGES))}")
    truth = json.loads((pictures / "instances.json").read_text())
    for image in truth["images"]:
        found = [pictures / image["file_name"], pictures / "images" / Path(image["file_name"]).name]
        picture = cv2.imread(str(next(path for path in found if path.is_file())))
        assert picture is not None
        _rows, _columns = picture.shape[:2]
        scale, left, top = 1.0, 0, 0
        for name in names:
            if name == "16:9":
                height, width = picture.shape[:2]
                picture, (x, y) = _placed(
                    picture, max(width, round(height * 16 / 9)), max(height, round(width * 9 / 16))
                )
                left, top = left + x, top + y
            elif name in FARTHER:
                height, width = picture.shape[:2]
                smaller = cv2.resize(
                    picture, None, fx=FARTHER[name], fy=FARTHER[name], interpolation=cv2.INTER_AREA
                )
                picture, (x, y) = _placed(smaller, width, height)
                scale *= smaller.shape[1] / width
                left, top = round(left * FARTHER[name]) + x, round(top * FARTHER[name]) + y
            else:
                picture = CHANGES[name](picture)
        image["file_name"], image["height"], image["width"] = f"{image['id']}.png", *picture.shape[:2]
        cv2.imwrite(str(folder / image["file_name"]), picture)
        for label in truth["annotations"]:
            if label["image_id"] == image["id"]:
                x, y, width, height = (edge * scale for edge in label["bbox"])
                label["bbox"] = [x + left, y + top, width, height]
                label["area"] = label.get("area", width * height / scale**2) * scale**2
                label.pop("segmentation", None)
    (folder / "instances.json").write_text(json.dumps(truth))
    return folder


def _placed(picture: Any, width: int, height: int) -> tuple[Any, tuple[int, int]]:
    """The picture in the middle of a grey one, and the place of its corner."""
    rows, columns = picture.shape[:2]
    left, top = (width - columns) // 2, (height - rows) // 2
    canvas = np.full((height, width, 3), GREY, np.uint8)
    canvas[top : top + rows, left : left + columns] = picture
    return canvas, (left, top)


def _grey(picture: Any) -> Any:
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def _thermal(picture: Any) -> Any:
    """Grey, inverted, blurred as by a 320-pixel sensor, in a quarter of the range, with fixed noise."""
    rows, columns = picture.shape[:2]
    grey = 255 - cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (320, max(1, round(320 * rows / columns))), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(cv2.resize(small, (columns, rows)), (3, 3), 0).astype(np.float32)
    noise = np.random.default_rng(rows * 7 + columns).normal(0, 1.5, blurred.shape)
    made = np.clip(96 + blurred * 0.25 + noise, 0, 255).astype(np.uint8)
    return cv2.cvtColor(made, cv2.COLOR_GRAY2BGR)


def _night(picture: Any) -> Any:
    """An eighth of the light with the noise of photons and of reading, raised four times by the camera."""
    dark = (picture.astype(np.float32) / 255) ** 2.2 / 8
    source = np.random.default_rng(picture.shape[0] * 7 + picture.shape[1])
    electrons = source.poisson(dark * 400).astype(np.float32) + source.normal(0, 3, dark.shape)
    shown = np.clip(electrons / 400 * 4, 0, 1) ** (1 / 2.2)
    return (shown * 255).astype(np.uint8)


def _near_infrared(picture: Any) -> Any:
    """Grey with leaves bright and the edges of the picture dark, as under the lamp of a camera."""
    rows, columns = picture.shape[:2]
    blue, green, red = (picture[:, :, channel].astype(np.float32) for channel in range(3))
    grey = np.clip(0.5 * red + 0.7 * green - 0.2 * blue, 0, 255)
    across, down = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    lamp = 1.1 - 0.75 * np.clip(across**2 + down**2, 0, 1)
    return cv2.cvtColor(np.clip(grey * lamp * 0.7, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def _stretch(picture: Any) -> Any:
    """The grey levels between the 1st and the 99th percentile over the whole range."""
    low, high = np.percentile(picture, (1, 99))
    return np.clip((picture.astype(np.float32) - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)


def _clahe(picture: Any) -> Any:
    """Contrast-limited adaptive histogram equalisation of the lightness."""
    light, first, second = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2LAB))
    evened = cv2.createCLAHE(2.0, (8, 8)).apply(light)
    return cv2.cvtColor(cv2.merge([evened, first, second]), cv2.COLOR_LAB2BGR)


def _gamma(picture: Any) -> Any:
    """Lightened so that the mean is in the middle of the range."""
    mean = max(float(picture.mean()) / 255, 0.01)
    power = min(1.0, np.log(0.45) / np.log(min(mean, 0.99)))
    return np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8)[picture]


CHANGES: dict[str, Callable[[Any], Any]] = {
    "grey": _grey,
    "thermal": _thermal,
    "night": _night,
    "near-infrared": _near_infrared,
    "stretch": _stretch,
    "clahe": _clahe,
    "gamma": _gamma,
    "invert": lambda picture: 255 - picture,
    "smooth": lambda picture: cv2.bilateralFilter(picture, 5, 40, 3),
}
