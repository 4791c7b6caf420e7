"""Deliberate faults between a device and its peers: noise on a line, a broken network link."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Literal, Self, TypeAlias

CHUNK = 4096
STALE_BYTES = 1500

Trouble: TypeAlias = Callable[[bytes], bytes]
"""A fault of a line: the bytes sent to the bytes received."""


def spoil(
    data: bytes, chance: random.Random, *, flips: float = 0, drops: float = 0, noise: float = 0
) -> bytes:
    """A noisy line. The probabilities, for each byte, that a bit flips, that it is lost, and that noise
    precedes it.
    """
    said = bytearray()
    for byte in data:
        if chance.random() < noise:
            said += chance.randbytes(chance.randint(1, 20))
        if chance.random() >= drops:
            said.append(byte ^ (1 << chance.randrange(8)) if chance.random() < flips else byte)
    return bytes(said)


def misread(data: bytes, said_baud: int, heard_baud: int) -> bytes:
    """The bytes that a UART at another speed reads from ``data`` (8N1, without gaps).

    It waits for a falling edge and samples the middle of each of its own bits; where its stop bit is low,
    the kernel gives a zero (no PARMRK), and the line must go high before the next byte.
    """
    levels = [1]
    for byte in data:
        levels += [0, *(byte >> place & 1 for place in range(8)), 1]
    step = said_baud / heard_baud
    heard = bytearray()
    at, end = 0.0, len(levels)

    def level(when: float) -> int:
        return levels[int(when)] if when < end else 1

    while at < end:
        if level(at):
            at = int(at) + 1.0
            continue
        byte = sum(level(at + (1.5 + place) * step) << place for place in range(8))
        at += 9.5 * step
        heard.append(byte if level(at) else 0)
        while at < end and not level(at):
            at = int(at) + 1.0
    return bytes(heard)


class _Held:
    """Collects ``size`` bytes, and then delivers them all at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = b""

    def __call__(self, data: bytes) -> bytes:
        self._kept += data
        if len(self._kept) < self._size:
            return b""
        said, self._kept = self._kept, b""
        return said


class _Split:
    """Cuts the data anywhere: the rest comes with the next data."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._kept = b""

    def __call__(self, data: bytes) -> bytes:
        data = self._kept + data
        cut = self._chance.randint(0, len(data))
        self._kept = data[cut:]
        return data[:cut]


LINE_FAULTS: dict[str, Callable[[random.Random], Trouble]] = {
    "bits_flip": lambda chance: partial(spoil, chance=chance, flips=0.01),
    "bytes_drop": lambda chance: partial(spoil, chance=chance, drops=0.01),
    "noise": lambda chance: partial(spoil, chance=chance, noise=0.01),
    "wrong_speed": lambda _: partial(misread, said_baud=9600, heard_baud=4800),
    "split": _Split,
    "stale": lambda _: _Held(STALE_BYTES),
    "silent": lambda _: lambda _data: b"",
}
"""The faults of a line, each with its own randomness. `Wire` implements unplugging."""


class Hop:
    """One network hop to a broker: ``async with Hop(port) as hop``; the device connects to ``hop.url``.

    Intact at first. `cut` resets connections and refuses new ones; `hole` drops all data silently, as a
    tunnel does; `slow` limits the bytes a second. `heal` undoes all.
    """

    def __init__(self, port: int) -> None:
        self.far = port
        """The target: a port on this machine."""
        self._refuses = False
        self._swallows: frozenset[str] = frozenset()
        self._bytes_per_s: float | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()

    def cut(self) -> None:
        """Resets every connection; until `heal` new ones end at once."""
        self._refuses = True
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def hole(self, *ways: Literal["up", "down"]) -> None:
        """Drops all data silently: both ways, or one (a half-open link)."""
        self._swallows = frozenset(ways or ("up", "down"))

    def slow(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s

    def heal(self) -> None:
        """Restores the hop. Dropped data is lost, so connections that lost data are reset."""
        if self._swallows:
            self.cut()
        self._refuses, self._swallows = False, frozenset()
        self._bytes_per_s = None

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.far)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        for way, source, target in (("up", reader, far_writer), ("down", far_reader, writer)):
            task = asyncio.ensure_future(self._carry(way, source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, way: str, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                if self._bytes_per_s is not None:
                    await asyncio.sleep(len(data) / self._bytes_per_s)
                if way not in self._swallows:
                    target.write(data)
                    await target.drain()
        target.transport.abort()
        self._open.discard(target)
