"""Files that are replaced atomically, so that each is whole or absent."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from agent.host.disk import writing
from models.detection import Frame

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def read_utf8(path: Path, max_bytes: int = -1) -> str:
    """The text in a file, or its first ``max_bytes`` bytes. OSError, or ValueError where it is not UTF-8."""
    with path.open("rb") as file:
        data = file.read(max_bytes)
    return decode_utf8(path, data)


def decode_utf8(path: Path, data: bytes) -> str:
    """``data``, read from ``path``, as text. ValueError where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text") from error


def write_durably(path: Path, data: bytes) -> None:
    """Replaces a file atomically: after a power cut it holds the old bytes or the new. OSError on failure."""
    beside = path.with_name(path.name + ".new")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
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
    """Writes a file without replacing another; returns its path, which has a hash where the name is taken.

    The folder and its files are readable by their owner only. OSError on failure. One process may write into
    a folder at a time.
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
    """Writes a .jpg or .png. OSError on failure, ValueError for another suffix."""
    import cv2

    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(f"{path}: write to a .jpg or .png file")
    good, data = cv2.imencode(path.suffix, picture)
    if not good:
        raise ValueError(f"{path}: the picture can't be encoded")
    write_durably(path, data.tobytes())


def create_private(path: Path) -> None:
    """Makes an empty file of mode 0600, or gives the file that is there this mode.

    It opens no file that is there: closing a descriptor frees all POSIX locks that this process has on the
    file, those of SQLite too. OSError.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        path.chmod(0o600)
