"""What a process sets before it does anything: private files, and three standard descriptors."""

import os
import stat
import sys
from pathlib import Path

from agent.runtime.sanitize import plain

PRIVATE_UMASK = 0o077
"""What is written is for its owner only: alerts, positions, pictures, keys."""


def prepare_process() -> None:
    """Sets the umask, opens standard descriptors that are closed, and cleans what is printed."""
    os.umask(PRIVATE_UMASK)
    _open_standard_descriptors()
    sys.stdout, sys.stderr = plain(sys.stdout), plain(sys.stderr)


def _open_standard_descriptors() -> None:
    """Started with one closed, the next file that is opened gets its number: what a library then prints goes
    into a database, and Python has no stream to report to."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115  for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115  for good


OURS = ("alerts.db*", "telemetry*", "media*", "egress*.jsonl", "config", "evidence")
"""What an agent keeps in its data folder."""


def make_private(folder: Path) -> None:
    """Takes the rights of group and others from what an agent keeps in ``folder``: one of before wrote with
    the umask of whoever started it. The folder itself too, where nothing else is in it."""
    inside = list(folder.iterdir())
    ours = [path for path in inside if any(path.match(name) for name in OURS)]
    for path in ours:
        for one in (path, *path.rglob("*")):
            _make_private(one)
    if len(ours) == len(inside):
        _make_private(folder)


def _make_private(path: Path) -> None:
    try:
        known = path.lstat()
        if known.st_uid == os.geteuid() and not stat.S_ISLNK(known.st_mode) and known.st_mode & PRIVATE_UMASK:
            path.chmod(stat.S_IMODE(known.st_mode) & ~PRIVATE_UMASK)
    except OSError:  # gone meanwhile, or a disk that can only be read
        return
