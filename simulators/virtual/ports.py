"""Serial lines without devices: a socket pair for each time that the agent opens one."""

import asyncio
import contextvars
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from firmware_bridge.serial.stream import Stream
from simulators.line_faults import LineFault, misread

DEFAULT_BAUD = 9600
READ_SIZE = MOST_UNREAD = 65_536


class VirtualPort(Stream):
    """The agent's end of a line; it reports what `firmware_bridge.serial.port.Port` does."""

    lost_reason: ClassVar[str] = "unplugged"

    def __init__(self, fd: int, path: str, speed: int, line: "VirtualLine") -> None:
        super().__init__(fd, path, speed)
        self._line = line
        self._plug = line.plug_number

    def set_speed(self, baud: int) -> None:
        self.speed = baud

    def check_identity(self) -> None:
        """OSError where the name of the line is gone, or another device has it."""
        if self._line.path != self.name or not self._line.has_path:
            raise OSError(errno.ENODEV, f"{self.name}: unplugged (its path is gone)")
        if self._line.plug_number != self._plug:
            raise OSError(errno.ENODEV, f"{self.name} is a different device now")


class VirtualLine:
    """The wire of one source; see `simulators.stage.StagedLine`. ``baud``: what the hardware speaks, None for
    a line where the speed does not matter.

    The hardware calls `write` and `read`; ``on_received`` is called when there is something to read, and
    ``on_opened`` when the agent has opened the line.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, baud: int | None = None) -> None:
        self.path = path
        self.baud = baud
        self.line_fault: LineFault = bytes
        self.line_fault_from_agent: LineFault = bytes
        self.bytes_to_agent = self.bytes_from_agent = 0
        self.bytes_held_back = 0
        """Bytes of the hardware that an open line did not carry: it was mute, or a fault kept them."""
        self.opened = 0
        """How often the agent has opened it."""
        self.has_path = True
        self.plug_number = 1
        self.on_received: Callable[[], None] = lambda: None
        self.on_opened: Callable[[], None] = lambda: None
        self._loop = loop
        self._context = contextvars.copy_context()
        """Of the hardware: what happens to it outlives a killed agent."""
        self._mute = False
        self._received = bytearray()
        self._end: socket.socket | None = None
        self._port: VirtualPort | None = None

    @property
    def is_open(self) -> bool:
        return self._end is not None

    @property
    def plugged(self) -> bool:
        return self.has_path

    def unplug(self) -> None:
        """The device vanishes: its reader gets an error, its path is removed."""
        self.has_path = False
        self._hang_up()

    def plug(self, path: str | None = None) -> None:
        self.unplug()
        self.path = path or self.path
        self.has_path, self._mute = True, False
        self.plug_number += 1

    def go_mute(self) -> None:
        """As after a USB reset in the kernel: the path is gone, the reader gets neither error nor bytes."""
        self.has_path, self._mute = False, True

    def write(self, data: bytes) -> int:
        """Sends ``data``; the number of bytes that reached the agent."""
        if self._end is None or self._port is None:
            return 0
        sent = self.line_fault(data)
        if self.baud is not None and self._port.speed != self.baud:
            sent = misread(sent, self.baud, self._port.speed or DEFAULT_BAUD)
        if self._mute:
            self.bytes_held_back += len(data)
            return 0
        self.bytes_held_back += max(0, len(data) - len(sent))
        if not sent:
            return 0
        try:
            count = self._end.send(sent)
        except OSError:  # full, or closed meanwhile: unread data is lost, as on a real line
            return 0
        self.bytes_to_agent += count
        return count

    def read(self) -> bytes:
        """The bytes received since the last call."""
        data = bytes(self._received)
        self._received.clear()
        return data

    @asynccontextmanager
    async def open(self, baud: int | None) -> AsyncIterator[Stream]:
        """The agent opens the line. OSError where it is unplugged or open already."""
        if not self.has_path:
            raise FileNotFoundError(errno.ENOENT, f"{self.path} not found: unplugged or renamed")
        if self._end is not None:
            raise OSError(errno.EBUSY, f"{self.path} is in use by another program")
        theirs, self._end = socket.socketpair()
        theirs.setblocking(False)
        self._end.setblocking(False)
        end, self.opened = self._end, self.opened + 1
        port = self._port = VirtualPort(theirs.fileno(), self.path, baud or DEFAULT_BAUD, self)
        self._context.copy().run(self._loop.add_reader, end, self._readable, end)
        self._loop.call_soon(self.on_opened, context=self._context)
        try:
            yield port
        finally:
            port.detach()
            theirs.close()
            if self._end is end:
                self._hang_up()

    def abandon(self) -> None:
        """The agent was killed: the kernel has closed its end."""
        self._hang_up()

    def _readable(self, end: socket.socket) -> None:
        if end is not self._end:
            return
        try:
            data = end.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        self.bytes_from_agent += len(data)
        if not self._mute and len(self._received) < MOST_UNREAD:
            self._received += self.line_fault_from_agent(data)
            self.on_received()

    def _hang_up(self) -> None:
        if self._end is not None:
            self._loop.remove_reader(self._end)
            self._end.close()
            self._end = self._port = None


class VirtualPorts:
    """The ports of one device: what `firmware_bridge.serial.port.use_ports` gets."""

    def __init__(self, lines: Callable[[], list[VirtualLine]]) -> None:
        self._lines = lines

    def __call__(self, path: str, baud: int | None, _parity: str) -> AbstractAsyncContextManager[Stream]:
        for line in self._lines():
            if line.path == path:
                return line.open(baud)
        return _missing(path)


@asynccontextmanager
async def _missing(path: str) -> AsyncIterator[Stream]:
    if path.startswith("tcp://"):
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"{path}: {os.strerror(errno.ECONNREFUSED)}")
    raise FileNotFoundError(errno.ENOENT, f"{path} not found: unplugged or renamed")
    yield  # type: ignore[unreachable]  # a generator needs one
