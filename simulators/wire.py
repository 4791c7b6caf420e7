"""The hardware side of a serial line: a pty with a stable name, which can be unplugged and plugged in
again.
"""

import asyncio
import os
import pty
import select
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from simulators.line_faults import LineFault, misread

_SPEEDS = {
    getattr(termios, f"B{rate}"): rate
    for rate in (4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
}

OPENED_EVERY_S = 0.02
"""How often a closed line is asked whether it was opened."""


class Wire:
    """``path`` is a symlink to the pty, as udev makes one for hardware; it is removed while unplugged.

    With ``baud`` the hardware side sends at that speed: a listener at another speed gets what a UART would
    read. ``line_fault`` is the line's fault, such as one of `simulators.line_faults.LINE_FAULTS`.
    """

    def __init__(self, path: Path, baud: int | None = None) -> None:
        self.path = path
        self.baud = baud
        self.line_fault: LineFault = bytes
        self.line_fault_from_agent: LineFault = bytes
        """The fault of the other direction."""
        self.bytes_to_agent = 0
        """How many bytes were written on an open line, as far as `line_fault` let them through."""
        self._master: int | None = None
        self._mute: list[int] = []
        self._on_received: Callable[[], None] | None = None
        self._watched: int | None = None
        """The master that the loop watches."""
        self.plug()

    @property
    def plugged(self) -> bool:
        return self._master is not None

    def plug(self, path: Path | None = None) -> None:
        """A new device under the same name, or another."""
        self.unplug()
        self.path = path or self.path
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        os.close(slave)
        self._master = master

    @property
    def on_received(self) -> Callable[[], None]:
        """Called by the running loop when there may be something to read."""
        return self._on_received or (lambda: None)

    @on_received.setter
    def on_received(self, callback: Callable[[], None]) -> None:
        self._on_received = callback
        self._watch(asyncio.get_running_loop())

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watches the master while a process has the line open: a closed pty is always readable. The kernel
        tells nobody when it is opened, so that is looked up every `OPENED_EVERY_S`."""
        if loop.is_closed() or self._on_received is None:
            return
        if self._master is not None and self.is_open():
            self._watched = self._master
            loop.add_reader(self._master, self._readable, loop)
        else:
            loop.call_later(OPENED_EVERY_S, self._watch, loop)

    def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        self.on_received()
        if not self.is_open():
            self._unwatch(loop)

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watched is not None:
            loop.remove_reader(self._watched)
            self._watched = None
            loop.call_later(OPENED_EVERY_S, self._watch, loop)

    def _let_go(self) -> None:
        """Before the master is closed or kept mute."""
        with suppress(RuntimeError):  # no loop runs, so that none watches
            self._unwatch(asyncio.get_running_loop())

    def unplug(self) -> None:
        """The device vanishes: its reader gets an error, its path is removed."""
        if self._master is not None:
            self._let_go()
            self.path.unlink(missing_ok=True)
            os.close(self._master)
            self._master = None

    def go_mute(self) -> None:
        """As after a USB reset in the kernel: the path is removed, and the reader gets neither error nor
        bytes.
        """
        if self._master is not None:
            self._let_go()
            self.path.unlink(missing_ok=True)
            self._mute.append(self._master)
            self._master = None

    def reader_baud(self) -> int:
        """The speed that the process with the open line has set."""
        assert self._master is not None  # noqa: S101  asked of a plugged wire only
        return _SPEEDS[termios.tcgetattr(self._master)[4]]

    def is_open(self) -> bool:
        """Whether a process has the line open."""
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def ready(self) -> bool:
        """Whether our port is open and configured, so that everything written from now on is read.

        `is_open` is true earlier, while opening the port still drops received bytes. The port clears HUPCL
        as its last step; it is set again here while no process has the line open.
        """
        if self._master is None:
            return False
        attributes = termios.tcgetattr(self._master)
        if not self.is_open():
            attributes[2] |= termios.HUPCL
            termios.tcsetattr(self._master, termios.TCSANOW, attributes)
            return False
        return not attributes[2] & termios.HUPCL

    def write(self, data: bytes) -> int:
        """Sends ``data``; unread data is lost, as on a real line. Returns the number of bytes sent."""
        if self._master is None or not self.is_open():
            return 0
        data = self.line_fault(data)
        if self.baud is not None and (listening := self.reader_baud()) != self.baud:
            data = misread(data, self.baud, listening)
        with suppress(BlockingIOError, OSError):
            written = os.write(self._master, data)
            self.bytes_to_agent += written
            return written
        return 0

    def read(self) -> bytes:
        """The bytes received since the last call."""
        if self._master is None:
            return b""
        with suppress(BlockingIOError, OSError):
            return self.line_fault_from_agent(os.read(self._master, 4096))
        return b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._on_received = None
        self.unplug()
        for master in self._mute:
            os.close(master)
