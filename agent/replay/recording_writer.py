"""The writer of a recording: whole lines only, and its name only once it has content."""

import errno
import os
from pathlib import Path
from typing import Self


class RecordingWriter:
    """A file of whole lines, written beside ``path`` and renamed at the end.

    OSError where the disk refuses a line: the lines before it are kept, if there are any besides ``header``.
    FileExistsError if ``path`` exists.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self._path, self._partial, self._header = path, path.with_name(path.name + ".new"), header
        try:
            self._file = open(self._partial, "xb", buffering=0, opener=_private)  # noqa: SIM115  closed on exit
        except FileExistsError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        self._end = self._count = 0

    def __enter__(self) -> Self:
        try:
            self.write(self._header)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._count > 1:
            self._partial.rename(self._path)
        else:
            self._partial.unlink()

    def write(self, line: bytes) -> None:
        """Adds a line, in full or not at all."""
        try:
            rest = line + b"\n"
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._file.truncate(self._end)
            kept = f"; the {self._count - 1} before are kept" if self._count > 1 else ""
            raise OSError(error.errno, f"{error.strerror}{kept}", str(self._path)) from error
        self._end, self._count = self._file.tell(), self._count + 1


def _private(path: str, flags: int) -> int:
    """Opens a file for its owner only: a recording contains the places of patrols."""
    return os.open(path, flags, 0o600)
