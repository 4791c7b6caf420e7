"""The disk of a simulated device: its faults, and what a power cut leaves of it.

Real means where there are some: on a full disk no file of the outbox grows (RLIMIT_FSIZE), so that SQLite
meets the refusal where it writes, and the room that was reserved goes on being good. All else is refused or
delayed at the border `agent.host.disk`.
"""

import errno
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from agent.host.disk import Disk
from agent.outbox.database import FullError
from simulators.virtual.incarnation import Incarnation
from simulators.virtual.worker import pass_time

INDEX_HEAD = 40
WAL_HEAD, FRAME_HEAD = 32, 24
"""Sizes in bytes, https://www.sqlite.org/fileformat2.html#walformat and walformat.html."""


_SAID = {errno.EROFS: "attempt to write a readonly database", errno.EIO: "disk I/O error"}
"""As SQLite says it."""


class _WalPosition(NamedTuple):
    """Where the log of a database ended when it was last safe from a power cut."""

    salt: bytes
    size: int


class VirtualDisk(Disk):
    """See `simulators.stage.StagedDisk`."""

    def __init__(self) -> None:
        self.errors = 0
        self.incarnation: Incarnation | None = None
        """The present life of the agent: while the disk is slow, its work for executors takes time."""
        self.full = False
        self._refusal: int | None = None
        self._slow_s = 0.0
        self._safe: dict[str, _WalPosition] = {}

    def set_full(self, full: bool) -> None:
        self.full = full

    def set_read_only(self, read_only: bool) -> None:
        self._refusal = errno.EROFS if read_only else None

    def set_io_error(self, failing: bool) -> None:
        self._refusal = errno.EIO if failing else None

    def set_slow(self, seconds: float) -> None:
        self._slow_s = seconds
        self.began(self.incarnation)

    def began(self, incarnation: Incarnation | None) -> None:
        """Another life of the agent."""
        self.incarnation = incarnation
        if incarnation is not None:
            incarnation.slow = self._slow_s > 0

    @contextmanager
    def writing(self, path: Path, *, durable: bool) -> Iterator[None]:
        if self._slow_s:
            self.errors += 1
            pass_time(self._slow_s)
        database = path.suffix == ".db"
        if self._refusal is not None:
            self.errors += 1
            raise (
                OSError(f"{path.name}: {_SAID[self._refusal]}") if database else _refused(path, self._refusal)
            )
        if not self.full:
            yield
        elif database:
            with self._not_growing(path):
                yield
        else:
            self.errors += 1
            raise _refused(path, errno.ENOSPC)
        if database and durable:
            with suppress(OSError, ValueError):
                self._safe[str(path)] = _wal_position(path)

    @contextmanager
    def _not_growing(self, path: Path) -> Iterator[None]:
        """SQLite reports EFBIG as an I/O error; on a full disk it would say that it is full."""
        parts = (path, path.with_name(path.name + "-wal"))
        room = max((part.stat().st_size for part in parts if part.exists()), default=0)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            yield
        except OSError as error:
            self.errors += 1
            raise FullError(f"{path.name}: database or disk is full") from error
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def lose_unsynced(self, folder: Path, frozen: Path) -> None:
        """Cuts the logs in ``frozen``, a copy of ``folder``, to what was safe from a power cut.

        What SQLite has committed without waiting for the disk is gone; all other files are as they were: they
        were synced before they got their names, except ``health.json`` and the history.
        """
        for log in frozen.rglob("*.db-wal"):
            path = folder / log.relative_to(frozen)
            safe = self._safe.get(str(path)[: -len("-wal")])
            with log.open("r+b") as file:
                salt = file.read(WAL_HEAD)[16:24]
                file.truncate(safe.size if safe is not None and safe.salt == salt else 0)
            log.with_name(log.name.removesuffix("-wal") + "-shm").unlink(missing_ok=True)
        self._safe.clear()


def _wal_position(path: Path) -> _WalPosition:
    """From the index of the log, in the byte order of this machine; an empty log has no salt."""
    with path.with_name(path.name + "-shm").open("rb") as file:
        head = file.read(INDEX_HEAD)
    if len(head) < INDEX_HEAD:
        raise ValueError(f"{path}: no index of its log")
    page = int.from_bytes(head[14:16], sys.byteorder)
    page = 65_536 if page == 1 else page
    frames = int.from_bytes(head[16:20], sys.byteorder)
    return _WalPosition(head[32:40], WAL_HEAD + frames * (FRAME_HEAD + page))


def _refused(path: Path, code: int) -> OSError:
    """Without the folder, which differs from run to run."""
    return OSError(code, os.strerror(code), path.name)
