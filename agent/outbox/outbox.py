"""The outbox: messages are stored until the centre has them, and handed out in the order of lanes.

The event loop calls it; one thread uses the disk (`LaneStorage` on `DiskThread`). Alerts are committed as
they come, together with all that came meanwhile; telemetry and deletes are batched.

While the disk hangs, messages that wait to be written are handed out from memory, under numbers of their own.
`put` returns only once the disk has them; a message keeps its id, so what the disk hands out later is a
repeat.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from agent.domain.message import BULK_LANES, LANES, LAST_RANK, Lane, Message
from agent.outbox.alert_storage import AlertStorage
from agent.outbox.disk_thread import HANGS_S, DiskThread
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.memory_outbox import MemoryOutbox
from agent.outbox.opening import lock_folder
from agent.outbox.pending_batch import Batch, PendingBatch
from agent.outbox.rows import Key, ResendResult, Row
from agent.outbox.send_holds import SendHolds
from agent.outbox.unread_lanes import UnreadLanes

T = TypeVar("T")
R = TypeVar("R")
BATCH_S = 0.25
BATCH_ROWS = 200
"""Telemetry and deletes wait this long, or until there are so many, and are written together."""


class Outbox:
    """All undelivered messages of one folder. Made by `open`."""

    def __init__(self, storage: LaneStorage, lock: int) -> None:
        self.storage = storage
        """For the disk thread only."""
        self.thread = DiskThread()
        self._lock = lock
        self._pending = PendingBatch()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._next_write: asyncio.Task[None] | None = None
        self._memory = MemoryOutbox()
        self._unread = UnreadLanes()
        self._depth: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._highest_numbers: list[dict[str, Any]] = []
        self.session = int(storage.alerts.read("session") or 0)
        """The number of the last connection."""
        self.on_put: Callable[[Sequence[Message]], None] | None = None
        """Called with all messages that are put, while somebody looks."""
        self.changed = asyncio.Event()  # set when there is a new row to hand out
        self.holds = SendHolds(self.changed.set)

    @classmethod
    def open(cls, folder: Path, max_bytes: int = 512_000_000) -> Self:
        """Opens the stores in ``folder``; blocking. OSError as `lock_folder`."""
        lock = lock_folder(folder)
        try:
            return cls(LaneStorage(folder, max_bytes), lock)
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Writes what waits, ends the thread, and closes the files; blocking."""
        try:
            batch = self._take_batch()
            if self._next_write is not None:  # it would find the thread ended
                self._next_write.cancel()
            self.thread.submit(lambda: self.storage.put(*batch)).result()
        finally:
            self.thread.close()
            self.storage.close()
            os.close(self._lock)

    @property
    def folder(self) -> Path:
        return self.storage.folder

    @property
    def troubles(self) -> Mapping[str, str]:
        """What is wrong with the disk now, for ``health``."""
        faults, hangs = self.storage.faults.texts, self.thread.fault
        return faults if hangs is None else {**faults, "hangs": hangs}

    @property
    def known_depth(self) -> Mapping[Lane, int]:
        """The number of undelivered rows of each lane when `depth` was last called."""
        return self._depth

    @property
    def hangs(self) -> bool:
        """Whether the disk hangs."""
        return self.thread.hangs

    def expect(self, messages: Iterable[Message]) -> None:
        """Announces messages that are `put` soon: should the disk hang, they are handed out before."""
        self._memory.expect(messages)
        if self.hangs:
            self.changed.set()

    def set_gap_factory(self, gap: Callable[[Mapping[str, Any]], Message]) -> None:
        """``gap`` makes the message that reports a loss, in the agent's envelope. Runs on the thread."""
        self.storage.losses.gap = gap

    def epoch(self, lane: Lane) -> str:
        """The epoch of the numbers that ``lane`` is given now."""
        return self.storage.epoch(lane)

    async def next_session(self) -> int:
        """The number of the next connection, on disk before it is used, unless the disk hangs."""
        number = self.session + 1
        writing = self.thread.run(lambda: self.storage.alerts.write("session", str(number).encode()))
        await self.thread.finishes(writing)
        self.session = number  # a disk that hangs keeps no device from its broker
        return number

    def amend(self, message: Message) -> None:
        """``message`` is held, and has another body: it is handed out with that, and `put` writes it."""
        self._pending.amend(message)
        self._memory.amend(message)
        self.holds.amend(message)

    async def put(
        self, *messages: Message, remember: Mapping[str, bytes] | None = None, amended: Sequence[Message] = ()
    ) -> None:
        """Takes messages; on return alerts, results, ``remember`` and ``amended`` bodies are safe from a
        power cut (in memory only where the disk refuses writes, see `troubles`), and nothing holds these."""
        self._pending.add(messages, remember or {}, amended)
        self._memory.expect(messages)
        if self.on_put is not None:
            self.on_put(messages)
        bulk = all(message.lane in BULK_LANES for message in messages)
        if bulk and not remember and len(self._pending.messages) < BATCH_ROWS:
            self._flush_later()
        else:
            await asyncio.shield(self._flush_now())  # callers that come during a write share the next

    async def put_within(self, *messages: Message, remember: Mapping[str, bytes] | None = None) -> None:
        """As `put`, but does not wait for a disk that hangs: for messages that need not be durable."""
        await self.thread.finishes(asyncio.ensure_future(self.put(*messages, remember=remember)))

    async def due(self, limit: int, lanes: Sequence[Lane] = LANES, most_rank: int = LAST_RANK) -> list[Row]:
        """The next rows that were not handed out since `rewind`, in order (`LaneStorage.due`). While
        the disk hangs: messages that wait for it, but telemetry and pictures."""
        while not (rows := self.holds.take(limit, lanes)):
            if not self.holds.add(await self._read(limit, lanes, most_rank)):
                return []
        return rows

    async def _read(self, limit: int, lanes: Sequence[Lane], most_rank: int) -> list[Row]:
        if not self.hangs:
            if not (unread := self._unread.begin(lanes)):
                return []
            reading = self.thread.run(lambda: self.storage.due(limit, unread, most_rank))
            reading.add_done_callback(partial(self._unread.end, unread, limit, most_rank))
            if await self.thread.finishes(reading):
                return reading.result()
            reading.add_done_callback(self._add_late)
        return self._memory.due(limit, lanes, most_rank)

    def _add_late(self, reading: "asyncio.Future[list[Row]]") -> None:
        """Rows that the disk handed out when no caller waited any more: they are the next."""
        if not reading.cancelled() and reading.exception() is None:
            self.holds.add(reading.result())
            self.changed.set()

    async def by_id(self, ids: Sequence[str]) -> list[Row]:
        """The undelivered rows with these ids, whether or not they were handed out."""
        reading = self.thread.run(lambda: self.storage.by_id(ids))
        found = reading.result() if await self.thread.finishes(reading) else self._memory.by_id(ids)
        return self.holds.amended(found)

    def rewind(self, lanes: Iterable[Lane] = LANES) -> None:
        """Hands out again all rows of ``lanes``: after a reconnect, or when no receipt came.

        ``status`` and ``position`` are not kept from one connection to the next: they begin a new epoch.
        """
        again = frozenset(lanes)
        self._unread.add(again)
        self._delete_delivered()
        self.thread.submit(lambda: self.storage.rewind(again))
        self.holds.rewind(again)
        self._memory.rewind(again)
        self.changed.set()

    def mark_delivered(self, rows: Iterable[Row]) -> None:
        """The broker or the centre has these rows: they are deleted soon, and not handed out again."""
        for row in rows:
            if not self._memory.mark_delivered(row):
                self._pending.delivered.append(row)
        self._delete_completed()
        if len(self._pending.delivered) >= BATCH_ROWS:
            self._delete_delivered()
        elif self._pending.delivered:
            self._flush_later()

    def _delete_delivered(self) -> None:
        delivered = self._pending.take_delivered()
        self.thread.submit(lambda: self.storage.delete(delivered))

    async def record_receipts(self, ids: Sequence[str]) -> int:
        """Deletes the messages with these ids, for which the centre gave a receipt; their number. While the
        disk hangs 0: they are deleted once it is back."""
        self._memory.record_receipts(ids)
        leaving = self.thread.run(lambda: self.storage.alerts.record_receipts(ids))
        return leaving.result() if await self.thread.finishes(leaving) else 0

    async def look_at_alerts(
        self, now: Callable[[], T], read: Callable[[AlertStorage], R]
    ) -> tuple[T, list[Message], R] | None:
        """What ``now`` gives, the unwritten alerts, what ``read`` finds, at once; None: the disk hangs."""

        async def look() -> tuple[T, list[Message], R]:
            async with self._writing:
                found, unwritten = now(), self._memory.unconfirmed("alert")
                return found, unwritten, await self.thread.run(lambda: read(self.storage.alerts))

        looking = asyncio.ensure_future(look())
        return looking.result() if await self.thread.finishes(looking) else None

    async def resend(self, lane: Lane, epoch: str, ranges: Sequence[tuple[int, int]]) -> ResendResult:
        """The centre has lost these numbers: kept ones are sent again, the others reported as gaps. OSError
        where the disk fails."""
        found = await self.thread.run(lambda: self.storage.resend(lane, epoch, ranges))
        self._unread.add(LANES)
        self.changed.set()
        return found

    async def highest_numbers(self) -> list[dict[str, Any]]:
        """``{"lane", "epoch", "last"}`` for ``health``: a centre that has less of it can ask again."""
        reading = self.thread.run(self.storage.highest_numbers)
        if await self.thread.finishes(reading):
            self._highest_numbers = reading.result()
        return self._highest_numbers

    def check_files(self) -> None:
        """Writes files anew that were deleted while in use; called every few seconds."""
        if self.thread.idle:
            self.thread.submit(self.storage.check_files)

    async def pending(self, keys: Sequence[Key]) -> set[Key]:
        """Those of these rows that are still to be sent: that did not expire, and were not dropped."""
        reading = self.thread.run(lambda: self.storage.pending(keys))
        return reading.result() if await self.thread.finishes(reading) else set(keys)

    async def depth(self) -> dict[Lane, int]:
        """The undelivered rows of each lane, or the last known. After that `due` reads all lanes."""
        self._unread.add(LANES)
        if await self.thread.finishes(asyncio.shield(self._flush_now())):
            counting = self.thread.run(self.storage.depth)
            if await self.thread.finishes(counting):
                self._depth = counting.result()
        return self._depth

    def recall(self, key: str) -> bytes | None:
        """The value that was put under ``key`` with `put`'s ``remember``; blocking, for the start."""
        return self.storage.alerts.read(f"remember/{key}")

    async def _write(self) -> None:
        async with self._writing:
            self._next_write = None
            batch = self._take_batch()
            late = asyncio.get_running_loop().call_later(1.1 * HANGS_S, self.changed.set)  # memory has them
            try:
                await self.thread.run(lambda: self.storage.put(*batch))
            finally:
                late.cancel()
            self._unread.written(batch.messages, all_lanes=bool(self.storage.faults.texts))
            self._memory.remove_written(batch.messages)
            self._delete_completed()
            self.holds.written(batch.amended)
        if batch.messages:
            self.changed.set()

    def _delete_completed(self) -> None:
        """Deletes messages that were delivered before they were written, now that they are."""
        delivered, with_receipt = self._memory.take_completed()
        if delivered:
            self.thread.submit(lambda: self.storage.delete_ids(delivered))
        if with_receipt:
            self.thread.submit(lambda: self.storage.alerts.record_receipts(with_receipt))

    def _flush_later(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(BATCH_S, self._flush_now)

    def _flush_now(self) -> "asyncio.Task[None]":
        self._next_write = self._next_write or asyncio.ensure_future(self._write())
        return self._next_write

    def _take_batch(self) -> Batch:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        return self._pending.take()
