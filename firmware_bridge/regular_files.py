"""Reads a regular file that a configuration names, with a limit on size and time.

A FIFO, a terminal or ``/dev/zero`` never ends, a sparse file fills memory, and a stale network mount hangs
where no timeout of the kernel applies. Each of these is an OSError here. Its text never quotes the file.
"""

import os
import stat
import threading
from pathlib import Path

KIB = 1024
WITHIN_S = 5.0
"""A working disk answers within this time."""
MOST_HANGING = 8
"""The maximum number of reads that may hang at once; further reads are refused."""
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_hanging: list[threading.Thread] = []


def read_regular(path: Path, most: int, within_s: float = WITHIN_S) -> bytes:
    """The content of the file at ``path``, at most ``most`` bytes.

    OSError with ``filename`` where the file is missing, not regular, larger, or not read within
    ``within_s`` seconds (TimeoutError).
    """
    _hanging[:] = [thread for thread in _hanging if thread.is_alive()]
    if len(_hanging) >= MOST_HANGING:
        raise TimeoutError(None, f"not read: {len(_hanging)} earlier reads hang", str(path))
    answer: list[bytes | OSError] = []
    thread = threading.Thread(target=_read_into, args=(answer, path, most), name="read", daemon=True)
    thread.start()
    thread.join(within_s)
    if not answer:
        _hanging.append(thread)
        raise TimeoutError(None, f"not read within {within_s:g} s: does its disk hang?", str(path))
    if isinstance(answer[0], OSError):
        raise answer[0]
    return answer[0]


def _read_into(answer: list[bytes | OSError], path: Path, most: int) -> None:
    try:
        answer.append(_read(path, most))
    except OSError as error:
        answer.append(error)
    except ValueError as error:  # a name with a NUL in it
        answer.append(OSError(None, str(error), str(path)))


def _read(path: Path, most: int) -> bytes:
    _check(path.stat(), path, most)  # before opening: opening /dev/ptmx alone creates a terminal
    descriptor = os.open(path, _OPEN)
    try:
        _check(os.fstat(descriptor), path, most)
        data = b""
        while len(data) <= most and (more := os.read(descriptor, min(most + 1 - len(data), 1 << 20))):
            data += more
    finally:
        os.close(descriptor)
    if len(data) > most:  # the file grew, or is in /proc, where sizes are 0
        raise _too_large(path, most)
    return data


def _check(found: os.stat_result, path: Path, most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(None, "is a directory; name a file", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "is a device, pipe or socket; name a regular file", str(path))
    if found.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> OSError:
    return OSError(None, f"larger than {most // KIB} KiB", str(path))
