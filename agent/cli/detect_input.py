"""The input of ``ringpost detect``: finds files and decodes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import MAX_PICTURE_PIXELS
from agent.runtime.error_text import error_reason
from models.detection import Frame
from models.picture import TOO_LARGE, decode_picture

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".ts", ".mjpg"})


@dataclass(frozen=True)
class InputFile:
    """A file, the input directory that it was found in, and its image id in a COCO file."""

    path: Path
    root: Path
    image_id: int | None = None


@dataclass(frozen=True)
class InputFrame:
    """A decoded picture, or a video frame named ``file:number``; ``error`` where ``frame`` is None."""

    file: InputFile
    name: str
    frame: "Frame | None"
    error: str = ""


def list_files(inputs: Sequence[str], coco: dict[str, Any] | None) -> Iterator[InputFile]:
    """Each file of ``inputs``, directories expanded; with a COCO file, only the files that it lists."""
    if coco is not None:
        folders = [Path(name) if Path(name).is_dir() else Path(name).parent for name in inputs]
        for image in coco["images"]:
            candidates = [
                folder / name
                for folder in folders
                for name in (image["file_name"], Path(image["file_name"]).name)
            ]
            path = next((path for path in candidates if path.is_file()), candidates[0])
            yield InputFile(path, path.parent, image["id"])
        return
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            members = sorted(
                part for part in path.rglob("*") if part.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES
            )
            if not members:
                raise FileNotFoundError(f"{path}: contains no pictures or videos")
            yield from (InputFile(part, path) for part in members)
        elif path.exists():
            yield InputFile(path, path.parent)
        else:
            raise FileNotFoundError(f"{path}: not found")


def decode_files(files: Sequence[InputFile]) -> Iterator[InputFrame]:
    """Decodes each picture, and each frame of each video."""
    from agent.vision.video_file import frames

    for file in files:
        try:
            if file.path.suffix.lower() in VIDEO_SUFFIXES:
                for number, _, frame in frames(str(file.path)):
                    yield InputFrame(file, f"{file.path}:{number:06d}", frame)
            else:
                yield InputFrame(file, str(file.path), read_picture(file.path))
        except (OSError, ValueError) as error:
            reason = error_reason(error)
            yield InputFrame(file, str(file.path), None, reason.removeprefix(f"{file.path}: "))


def read_picture(path: Path) -> Frame:
    """The pixels of a picture file. OSError, or ValueError where it can't be decoded."""
    try:
        return decode_picture(path.read_bytes())
    except ValueError as error:
        if str(error) == TOO_LARGE:
            raise ValueError(f"larger than {MAX_PICTURE_PIXELS / 1e6:.0f} megapixels") from error
        raise
