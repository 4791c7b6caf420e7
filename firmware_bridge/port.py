"""A serial line that says when it is gone: opened anew by its path each time, held by one reader only.

The only file with pyserial, which opens and configures; the bytes are read with ``os.read`` on the loop.
"""

import asyncio
import errno
import fcntl
import os
import stat
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

READ_SIZE = 4096


class Port:
    """An open line. Made by `open_port`."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path

    async def read(self, quiet_after_s: float | None = None) -> bytes | None:
        """The bytes that are there, at least one; None where none came for ``quiet_after_s``.

        OSError when the line is gone (unplugged, hung up, the far end of a pty closed).
        """
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._fd, _wake, ready)
        try:
            async with asyncio.timeout(quiet_after_s):
                await ready
        except TimeoutError:
            return None
        finally:
            loop.remove_reader(self._fd)
        data = os.read(self._fd, READ_SIZE)
        if not data:
            raise OSError(errno.EIO, f"{self._path}: unplugged (end of file)")
        return data

    def write(self, data: bytes) -> None:
        """Sends a few bytes; what a stuck line does not take is dropped, and OSError says so."""
        sent = os.write(self._fd, data)
        if sent < len(data):
            raise OSError(errno.EAGAIN, f"{self._path}: the line does not take what is sent")


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


@contextmanager
def open_port(path: str, baud: int) -> Iterator[Port]:
    """The line at ``path``, which may be a symlink, at ``baud``; closed on leaving.

    OSError with one clear line: it is not there, no right to open it, or who else holds it.
    """
    import serial

    if not Path(path).exists():
        raise FileNotFoundError(errno.ENOENT, f"{path} is not there: unplugged, or named otherwise")
    if not stat.S_ISCHR(Path(path).stat().st_mode):
        raise OSError(errno.ENOTTY, f"{path} is no serial device")
    try:
        line = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
    except (OSError, termios.error, ValueError) as error:
        raise OSError(_reason(path, baud, error)) from error
    fd = line.fileno()
    try:
        with suppress(OSError):  # a pty and some adapters know neither
            fcntl.ioctl(fd, termios.TIOCEXCL)
        with suppress(termios.error):  # closing must not reset a microcontroller
            attributes = termios.tcgetattr(fd)
            attributes[2] &= ~termios.HUPCL
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
        yield Port(fd, path)
    finally:
        with suppress(OSError, termios.error):
            fcntl.ioctl(fd, termios.TIOCNXCL)
        with suppress(OSError, termios.error):
            line.close()


def _reason(path: str, baud: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return f"{path}: no right to open it; add this user to the group dialout"
    if number in (errno.EAGAIN, errno.EBUSY, errno.EWOULDBLOCK):
        holders = ", ".join(held_by(path)) or "another program"
        return f"{path} is taken by {holders}"
    if isinstance(error, ValueError):
        return f"{path}: the speed {baud} is not one that it can"
    return f"{path}: {os.strerror(number) if number else error}"


def held_by(path: str) -> list[str]:
    """Who has the device open, as ``name (pid)``; those that we may not look at are left out."""
    device = os.path.realpath(path)
    found = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            if any(str(link.readlink()) == device for link in folder.iterdir()):
                name = (folder.parent / "comm").read_text().strip()
                found.append(f"{name} ({folder.parent.name})")
    return found
