"""Prepares the process: private files, and three open standard descriptors."""

import os
import stat
import sys
from pathlib import Path

from agent.runtime.sanitize import escaping_stream

PRIVATE_UMASK = 0o077
"""Files are for their owner only: alerts, positions, pictures, keys."""


def prepare_process() -> None:
    """Sets the umask, opens closed standard descriptors, and escapes control characters in output."""
    os.umask(PRIVATE_UMASK)
    _open_standard_descriptors()
    sys.stdout, sys.stderr = escaping_stream(sys.stdout), escaping_stream(sys.stderr)


def _open_standard_descriptors() -> None:
    """Where a descriptor is closed, the next opened file gets its number: the output of a library would go
    into a database, and Python would have no stream for errors."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115  for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115  for good


OURS = (
    "alerts.db*",
    "telemetry*",
    "media*",
    "egress*.jsonl",
    "audit",
    "identity",
    "config",
    "evidence",
    "health.json*",
    "history",
    "console.sock",
)
"""The files and folders of an agent in its data folder."""


def make_private(folder: Path) -> None:
    """Removes the rights of group and others from the agent's files in ``folder``, which older versions wrote
    with the umask of their caller. Also from the folder itself, where it holds nothing else."""
    inside = list(folder.iterdir())
    ours = [path for path in inside if any(path.match(name) for name in OURS)]
    for path in ours:
        for file in (path, *path.rglob("*")):
            _make_private(file)
    if len(ours) == len(inside):
        _make_private(folder)


def _make_private(path: Path) -> None:
    try:
        known = path.lstat()
        if known.st_uid == os.geteuid() and not stat.S_ISLNK(known.st_mode) and known.st_mode & PRIVATE_UMASK:
            path.chmod(stat.S_IMODE(known.st_mode) & ~PRIVATE_UMASK)
    except OSError:  # gone meanwhile, or a disk that can only be read
        return
