"""Bytes to and from an open descriptor, on the loop: a serial device, a pty or a socket.

Reading costs little CPU however the bytes arrive. The first bytes after a silence are read at once; then the
descriptor is read every `READ_EVERY_S`, and every `BUSY_READ_EVERY_S` on a line without silences. All lines
of a loop are read at the same instants.
"""

import asyncio
import errno
import math
import os
from collections import deque
from collections.abc import Callable
from typing import ClassVar

READ_SIZE = 4096
READ_EVERY_S, BUSY_READ_EVERY_S = 0.01, 0.04
BUSY_READS = 20
"""Consecutive reads that found data, after which a line counts as busy."""
QUEUE_BYTES = 4096
"""The maximum output that waits on a stuck line; more is refused."""
QUEUE_S = 3.0
"""Output that has waited this long is stale and is dropped."""


class Stream:
    """An open line. ``speed`` is in baud, None where the line has none."""

    lost_reason: ClassVar[str] = "closed by the far end"

    def __init__(self, fd: int, name: str, speed: int | None = None) -> None:
        self.fd, self.name, self.speed = fd, name, speed
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._wait_timer: asyncio.TimerHandle | None = None
        self._reads = 0
        self.last_byte_s = self._loop.time()
        """When the last byte arrived, or the line was opened."""
        self.silent_s = 0.0
        """The silence before the last read; 0 where data was available immediately."""
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = 0
        self._partly_sent = False  # the first item is the rest of a packet

    def listen(self, on_data: Callable[[bytes], None]) -> None:
        """Calls ``on_data`` with all received bytes; its exceptions are raised by `wait_lost`."""
        self._on_data = on_data
        self._loop.add_reader(self.fd, self._wake)

    async def wait_lost(self, within_s: float) -> float:
        """The time after ``within_s``, or earlier by `wake_at`. OSError when the line is lost: unplugged, or
        closed by the far end."""
        if not self._lost.done():
            self._waiting = self._loop.create_future()
            self._wait_timer = self._loop.call_later(within_s, self._end_wait)
            try:
                await self._waiting
            finally:
                self._wait_timer.cancel()
                self._waiting = self._wait_timer = None
        if self._lost.done():
            self._lost.result()
        return self._loop.time()

    def wake_at(self, when_s: float) -> None:
        """Ends a `wait_lost` at ``when_s`` on the loop's clock, where it would last longer."""
        if self._wait_timer is not None and when_s < self._wait_timer.when():
            self._wait_timer.cancel()
            self._wait_timer = self._loop.call_at(when_s, self._end_wait)

    def _end_wait(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def set_speed(self, baud: int) -> None:
        """Sets another speed, where the line has one."""

    def check_identity(self) -> None:
        """OSError where the name of the line refers to another device by now."""

    def detach(self) -> None:
        """Stops reading and sending."""
        self._loop.remove_reader(self.fd)
        self._loop.remove_writer(self.fd)
        if self._timer is not None:
            self._timer.cancel()
        if not self._lost.done():
            self._lost.cancel()
        elif not self._lost.cancelled():
            self._lost.exception()  # marks the exception as retrieved

    @property
    def has_pending_output(self) -> bool:
        """Whether output waits to be sent."""
        return bool(self._queue)

    def _wake(self) -> None:
        self._loop.remove_reader(self.fd)
        self._reads = 0
        self._read(woken=True)

    def _read(self, woken: bool = False) -> None:
        """Reads the available bytes and schedules the next read; without data, the loop wakes this line."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            self._loop.add_reader(self.fd, self._wake)
            return
        except OSError as error:
            self._end(OSError(error.errno, f"{self.name}: {self.lost_reason} ({error.strerror})"))
            return
        if not data:
            self._end(OSError(errno.EIO, f"{self.name}: {self.lost_reason} (end of file)"))
            return
        now_s = self._loop.time()
        self.silent_s, self.last_byte_s = now_s - self.last_byte_s if woken else 0.0, now_s
        self._reads += 1
        every_s = READ_EVERY_S if self._reads < BUSY_READS else BUSY_READ_EVERY_S
        more = len(data) >= READ_SIZE // 2
        self._timer = self._loop.call_at(
            now_s if more else (math.floor(now_s / every_s) + 1) * every_s, self._read
        )
        try:
            self._on_data(data)
        except Exception as error:
            self._end(error)

    def _end(self, error: Exception) -> None:
        if not self._lost.done():
            self._lost.set_exception(error)
        self._end_wait()
        self.detach()

    def write(self, data: bytes) -> None:
        """Sends ``data``, whole or not at all, and never waits. OSError where the line is stuck or lost."""
        self._drop_old()
        if not self._lost.done() and self._queued + len(data) > QUEUE_BYTES:
            raise OSError(errno.EAGAIN, f"{self.name} does not accept output: {len(data)} bytes dropped")
        self._queue.append((self._loop.time(), data))
        self._queued += len(data)
        if len(self._queue) == 1 and not self._lost.done():
            self._send()
        if self._lost.done():
            raise OSError(errno.EIO, f"{self.name} is lost")
        if self._queue:
            self._loop.add_writer(self.fd, self._send)

    def _send(self) -> None:
        """Sends as much as the line accepts now."""
        self._drop_old()
        while self._queue:
            since_s, data = self._queue[0]
            try:
                sent = os.write(self.fd, data)
            except BlockingIOError:
                return
            except OSError as error:
                self._end(OSError(error.errno, f"{self.name}: {self.lost_reason} ({error.strerror})"))
                return
            self._queued -= sent
            self._partly_sent = sent < len(data)
            if self._partly_sent:
                self._queue[0] = (since_s, data[sent:])
                return
            self._queue.popleft()
        self._loop.remove_writer(self.fd)

    def _drop_old(self) -> None:
        """Drops stale output, but never the rest of a packet: half a packet would spoil the next."""
        old_s = self._loop.time() - QUEUE_S
        while len(self._queue) > self._partly_sent and self._queue[self._partly_sent][0] < old_s:
            self._queued -= len(self._queue[self._partly_sent][1])
            del self._queue[self._partly_sent]
