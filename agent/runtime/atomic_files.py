"""Files that are whole or not there."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from models.detection import Frame

PICTURES = frozenset({".jpg", ".jpeg", ".png"})


def read_words(path: Path, most: int = -1) -> str:
    """The text in a file, or its first ``most`` bytes. OSError, or ValueError where it is none."""
    with path.open("rb") as file:
        data = file.read(most)
    return text_of(path, data)


def text_of(path: Path, data: bytes) -> str:
    """The text that ``data``, read from ``path``, is. ValueError where it is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text") from error


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file that holds the old bytes or the new ones whenever power goes. OSError if it can't."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_beside(path: Path, data: bytes) -> Path:
    """Writes a file and returns where: what is there already stays, another of that name goes beside it.

    The folder and what is in it are for their owner only. OSError where it can't be written. One process may
    write into a folder at a time.
    """
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        if path.is_file() and path.read_bytes() == data:
            return path
        path = path.with_name(f"{path.stem}~{hashlib.sha256(data).hexdigest()[:12]}{path.suffix}")
        if path.is_file():
            return path
    write_durably(path, data)
    path.chmod(0o600)
    return path


def write_picture(path: Path, picture: Frame) -> None:
    """Writes a .jpg or .png. OSError where it can't be written, ValueError where its name ends otherwise."""
    import cv2

    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"{path}: write to a .jpg or .png file")
    good, data = cv2.imencode(path.suffix, picture)
    if not good:
        raise ValueError(f"{path}: no picture that can be written")
    write_durably(path, data.tobytes())
