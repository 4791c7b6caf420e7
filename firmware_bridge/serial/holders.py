"""Which processes have a device open, for the message about a busy port."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")

_seen: dict[str, set[int]] = {}
"""The processes that had a device open at the last full search, which takes 10 ms and more."""


def held_by(path: str | Path, proc: Path = PROC) -> list[str]:
    """The processes that have locked the device, or have it open, as ``name (pid)``."""
    device = os.path.realpath(path)
    pids: set[int] = set()
    with suppress(OSError, ValueError):
        pids = _locked_by(device, proc / "locks")
    pids = pids or {pid for pid in _seen.get(device, ()) if _has_open(proc / str(pid) / "fd", device)}
    if not pids:
        pids = {int(folder.parent.name) for folder in proc.glob("[0-9]*/fd") if _has_open(folder, device)}
        _seen[device] = pids
    return [f"{_name(proc / str(pid))} ({pid})" for pid in sorted(pids)]


def _has_open(folder: Path, device: str) -> bool:
    """``folder`` is ``/proc/PID/fd``. Other users' processes, and processes that just ended, can't be
    read.
    """
    with suppress(OSError), os.scandir(folder) as links:
        for link in links:
            with suppress(OSError):
                if os.readlink(link.path) == device:  # noqa: PTH115  thousands of them
                    return True
    return False


def _locked_by(device: str, locks: Path) -> set[int]:
    """``1: FLOCK  ADVISORY  WRITE 4711 00:17:8 0 EOF``: every user may read who has a lock on which file."""
    found = os.stat(device)  # noqa: PTH116  only its device numbers
    name = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    rows: Iterable[list[str]] = (line.split() for line in locks.read_text().splitlines())
    return {int(row[4]) for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5] == name}


def _name(folder: Path) -> str:
    """The process's name; for a Python program the script or module instead of the interpreter."""
    name = "a program"
    with suppress(OSError):
        name = (folder / "comm").read_text().strip()
    if not name.startswith("python"):
        return name
    with suppress(OSError):
        arguments = (folder / "cmdline").read_text().split("\0")[1:]
        if arguments[0] == "-m":
            return f"{name} -m {arguments[1]}"
        if arguments[0] and not arguments[0].startswith("-"):
            return Path(arguments[0]).name
    return name
