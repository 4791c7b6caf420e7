"""One connection through a `FaultProxy`: two directions, each with its toxics."""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TypeAlias

from simulators.faults.toxics import ClosedByToxicError, ResetPeer, SlowClose, Stream, Timeout, Toxic

Ends: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CHUNK = 4096
WAITING = 64
"""Chunks of one direction that may be under way; then the sender waits."""


class ProxyConnection:
    """``client`` and ``server`` are the two ends. `run` ends with the connection."""

    def __init__(
        self,
        client: Ends,
        server: Ends,
        chance: random.Random,
        struck: Counter[str],
        on_first_data: Callable[[bytes], bytes | None] | None,
    ) -> None:
        self._client, self._server = client, server
        self._chance, self._struck, self._on_first_data = chance, struck, on_first_data
        self._toxics: dict[str, Toxic] = {}
        self._passed: Counter[str] = Counter()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def add(self, name: str, toxic: Toxic) -> None:
        """Adds it by the chance of its toxicity."""
        if self._chance.random() >= toxic.toxicity:
            return
        self._toxics[name] = toxic
        self._changed.set()
        if isinstance(toxic, Timeout) and (toxic.timeout or isinstance(toxic, ResetPeer)):
            self._timers[name] = self._loop.call_later(toxic.timeout / 1000, self._time_is_up, toxic)

    def remove(self, name: str) -> bool:
        """Whether the connection had it."""
        if timer := self._timers.pop(name, None):
            timer.cancel()
        had = self._toxics.pop(name, None) is not None
        self._changed.set()
        return had

    def reset(self) -> None:
        """Both ends get a reset."""
        for _, writer in (self._client, self._server):
            reset(writer)
        self._end()

    async def run(self) -> None:
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry("upstream", self._client[0], self._server[1]))
                group.create_task(self._carry("downstream", self._server[0], self._client[1]))
        except* (OSError, ClosedByToxicError):
            pass
        finally:
            for timer in self._timers.values():
                timer.cancel()
            for _, writer in (self._client, self._server):
                writer.close()

    def _time_is_up(self, toxic: Toxic) -> None:
        self._struck[toxic.kind] += 1
        if isinstance(toxic, ResetPeer):
            self.reset()
        else:
            self._end()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _carry(
        self, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One direction: reads at once, so that a delay is no limit of the rate."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(reader, under_way, stream))
            group.create_task(self._deliver(under_way, writer, stream))

    async def _read(
        self, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]], stream: Stream
    ) -> None:
        data = b" "
        first = stream == "upstream"
        while data:
            data = await reader.read(CHUNK)
            if first and data and self._on_first_data and (answer := self._on_first_data(data)) is not None:
                self._struck["refused"] += 1
                self._client[1].write(answer)
                await self._client[1].drain()
                raise ClosedByToxicError
            first = False
            await under_way.put((self._loop.time(), data))

    async def _deliver(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, stream: Stream
    ) -> None:
        while True:
            came_s, data = await under_way.get()
            delay_s = 0.0
            for _, toxic in self._of(stream):
                if (one_s := toxic.delay_s(self._chance)) and data:
                    self._struck[toxic.kind] += 1
                    delay_s += one_s
            if (wait_s := came_s + delay_s - self._loop.time()) > 0:
                await asyncio.sleep(wait_s)
            if not data:
                await self._pass_on_end(writer, stream)
                return
            async for piece in self._through(data, self._of(stream)):
                writer.write(piece)
                await writer.drain()

    def _of(self, stream: Stream) -> list[tuple[str, Toxic]]:
        return [(name, toxic) for name, toxic in self._toxics.items() if toxic.stream == stream]

    async def _through(self, data: bytes, toxics: list[tuple[str, Toxic]]) -> AsyncIterator[bytes]:
        """What arrives of ``data``, through one toxic after the other."""
        if not toxics:
            yield data
            return
        (name, toxic), rest = toxics[0], toxics[1:]
        pieces, passed = 0, self._passed[name]
        self._passed[name] += len(data)
        try:
            async for piece in toxic.carry(data, passed, self._chance):
                pieces += 1
                async for part in self._through(piece, rest):
                    yield part
        except ClosedByToxicError:
            pieces = 0
            raise
        finally:
            self._struck[toxic.kind] += pieces != 1 or toxic.kind == "bandwidth"

    async def _pass_on_end(self, writer: asyncio.StreamWriter, stream: Stream) -> None:
        """Passes on the end of a direction, as late as its toxics let it."""
        for _, toxic in self._of(stream):
            if isinstance(toxic, SlowClose):
                self._struck[toxic.kind] += 1
                await asyncio.sleep(toxic.delay / 1000)
        while any(toxic.loses for _, toxic in self._of(stream)):
            self._changed.clear()
            await self._changed.wait()
        with suppress(OSError):
            writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with a reset (RST) instead of an end (FIN)."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
