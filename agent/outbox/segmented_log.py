"""Telemetry or pictures on disk, in segments: rows are appended to the last and leave from the first.

Over its budget telemetry is downsampled evenly: two neighbours become one segment, with every second row of
those that were downsampled least, the oldest first; so a long outage is covered from its beginning to its
end. Of pictures the oldest segment is dropped. On a full disk the oldest segment is dropped whole: deleting a
file needs no room. After a power cut a new epoch begins, because the numbers of the last moments are lost.
"""

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import structlog

from agent.domain.message import Lane, Message
from agent.outbox.database import DamagedError, FullError
from agent.outbox.losses import DAMAGED, POWER_LOST, UNREADABLE, Loss, losses_of
from agent.outbox.opening import delete_parts, downsample, open_store
from agent.outbox.rows import Key, Row
from agent.outbox.sqlite_store import Store

log = structlog.get_logger()

DOWNSAMPLED: frozenset[Lane] = frozenset({"telemetry"})
MOST_DOWNSAMPLED = 256
"""Telemetry of which only one in so many rows is left is not downsampled further, but dropped."""
SEGMENTS = 32
LEAST_BYTES = 1024 * 1024


class SegmentedLog:
    """The segments of one lane, oldest first, in ``max_bytes``. ``report`` takes a loss before it happens."""

    def __init__(
        self, folder: Path, lane: Lane, max_bytes: int, report: Callable[[Sequence[Loss]], None]
    ) -> None:
        self._folder = folder
        self._lane = lane
        self._report = report
        self._segment_bytes = max(LEAST_BYTES, max_bytes // SEGMENTS)
        self._max_bytes = max(max_bytes, 2 * self._segment_bytes)
        self.stores: list[Store] = []
        with suppress(OSError):  # a disk that cannot be written: `put` tries again, and raises
            self._open_all()

    def _open_all(self) -> None:
        for left_over in self._folder.glob(f"{self._lane}-*.thin*"):
            left_over.unlink()
        stores = [self._open(path) for path in sorted(self._folder.glob(f"{self._lane}-????????.db"))]
        if not stores:
            stores.append(self._new(None))
        elif (tail := stores[-1]).lost_power:
            stores.append(self._new(None))
            if last := tail.last(self._lane):
                self._report([Loss(lane=self._lane, epoch=tail.epoch, first=last + 1, why=POWER_LOST)])
        self.stores = stores

    @property
    def epoch(self) -> str:
        """The epoch of the numbers that are given now."""
        return self.stores[-1].epoch if self.stores else ""

    def put(self, messages: Sequence[Message]) -> None:
        """All of it, or nothing: OSError. On a full disk older telemetry goes first."""
        if not self.stores:
            self._open_all()
        tail = self.stores[-1]
        try:
            self._with_room(lambda: tail.put(messages))
        except DamagedError:
            self._reopen(tail)
            raise
        if self.stores[-1].database.used_bytes() >= self._segment_bytes:
            try:
                self._with_room(self._roll)
            except OSError as error:  # the segment grows instead
                log.warning("segment_roll_failed", error=str(error))

    def probe(self) -> None:
        """Writes a few bytes. OSError where the disk fails."""
        if not self.stores:
            self._open_all()
        self.stores[-1].write("probe", b"")

    def due(self, after: Mapping[tuple[str, str], int], limit: int) -> list[Row]:
        """Up to ``limit`` rows behind the numbers ``after`` of (epoch, lane), oldest first."""
        rows: list[Row] = []
        lane = self._lane
        for store in list(self.stores):
            if len(rows) < limit:
                try:
                    rows += store.due(lane, after.get((store.epoch, lane), 0), limit - len(rows))
                except DamagedError:
                    self._reopen(store)
                self._drop_unreadable(store)
        return rows

    def _drop_unreadable(self, store: Store) -> None:
        """Reports rows that the disk has corrupted as lost, and deletes them."""
        if rows := store.take_unreadable():
            self._report([loss for row in rows for loss in losses_of([row], UNREADABLE)])
            with suppress(OSError):
                store.delete([(row.lane, row.place) for row in rows])

    def delete_empty(self) -> None:
        """Deletes segments that are empty and no longer written."""
        for store in self.stores[:-1]:
            if store.count() == 0:
                self.stores.remove(store)
                store.database.unlink()

    def delete(self, rows: Sequence[Row]) -> None:
        """Deletes rows that were moved to another segment after they were handed out."""
        for store in self.stores:
            store.delete([(row.lane, row.place) for row in rows if row.epoch == store.epoch])

    def rewrite_deleted(self) -> list[str]:
        """Writes files anew that were deleted or replaced while in use; their names. OSError."""
        deleted = [store for store in self.stores if store.database.was_replaced()]
        for store in deleted:
            assert store.path is not None  # noqa: S101  segments are files
            try:
                store.database.rewrite()
            finally:
                if store.closed:
                    self.stores[self.stores.index(store)] = self._open(store.path)
        return [store.path.name for store in deleted if store.path is not None]

    def contains(self, key: Key) -> bool:
        """Whether the row is undelivered, and has not expired."""
        return any(store.contains(key) for store in self.stores)

    def count(self, lane: Lane) -> int:
        return sum(store.count(lane) for store in self.stores)

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def _with_room(self, work: Callable[[], None]) -> None:
        """Does ``work``; while it fails on a full disk, drops the oldest segment and tries again."""
        while True:
            try:
                return work()
            except OSError as error:
                if len(self.stores) == 1 or not self._is_full(error):
                    raise
                self._drop_oldest("the disk is full")

    def _is_full(self, error: OSError) -> bool:
        """SQLite reports another error where it could not grow its log: the free space decides then."""
        no_room = isinstance(error, FullError) or error.errno in (errno.ENOSPC, errno.EDQUOT)
        return no_room or (
            not isinstance(error, DamagedError) and shutil.disk_usage(self._folder).free < LEAST_BYTES
        )

    def _roll(self) -> None:
        self.stores[-1].database.checkpoint()
        self.stores.append(self._new(self.stores[-1]))
        self.delete_empty()
        while self._used_bytes() > self._max_bytes:
            pair = self._least_downsampled()
            if pair is None:
                self._drop_oldest(f"over the budget for {self._lane}")
            else:
                self.downsample(*pair)

    def _least_downsampled(self) -> tuple[Store, Store] | None:
        """Two neighbours that may become one: of those that were downsampled least, the oldest."""
        full = self.stores[:-1] if self._lane in DOWNSAMPLED else []
        pairs = [
            (*sorted((one.keep_one_in, other.keep_one_in)), number)
            for number, (one, other) in enumerate(pairwise(full))
            if one.epoch == other.epoch and min(one.keep_one_in, other.keep_one_in) < MOST_DOWNSAMPLED
        ]
        if not pairs:
            return None
        number = min(pairs)[-1]
        return full[number], full[number + 1]

    def _used_bytes(self) -> int:
        """The size of the full segments, and of one more for the segment that is written."""
        return sum(store.database.used_bytes() for store in self.stores[:-1]) + self._segment_bytes

    def downsample(self, one: Store, other: Store) -> None:
        """Makes one segment of two. A power cut meanwhile leaves rows twice, never an unreported loss."""
        spans = [span for store in (one, other) if (span := store.span(self._lane)) is not None]
        path = one.path
        assert path is not None  # noqa: S101  segments are files
        new_path = path.with_suffix(".thin")
        keep_one_in = max(one.keep_one_in, other.keep_one_in) * (
            2 if one.keep_one_in == other.keep_one_in else 1
        )
        left = downsample(new_path, one, other, keep_one_in)
        if spans:
            count = sum(span[2] for span in spans) - left
            why = f"over the budget for {self._lane}: one of {keep_one_in} rows is left"
            first, last = spans[0][0], spans[-1][1]
            self._report(
                [Loss(lane=self._lane, epoch=one.epoch, first=first, last=last, count=count, why=why)]
            )
        index = self.stores.index(one)
        one.close()
        try:
            delete_parts(path)
            new_path.replace(path)
        finally:  # whichever of the two stands there now
            self.stores[index] = self._open(path)
        self.stores.remove(other)
        other.database.unlink()

    def _drop_oldest(self, why: str) -> None:
        store = self.stores[0]
        span = store.span(self._lane)
        if span is not None:
            first, last, count = span
            self._report(
                [Loss(lane=self._lane, epoch=store.epoch, first=first, last=last, count=count, why=why)]
            )
        self.stores.remove(store)
        store.database.unlink()

    def _reopen(self, store: Store) -> None:
        """Sets a damaged file aside and continues with its readable rows."""
        store.close()
        if store.path is not None:
            self.stores[self.stores.index(store)] = self._open(store.path)

    def _open(self, path: Path) -> Store:
        store = open_store(path, durable=False, cache_kib=256)
        if store.salvaged:
            self._report([Loss(lane=self._lane, epoch=None, why=DAMAGED)])
        return store

    def _new(self, predecessor: Store | None) -> Store:
        start = len(self._lane) + 1
        taken = [
            int(path.name[start : start + 8]) for path in self._folder.glob(f"{self._lane}-????????.db*")
        ]
        path = self._folder / f"{self._lane}-{max(taken, default=0) + 1:08}.db"
        return open_store(path, durable=False, cache_kib=256, predecessor=predecessor)
