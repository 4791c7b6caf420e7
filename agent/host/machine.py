"""The machine that the process runs on: its files in /proc and /sys, its disk, its memory, its software."""

import asyncio
import ctypes
import os
import platform
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


class Machine:
    """This machine."""

    root = Path("/")
    """Above ``proc`` and ``sys``."""

    def disk_room(self, folder: Path) -> os.statvfs_result:
        """The room on the disk of ``folder``. OSError."""
        return os.statvfs(folder)

    def software(self) -> dict[str, str]:
        """The versions of ``ringpost`` and ``python``."""
        try:
            version = metadata.version("ringpost")
        except metadata.PackageNotFoundError:
            version = "0+unknown"
        return {"ringpost": version, "python": platform.python_version()}

    def task_count(self) -> int:
        """How many tasks the process has."""
        return len(asyncio.all_tasks())

    def trim_heap(self) -> None:
        """Returns free memory of the process to the kernel; blocking."""
        with suppress(AttributeError, OSError):
            libc().malloc_trim(0)


_MACHINE: ContextVar[Machine] = ContextVar("machine", default=Machine())  # noqa: B039  it has no state


def use_machine(machine: Machine) -> Token[Machine]:
    """Makes ``machine`` that of the present context, and of all tasks that it starts from now on."""
    return _MACHINE.set(machine)


def machine_root() -> Path:
    """Above ``proc`` and ``sys``."""
    return _MACHINE.get().root


def disk_room(folder: Path) -> os.statvfs_result:
    """The room on the disk of ``folder``. OSError."""
    return _MACHINE.get().disk_room(folder)


def software() -> dict[str, str]:
    """The versions of ``ringpost`` and ``python``."""
    return _MACHINE.get().software()


def task_count() -> int:
    """How many tasks the process has."""
    return _MACHINE.get().task_count()


def trim_heap() -> None:
    """Returns free memory to the kernel. Call it seldom, on a worker thread: other threads wait meanwhile."""
    _MACHINE.get().trim_heap()
