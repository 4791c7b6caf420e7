"""What we still owe the centre, kept until it has it, and handed out in the order of lanes.

Called from the loop; one thread owns the disk (`Shelves`). Alerts are committed as they come, together with
all that came meanwhile; telemetry and deletes wait a moment and go together.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from agent.segments import LANES as BULK
from agent.shelves import Shelves
from agent.store import Key, Row
from agent.topics import LANES, Lane, Message

T = TypeVar("T")

GROUP_S = 0.25
GROUP_ROWS = 200
"""Telemetry and deletes wait this long, or until there are so many, and go to the disk together."""


class Outbox:
    """All that is owed. Made by `open`."""

    def __init__(self, shelves: Shelves, lock: int) -> None:
        self._shelves = shelves
        self._lock = lock
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._waiting: list[Message] = []
        self._remember: dict[str, bytes] = {}
        self._settled: list[Row] = []
        self._flush_at: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._next_write: asyncio.Task[None] | None = None
        self.session = int(shelves.read("session") or 0)
        """The number of the last connection."""
        self.changed = asyncio.Event()
        """Set when there is something new to hand out."""

    @classmethod
    def open(cls, folder: Path, max_bytes: int = 512_000_000) -> Self:
        """The stores in ``folder``, made if need be; blocking.

        OSError where there can be no such folder, or another agent has it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(Shelves(folder, max_bytes), lock)
        except BlockingIOError:
            os.close(lock)
            raise OSError(
                f"{folder}: another agent keeps its messages there; one data directory is for one"
            ) from None
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Writes what waits, ends the thread, and closes the files; blocking."""
        try:
            self._thread.submit(self._shelves.put, *self._take()).result()
        finally:
            self._thread.shutdown(wait=True)
            self._shelves.close()
            os.close(self._lock)

    @property
    def folder(self) -> Path:
        """Where it all is."""
        return self._shelves.folder

    @property
    def troubles(self) -> Mapping[str, str]:
        """What is wrong with the disk just now, for ``health``."""
        return self._shelves.troubles

    def tell_gaps_by(self, gap: Callable[[Mapping[str, Any]], Message]) -> None:
        """``gap`` makes the message that tells of a loss: the agent's own envelope. Runs on the thread."""
        self._shelves.gap = gap

    def epoch(self, lane: Lane) -> str:
        """The random name of the numbers that ``lane`` is given now."""
        return self._shelves.epoch(lane)

    async def next_session(self) -> int:
        """The number of the next connection, on disk before it is used."""
        number = self.session + 1
        await self._do(lambda: self._shelves.write("session", str(number).encode()))
        self.session = number
        return number

    async def put(self, *messages: Message, remember: Mapping[str, bytes] | None = None) -> None:
        """Takes messages; on return alerts, results and ``remember`` are safe from a power cut."""
        self._waiting += messages
        self._remember |= remember or {}
        bulk = all(message.lane in BULK for message in messages)
        if bulk and not remember and len(self._waiting) < GROUP_ROWS:
            self._flush_later()
        else:
            await self._flush()

    async def due(self, limit: int, lanes: Sequence[Lane] = LANES) -> list[Row]:
        """The next rows that were not handed out since `rewind`, first lane first, oldest first."""
        return await self._do(lambda: self._shelves.due(limit, lanes))

    def rewind(self, lanes: Iterable[Lane] = LANES) -> None:
        """Hands out again what ``lanes`` still owe: after a reconnect, or when no receipt came.

        ``status`` and ``position`` are not kept from one connection to the next: they begin a new epoch.
        """
        again = frozenset(lanes)
        settled, self._settled = self._settled, []
        self._thread.submit(self._shelves.delete, settled)
        self._thread.submit(self._shelves.rewind, again)
        self.changed.set()

    def settle(self, rows: Iterable[Row]) -> None:
        """The broker or the centre has them: they leave the disk soon, and are not handed out again."""
        self._settled += rows
        if len(self._settled) >= GROUP_ROWS:
            settled, self._settled = self._settled, []
            self._thread.submit(self._shelves.delete, settled)
        elif self._settled:
            self._flush_later()

    async def receive(self, epoch: str, lane: Lane, ranges: Sequence[tuple[int, int]]) -> int:
        """The centre's receipt: rows of ``lane`` in these ranges of ``seq`` leave; how many did."""
        return await self._do(lambda: self._shelves.receive(epoch, lane, ranges))

    async def owed(self, keys: Sequence[Key]) -> set[Key]:
        """Those of these rows that are still to be sent: that did not expire, and were not dropped."""
        return await self._do(lambda: self._shelves.owed(keys))

    async def depth(self) -> dict[Lane, int]:
        """How many rows each lane still owes."""
        await self._flush()
        return await self._do(self._shelves.depth)

    def recall(self, key: str) -> bytes | None:
        """What was put under ``key`` with `put`'s ``remember``; blocking, for the start."""
        return self._shelves.read(f"remember/{key}")

    async def _flush(self) -> None:
        """Returns once all that waits now is written. Those who come during a write share the next."""
        if self._next_write is None:
            self._next_write = asyncio.ensure_future(self._write())
        await asyncio.shield(self._next_write)

    async def _write(self) -> None:
        async with self._writing:
            self._next_write = None
            waiting, remember, settled = self._take()
            await self._do(lambda: self._shelves.put(waiting, remember, settled))
        if waiting:
            self.changed.set()

    def _flush_later(self) -> None:
        if self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_later(GROUP_S, self._flush_now)

    def _flush_now(self) -> None:
        if self._next_write is None:
            self._next_write = asyncio.ensure_future(self._write())

    def _take(self) -> tuple[list[Message], dict[str, bytes], list[Row]]:
        """All that waits to be written."""
        waiting, self._waiting = self._waiting, []
        remember, self._remember = self._remember, {}
        settled, self._settled = self._settled, []
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        return waiting, remember, settled

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
