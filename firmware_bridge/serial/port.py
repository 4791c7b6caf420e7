"""An open serial port that detects its loss: opened again by its path each time, by one reader only.

The only file with pyserial, which opens and configures. A device is opened and closed in a thread: an adapter
that hangs delays either by many seconds.
"""

import asyncio
import errno
import fcntl
import grp
import os
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from firmware_bridge.serial import tcp
from firmware_bridge.serial.devices import is_pty, is_serial
from firmware_bridge.serial.holders import held_by
from firmware_bridge.serial.stream import Stream

if TYPE_CHECKING:
    from serial import Serial


class Port(Stream):
    """An open serial device."""

    lost_reason: ClassVar[str] = "unplugged"

    def __init__(self, line: "Serial", path: str) -> None:
        self._line = line
        self._opened = os.fstat(line.fileno())
        super().__init__(line.fileno(), path, None if is_pty(self._opened) else line.baudrate)

    def set_speed(self, baud: int) -> None:
        try:
            self._line.baudrate = baud
        except (OSError, termios.error, ValueError) as error:
            raise OSError(_error_text(self.name, baud, error)) from error
        _set_line_flags(self.fd)
        self.speed = baud

    def check_identity(self) -> None:
        """A device that came back under another name leaves the old descriptor open and silent."""
        try:
            now = Path(self.name).stat()
        except OSError as error:
            raise OSError(errno.ENODEV, f"{self.name}: unplugged (its path is gone)") from error
        if not os.path.samestat(now, self._opened):
            raise OSError(errno.ENODEV, f"{self.name} is a different device now")

    def close(self) -> None:
        """Discards output that a stuck device has not accepted: the kernel would wait for it."""
        with suppress(OSError, termios.error):
            if self.has_pending_output:
                termios.tcflush(self.fd, termios.TCOFLUSH)
            fcntl.ioctl(self.fd, termios.TIOCNXCL)
        with suppress(OSError, termios.error):
            self._line.close()


OpenPort: TypeAlias = Callable[[str, int | None, str], AbstractAsyncContextManager[Stream]]
"""Opens a path at a speed with a parity, see `open_port`."""


def use_ports(opener: OpenPort) -> None:
    """Makes ``opener`` that of the present context, and of all tasks that it starts from now on: a simulation
    has lines without devices."""
    _OPENER.set(opener)


@asynccontextmanager
async def open_port(path: str, baud: int | None = None, parity: str = "none") -> AsyncIterator[Stream]:
    """The line at ``path``, a device or a symlink to one, or ``tcp://host:port``; closed on leaving.

    ``baud`` None leaves the speed that the device has; ``parity`` is none, even or odd. OSError with one
    clear line: not found, no right to open it, or the process that holds it.
    """
    async with _OPENER.get()(path, baud, parity) as stream:
        yield stream


@asynccontextmanager
async def _open_device(path: str, baud: int | None, parity: str) -> AsyncIterator[Stream]:
    if path.startswith("tcp://"):
        with await tcp.connect(*tcp.split_address(path)) as connection:
            stream = Stream(connection.fileno(), path)
            try:
                yield stream
            finally:
                stream.detach()
        return
    port = Port(await asyncio.to_thread(_open, path, baud, parity), path)
    try:
        yield port
    finally:
        port.detach()
        await asyncio.to_thread(port.close)


_OPENER: ContextVar[OpenPort] = ContextVar("ports", default=_open_device)


def _open(path: str, baud: int | None, parity: str) -> "Serial":
    """The port, opened, locked and configured. A port that was abandoned meanwhile is closed by garbage
    collection.
    """
    import serial

    if not Path(path).exists():
        raise FileNotFoundError(errno.ENOENT, f"{path} not found: unplugged or renamed")
    device = Path(path).stat()
    if not is_serial(device):
        raise OSError(errno.ENOTTY, f"{path} is not a serial device")
    if not is_pty(device) and (holders := held_by(path)):  # one process may hold both ends of a pty
        raise OSError(errno.EBUSY, f"{path} is in use by {', '.join(holders)}")
    try:
        speed = baud or _current_speed(path)
        line = serial.Serial(
            path, speed, parity=parity[0].upper(), timeout=0, write_timeout=0, exclusive=True
        )
    except (OSError, termios.error, ValueError) as error:
        raise OSError(_error_text(path, baud, error)) from error
    with suppress(OSError):  # some adapters don't support it
        fcntl.ioctl(line.fileno(), termios.TIOCEXCL)
    _set_line_flags(line.fileno())
    return line


def _set_line_flags(fd: int) -> None:
    """Sets the flags that pyserial resets each time it sets a speed."""
    with suppress(termios.error):
        attributes = termios.tcgetattr(fd)
        attributes[0] &= ~termios.BRKINT  # a break, frequent at a wrong speed, must not flush
        attributes[2] &= ~termios.HUPCL  # closing must not reset a microcontroller
        attributes[6][termios.VMIN] = 1  # an empty read means that the device is lost, not that it is silent
        termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _current_speed(path: str) -> int:
    """The speed that the device was last used with, which is likely still right."""
    import serial

    codes = {
        getattr(termios, f"B{rate}"): rate for rate in serial.Serial.BAUDRATES if hasattr(termios, f"B{rate}")
    }
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return codes.get(termios.tcgetattr(fd)[4], 9600)
    finally:
        os.close(fd)


def _owner_group(path: str) -> str:
    """The group that may open the device; dialout almost everywhere."""
    with suppress(OSError, KeyError):
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    return "dialout"


def _error_text(path: str, baud: int | None, error: Exception) -> str:
    number = error.args[0] if isinstance(error, termios.error) else getattr(error, "errno", None)
    if number == errno.ENOTTY:
        return f"{path} is not a serial device"
    if number in (errno.EACCES, errno.EPERM):
        return f"{path}: permission denied; add this user to the group {_owner_group(path)}"
    if number in (errno.EAGAIN, errno.EBUSY, errno.EWOULDBLOCK):
        holders = ", ".join(held_by(path)) or "another program"
        return f"{path} is in use by {holders}"
    if isinstance(error, ValueError):
        return f"{path}: the speed {baud} is not supported"
    return f"{path}: {os.strerror(number) if number else error}"
