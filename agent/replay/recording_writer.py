"""The writers of a recording: whole lines only, and a file's name only once it has content."""

import errno
import os
from pathlib import Path
from typing import Self


class RecordingWriter:
    """A file of whole lines, written beside ``path`` and renamed at the end.

    OSError where the disk refuses a line: the lines before it are kept, if there are any besides ``header``.
    FileExistsError if ``path`` exists. After a power cut the lines stand in ``path`` + ``.new``.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self.path, self._partial, self._header = path, path.with_name(path.name + ".new"), header
        try:
            self._file = open(self._partial, "xb", buffering=0, opener=_private)  # noqa: SIM115  closed on exit
        except FileExistsError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        self.end = self._count = 0
        """Bytes so far, and lines."""

    def __enter__(self) -> Self:
        try:
            self.write(self._header)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._file.closed:
            return
        self._file.close()
        if self.kept:
            self._partial.rename(self.path)
        else:
            self._partial.unlink()

    @property
    def kept(self) -> bool:
        """Whether there is a line besides the header."""
        return self._count > 1

    def write(self, line: bytes) -> None:
        """Adds a line, in full or not at all."""
        try:
            rest = line + b"\n"
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._file.truncate(self.end)
            kept = f"; the {self._count - 1} before are kept" if self._count > 1 else ""
            raise OSError(error.errno, f"{error.strerror}{kept}", str(self.path)) from error
        self.end, self._count = self._file.tell(), self._count + 1

    def sync(self) -> None:
        """Makes the lines so far durable. OSError."""
        os.fsync(self._file.fileno())


class RotatedRecording:
    """A recording in files of at most ``max_bytes``, of which the latest ``keep`` stay.

    The first file is ``path``, the next ones have a number before the suffix: ``day.2.jsonl``. Each has the
    header, and can be replayed by itself. Errors as of `RecordingWriter`.
    """

    def __init__(self, path: Path, header: bytes, *, max_bytes: int, keep: int) -> None:
        self._path, self._header, self._max_bytes, self._keep = path, header, max_bytes, keep
        self._part = RecordingWriter(path, header)
        self._number = 1
        self.deleted = 0
        """How many of the oldest files went."""
        self.paths = [path]
        """The files that stay, oldest first."""

    def __enter__(self) -> Self:
        self._part.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._part.__exit__()
        if not self._part.kept and self._part.path in self.paths:
            self.paths.remove(self._part.path)

    def write(self, line: bytes) -> None:
        """Adds a line, in full or not at all; in a file of its own where it is longer than ``max_bytes``."""
        if self._part.kept and self._part.end + len(line) + 1 > self._max_bytes:
            self._rotate()
        self._part.write(line)

    def sync(self) -> None:
        """Makes the lines so far durable. OSError."""
        self._part.sync()

    def _rotate(self) -> None:
        self._part.sync()
        self._part.__exit__()
        while len(self.paths) >= self._keep:
            self.paths.pop(0).unlink(missing_ok=True)
            self.deleted += 1
        path = self._next_path()
        self._part = RecordingWriter(path, self._header).__enter__()
        self.paths.append(path)

    def _next_path(self) -> Path:
        """The next number that no earlier recording has."""
        while True:
            self._number += 1
            path = self._path.with_name(f"{self._path.stem}.{self._number}{self._path.suffix}")
            if not path.exists() and not path.with_name(path.name + ".new").exists():
                return path


def _private(path: str, flags: int) -> int:
    """Opens a file for its owner only: a recording contains the places of patrols."""
    return os.open(path, flags, 0o600)
