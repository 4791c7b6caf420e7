"""The files of ``ringpost detect``: found and decoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import MAX_PICTURE_PIXELS
from agent.runtime.error_text import error_reason
from models.detection import Frame

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".ts", ".mjpg"})


@dataclass(frozen=True)
class File:
    """Something to look at: below which of the inputs, and as which image of a COCO file."""

    path: Path
    root: Path
    image_id: int | None = None


@dataclass(frozen=True)
class Shown:
    """A picture, or a frame of a video as ``name:number``; or why there is none."""

    file: File
    name: str
    frame: "Frame | None"
    error: str = ""


def _listed(inputs: Sequence[str], truth: dict[str, Any] | None) -> Iterator[File]:
    """Each file to look at; of a folder its pictures and videos. With a COCO file, what that lists."""
    if truth is not None:
        folders = [Path(one) if Path(one).is_dir() else Path(one).parent for one in inputs]
        for image in truth["images"]:
            candidates = [
                folder / name
                for folder in folders
                for name in (image["file_name"], Path(image["file_name"]).name)
            ]
            path = next((path for path in candidates if path.is_file()), candidates[0])
            yield File(path, path.parent, image["id"])
        return
    for one in inputs:
        path = Path(one)
        if path.is_dir():
            found = sorted(part for part in path.rglob("*") if part.suffix.lower() in PICTURES | VIDEOS)
            if not found:
                raise FileNotFoundError(f"{path}: no pictures or videos in it")
            yield from (File(part, path) for part in found)
        elif path.exists():
            yield File(path, path.parent)
        else:
            raise FileNotFoundError(f"{path} is not there")


def _shown(todo: Sequence[File]) -> Iterator[Shown]:
    """Each picture, and each frame of each video."""
    from agent.vision.video_file import frames

    for file in todo:
        try:
            if file.path.suffix.lower() in VIDEOS:
                for number, _, frame in frames(str(file.path)):
                    yield Shown(file, f"{file.path}:{number:06d}", frame)
            else:
                yield Shown(file, str(file.path), _picture(file.path))
        except (OSError, ValueError) as error:
            reason = error_reason(error)
            yield Shown(file, str(file.path), None, reason.removeprefix(f"{file.path}: "))


def _picture(path: Path) -> Frame:
    import cv2
    import numpy as np

    try:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes() or b"-", np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE_PIXELS" in str(error):
            raise ValueError(f"larger than {MAX_PICTURE_PIXELS / 1e6:.0f} megapixels") from error
        raise ValueError(f"OpenCV refuses it: {' '.join(str(error).split())[:120]}") from error
    if picture is None:
        raise ValueError("no picture that OpenCV can read")
    return np.asarray(picture, np.uint8)
