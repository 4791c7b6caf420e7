"""One network hop to a broker, which tests cut, slow down or let drop all data."""

import asyncio
from contextlib import suppress
from typing import Literal, Self

CHUNK = 4096


class NetworkHop:
    """A hop to a broker: ``async with NetworkHop(port) as hop``; the device connects to ``hop.url``.

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

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open) // 2

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
