"""The outbox: messages are stored until the centre has them, and handed out in the order of lanes.

The event loop calls it; one thread owns the disk (`LaneStorage`). Alerts are committed as they come, together
with all that came meanwhile; telemetry and deletes are batched.

A disk that hangs (a worn card collects its garbage, a network volume is away) stops that thread, and nothing
else: after `HANGS_S` what waits to be written is handed out from memory, under numbers of its own. Nobody is
told that it is safe before the disk has it; as it keeps its id, what then comes from the disk is a repeat.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog

from agent.domain.message import LANES, LAST_RANK, Lane, Message
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.memory_outbox import MemoryOutbox
from agent.outbox.rows import Again, Key, Row
from agent.outbox.segmented_log import LANES as BULK

log = structlog.get_logger()

T = TypeVar("T")

GROUP_S = 0.25
GROUP_ROWS = 200
"""Telemetry and deletes wait this long, or until there are so many, and go to the disk together."""
HANGS_S = 2.0
"""A disk that takes longer than this for one step hangs: nobody waits for it who has something to send."""
SLOW_FOR_S = 60.0
"""So long is said how long it took."""


class Outbox:
    """All that is owed. Made by `open`."""

    def __init__(self, shelves: LaneStorage, lock: int) -> None:
        self._shelves = shelves
        self._lock = lock
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._waiting: list[Message] = []
        self._remember: dict[str, bytes] = {}
        self._settled: list[Row] = []
        self._flush_at: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._next_write: asyncio.Task[None] | None = None
        self._early = MemoryOutbox()
        self._began_s: float | None = None  # when the thread began what it is at
        self._hung_s, self._hung_at_s = 0.0, float("-inf")
        self._late: list[Row] = []
        self._depth: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._numbers: list[dict[str, Any]] = []
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
            return cls(LaneStorage(folder, max_bytes), lock)
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
            waiting, remember, settled = self._take()
            self._start(lambda: self._shelves.put(waiting, remember, settled)).result()
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
        hangs_s = self._hangs_s()
        if hangs_s > HANGS_S:
            text = f"the disk takes {hangs_s:.0f} s to write; what comes is sent from memory meanwhile"
        elif time.monotonic() - self._hung_at_s < SLOW_FOR_S:
            text = f"the disk took {self._hung_s:.0f} s to write; what came was sent from memory meanwhile"
        else:
            return self._shelves.troubles
        return {**self._shelves.troubles, "hangs": text}

    @property
    def hangs(self) -> bool:
        """Whether the disk does not come back from what it was asked to do."""
        return self._hangs_s() > HANGS_S

    def _hangs_s(self) -> float:
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def expect(self, messages: Iterable[Message]) -> None:
        """These will be `put` soon: should the disk hang, they are handed out before it has them."""
        self._early.expect(messages)
        if self.hangs:
            self.changed.set()

    def tell_gaps_by(self, gap: Callable[[Mapping[str, Any]], Message]) -> None:
        """``gap`` makes the message that tells of a loss: the agent's own envelope. Runs on the thread."""
        self._shelves.gap = gap

    def epoch(self, lane: Lane) -> str:
        """The random name of the numbers that ``lane`` is given now."""
        return self._shelves.epoch(lane)

    async def next_session(self) -> int:
        """The number of the next connection, on disk before it is used."""
        number = self.session + 1
        await self._within(self._submit(lambda: self._shelves.write("session", str(number).encode())))
        self.session = number  # a disk that hangs keeps no device from its broker
        return number

    async def put(self, *messages: Message, remember: Mapping[str, bytes] | None = None) -> None:
        """Takes messages; on return alerts, results and ``remember`` are safe from a power cut."""
        self._waiting += messages
        self._early.expect(messages)
        self._remember |= remember or {}
        bulk = all(message.lane in BULK for message in messages)
        if bulk and not remember and len(self._waiting) < GROUP_ROWS:
            self._flush_later()
        else:
            await self._flush()

    async def put_within(self, *messages: Message, remember: Mapping[str, bytes] | None = None) -> None:
        """As `put`, but returns from a disk that hangs: for what need not be safe to be said."""
        await self._within(asyncio.ensure_future(self.put(*messages, remember=remember)))

    async def due(self, limit: int, lanes: Sequence[Lane] = LANES, most_rank: int = LAST_RANK) -> list[Row]:
        """The next rows that were not handed out since `rewind`, first lane first, and within a lane as
        `LaneStorage.due` has it. While the disk hangs: what waits for it, beside telemetry and pictures."""
        if not self.hangs:
            if self._late:
                rows = [row for row in self._late if row.lane in lanes]
                self._late = [row for row in self._late if row.lane not in lanes]
                return rows
            reading = self._submit(lambda: self._shelves.due(limit, lanes, most_rank))
            if await self._within(reading):
                return reading.result()
            reading.add_done_callback(self._came_late)
        return self._early.due(limit, lanes, most_rank)

    def _came_late(self, reading: "asyncio.Future[list[Row]]") -> None:
        """Handed out while nobody waited any more: they are the next."""
        if not reading.cancelled() and reading.exception() is None:
            self._late += reading.result()
            self.changed.set()

    async def again(self, ids: Sequence[str]) -> list[Row]:
        """Those of these messages that are still owed, once more."""
        reading = self._submit(lambda: self._shelves.again(ids))
        return reading.result() if await self._within(reading) else self._early.again(ids)

    def rewind(self, lanes: Iterable[Lane] = LANES) -> None:
        """Hands out again what ``lanes`` still owe: after a reconnect, or when no receipt came.

        ``status`` and ``position`` are not kept from one connection to the next: they begin a new epoch.
        """
        again = frozenset(lanes)
        settled, self._settled = self._settled, []
        self._start(lambda: self._shelves.delete(settled))
        self._start(lambda: self._shelves.rewind(again))
        self._late = [row for row in self._late if row.lane not in again]
        self._early.rewind(again)
        self.changed.set()

    def settle(self, rows: Iterable[Row]) -> None:
        """The broker or the centre has them: they leave the disk soon, and are not handed out again."""
        for row in rows:
            if not self._early.settled(row):
                self._settled.append(row)
        self._forget_early()
        if len(self._settled) >= GROUP_ROWS:
            settled, self._settled = self._settled, []
            self._start(lambda: self._shelves.delete(settled))
        elif self._settled:
            self._flush_later()

    async def receive(self, ids: Sequence[str]) -> int:
        """The centre's receipt: the messages with these ids leave; how many did. A disk that hangs is not
        waited for: they leave once it is back."""
        self._early.received(ids)
        leaving = self._submit(lambda: self._shelves.receive(ids))
        return leaving.result() if await self._within(leaving) else 0

    async def resend(self, lane: Lane, epoch: str, ranges: Sequence[tuple[int, int]]) -> Again:
        """The centre has lost these numbers: what is kept of them is owed again, the rest told as gaps.

        OSError where the disk does not take it.
        """
        found = await self._do(lambda: self._shelves.resend(lane, epoch, ranges))
        self.changed.set()
        return found

    async def numbers(self) -> list[dict[str, Any]]:
        """``{"lane", "epoch", "last"}`` for ``health``: a centre that has less of it can ask again."""
        asking = self._submit(self._shelves.numbers)
        if await self._within(asking):
            self._numbers = asking.result()
        return self._numbers

    def look(self) -> None:
        """Looks whether somebody deleted the files, about once a second."""
        if self._began_s is None:
            self._start(self._shelves.look)

    async def owed(self, keys: Sequence[Key]) -> set[Key]:
        """Those of these rows that are still to be sent: that did not expire, and were not dropped."""
        asking = self._submit(lambda: self._shelves.owed(keys))
        return asking.result() if await self._within(asking) else set(keys)

    async def depth(self) -> dict[Lane, int]:
        """How many rows each lane still owes; while the disk hangs, when it was last known."""
        if await self._within(asyncio.ensure_future(self._flush())):
            counting = self._submit(self._shelves.depth)
            if await self._within(counting):
                self._depth = counting.result()
        return self._depth

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
            self._early.written(waiting)
            self._forget_early()
        if waiting:
            self.changed.set()

    def _forget_early(self) -> None:
        """What was delivered before it was written leaves now that it is."""
        settled, received = self._early.done()
        if settled:
            self._start(lambda: self._shelves.forget(settled))
        if received:
            self._start(lambda: self._shelves.receive(received))

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
        return await self._submit(work)

    def _submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """The thread does it, after all that it was given before."""
        return asyncio.wrap_future(self._start(work))

    def _start(self, work: Callable[[], T]) -> "Future[T]":
        return self._thread.submit(self._timed, work)

    def _timed(self, work: Callable[[], T]) -> T:
        """On the thread."""
        self._began_s = time.monotonic()
        try:
            return work()
        finally:
            took_s = self._hangs_s()
            self._began_s = None
            if took_s > HANGS_S:
                log.error("disk_hung", seconds=round(took_s, 1))
                self._hung_s, self._hung_at_s = took_s, time.monotonic()

    async def _within(self, done: "asyncio.Future[Any]") -> bool:
        """Waits for ``done`` as long as a disk that works may take; whether it is done. Raises as it does."""
        finished, _ = await asyncio.wait([done], timeout=0 if self.hangs else HANGS_S)
        if finished:
            done.result()
        return bool(finished)
