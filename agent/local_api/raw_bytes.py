"""``raw``: the bytes that a serial line receives."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from agent.domain.message import stamp
from agent.host.clock import utc_now
from agent.local_api.change_signal import ChangeSignal
from agent.local_api.harmless import harmless
from agent.local_api.parts import AgentParts, Answer, Call, RequestError
from firmware_bridge.serial.line import RAW_OBSERVERS, SerialLine

MOST_BYTES = 64 << 10
"""Of a client that is too slow the oldest bytes are left out beyond this."""
LEAST_EVERY_S = 0.1


@dataclass(slots=True, eq=False)
class _Reader:
    """The bytes that one stream has not sent yet."""

    signal: ChangeSignal = field(default_factory=ChangeSignal)
    chunks: deque[bytes] = field(default_factory=deque)
    size: int = 0
    left_out: int = 0

    def add(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size += len(data)
        while self.size > MOST_BYTES:
            dropped = len(self.chunks.popleft())
            self.size -= dropped
            self.left_out += dropped
        self.signal.fire()

    def take(self) -> tuple[bytes, int]:
        """All bytes, and how many were left out before them."""
        data, left_out = b"".join(self.chunks), self.left_out
        self.chunks.clear()
        self.size = self.left_out = 0
        return data, left_out


class RawTap:
    """One observer for each line that is looked at."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._readers: dict[str, list[_Reader]] = {}

    async def raw(self, call: Call) -> AsyncGenerator[Answer, None]:
        """The bytes as they come, at most ten times a second."""
        source = call.text("source")
        line = self._parts.running().sources.get(source)
        if not isinstance(line, SerialLine):
            raise RequestError(f"source: {source!r} is no serial line")
        port, reader = line.port, _Reader()
        readers = self._readers.setdefault(port, [])
        readers.append(reader)

        def observe(data: bytes) -> None:
            for one in readers:
                one.add(data)

        RAW_OBSERVERS[port] = harmless(observe)
        try:
            while True:
                while not reader.chunks:
                    await reader.signal.wait()
                data, left_out = reader.take()
                fields = {"source": source, "at": stamp(utc_now())}
                yield Answer(fields | ({"left_out": left_out} if left_out else {}), data)
                await asyncio.sleep(LEAST_EVERY_S)
        finally:
            readers.remove(reader)
            if not readers:
                RAW_OBSERVERS.pop(port, None)
                self._readers.pop(port, None)
