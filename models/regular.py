"""Reads a regular file of a limited size."""

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, most_bytes: int) -> bytes:
    """All bytes of ``path``. OSError where it is not a regular file, ValueError above ``most_bytes``."""
    _hold_to_regular(path.stat(), path)  # before opening: opening a device may have effects
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(number, "rb") as file:
        _hold_to_regular(os.fstat(number), path)  # and after, in case the file was replaced
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"{path}: larger than {most_bytes} bytes")
    return data


def _hold_to_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
