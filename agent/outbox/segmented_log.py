"""Telemetry, or pictures, on disk: a row of small stores. Rows join the last and leave from the first.

Over its budget telemetry is thinned evenly: two neighbours become one, with every second row of what was
thinned least, the oldest first; so a long outage is told from its beginning to its end. Of pictures the
oldest segment goes. On a full disk the oldest goes whole: unlinking needs no room itself.
After a lost power a new epoch begins, because the numbers of the last moments are lost with them.
"""

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import structlog

from agent.domain.message import Lane, Message
from agent.outbox.database_errors import DamagedError, FullError
from agent.outbox.losses import DAMAGED, POWER_LOST, Loss, give_up_unreadable
from agent.outbox.rows import Key, Row
from agent.outbox.sqlite_store import Store

log = structlog.get_logger()

LANES: tuple[Lane, ...] = ("telemetry", "media")
THINNED: frozenset[Lane] = frozenset({"telemetry"})
THINNEST = 256
"""Telemetry of which only every so-many-th row is left is not thinned further, but goes."""
SEGMENTS = 32
LEAST_BYTES = 1024 * 1024


class Segments:
    """One lane's, oldest first, in ``max_bytes``. ``tell`` hears of losses before they happen."""

    def __init__(
        self, folder: Path, lane: Lane, max_bytes: int, tell: Callable[[Sequence[Loss]], None]
    ) -> None:
        self._folder = folder
        self._lane = lane
        self._tell = tell
        self._segment_bytes = max(LEAST_BYTES, max_bytes // SEGMENTS)
        self._max_bytes = max(max_bytes, 2 * self._segment_bytes)
        self._stores: list[Store] = []
        with suppress(OSError):  # a disk that can't be written: `put` tries again, and says so
            self._begin()

    def _begin(self) -> None:
        for left_over in self._folder.glob(f"{self._lane}-*.thin*"):
            left_over.unlink()
        stores = [self._open(path) for path in sorted(self._folder.glob(f"{self._lane}-????????.db"))]
        if not stores:
            stores.append(self._new(None))
        elif (tail := stores[-1]).cut_off:
            stores.append(self._new(None))
            if last := tail.last(self._lane):
                self._tell([Loss(lane=self._lane, epoch=tail.epoch, first=last + 1, why=POWER_LOST)])
        self._stores = stores

    @property
    def epoch(self) -> str:
        """The name of the numbers that are given now."""
        return self._stores[-1].epoch if self._stores else ""

    def put(self, messages: Sequence[Message]) -> None:
        """All of it, or nothing: OSError. On a full disk older telemetry goes first."""
        if not self._stores:
            self._begin()
        tail = self._stores[-1]
        try:
            self._with_room(lambda: tail.put(messages))
        except DamagedError:
            self._reopen(tail)
            raise
        if self._stores[-1].used_bytes() >= self._segment_bytes:
            try:
                self._with_room(self._roll)
            except OSError as error:  # it goes on in the file that it has
                log.warning("segment_kept", error=str(error))

    def probe(self) -> None:
        """Writes next to nothing. OSError where the disk does not even take that."""
        if not self._stores:
            self._begin()
        self._stores[-1].write("probe", b"")

    def due(self, after: Mapping[tuple[str, str], int], limit: int) -> list[Row]:
        """Up to ``limit`` rows behind the numbers ``after`` of (epoch, lane), oldest first."""
        rows: list[Row] = []
        lane = self._lane
        for store in list(self._stores):
            if len(rows) < limit:
                try:
                    rows += store.due(lane, after.get((store.epoch, lane), 0), limit - len(rows))
                except DamagedError:
                    self._reopen(store)
                give_up_unreadable(store, self._tell)
        return rows

    def tidy(self) -> None:
        """Ends segments that are empty and no longer written."""
        for store in self._stores[:-1]:
            if store.count() == 0:
                self._stores.remove(store)
                store.unlink()

    def delete(self, rows: Sequence[Row]) -> None:
        """Rows that lie in another segment since they were handed out."""
        for store in self._stores:
            store.delete([(row.lane, row.place) for row in rows if row.epoch == store.epoch])

    def write_anew(self) -> list[str]:
        """Files that were deleted under us are written once more; their names. OSError where that failed."""
        gone = [store for store in self._stores if store.deleted()]
        for store in gone:
            assert store.path is not None  # noqa: S101  segments are files
            try:
                store.rescue()
            finally:
                if store.closed:
                    self._stores[self._stores.index(store)] = self._open(store.path)
        return [store.path.name for store in gone if store.path is not None]

    def holds(self, key: Key) -> bool:
        """Whether the row is there, and can still be sent."""
        return any(store.holds(key) for store in self._stores)

    def count(self, lane: Lane) -> int:
        return sum(store.count(lane) for store in self._stores)

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def _with_room(self, work: Callable[[], None]) -> None:
        """Drops older segments one by one as long as ``work`` fails for want of room."""
        while True:
            try:
                return work()
            except OSError as error:
                if len(self._stores) == 1 or not self._is_full(error):
                    raise
                self._drop_oldest("the disk is full")

    def _is_full(self, error: OSError) -> bool:
        """SQLite has other words for it too, where it could not grow its log."""
        no_room = isinstance(error, FullError) or error.errno in (errno.ENOSPC, errno.EDQUOT)
        return no_room or (
            not isinstance(error, DamagedError) and shutil.disk_usage(self._folder).free < LEAST_BYTES
        )

    def _roll(self) -> None:
        self._stores[-1].settle_log()
        self._stores.append(self._new(self._stores[-1]))
        self.tidy()
        while self._used_bytes() > self._max_bytes:
            pair = self._least_thinned()
            if pair is None:
                self._drop_oldest(f"over the budget for {self._lane}")
            else:
                self._thin(*pair)

    def _least_thinned(self) -> tuple[Store, Store] | None:
        """Two neighbours that may become one: of those that were thinned least, the oldest."""
        full = self._stores[:-1] if self._lane in THINNED else []
        pairs = [
            (*sorted((one.thinned, other.thinned)), number)
            for number, (one, other) in enumerate(pairwise(full))
            if one.epoch == other.epoch and min(one.thinned, other.thinned) < THINNEST
        ]
        if not pairs:
            return None
        number = min(pairs)[-1]
        return full[number], full[number + 1]

    def _used_bytes(self) -> int:
        """What is full; the segment that is written is new."""
        return sum(store.used_bytes() for store in self._stores[:-1]) + self._segment_bytes

    def _thin(self, one: Store, other: Store) -> None:
        """Power that goes in the middle leaves rows twice, never a row that was not told as lost."""
        spans = [span for store in (one, other) if (span := store.span(self._lane)) is not None]
        path = one.path
        assert path is not None  # noqa: S101  segments are files
        beside = path.with_suffix(".thin")
        thinned = max(one.thinned, other.thinned) * (2 if one.thinned == other.thinned else 1)
        left = Store.thinned_from(beside, one, other, thinned)
        if spans:
            count = sum(span[2] for span in spans) - left
            why = f"over the budget for {self._lane}: one of {thinned} rows is left"
            first, last = spans[0][0], spans[-1][1]
            self._tell([Loss(lane=self._lane, epoch=one.epoch, first=first, last=last, count=count, why=why)])
        at = self._stores.index(one)
        one.close()
        try:
            for ending in ("-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
            beside.replace(path)
        finally:  # whichever of the two stands there now
            self._stores[at] = self._open(path)
        self._stores.remove(other)
        other.unlink()

    def _drop_oldest(self, why: str) -> None:
        store = self._stores[0]
        span = store.span(self._lane)
        if span is not None:
            first, last, count = span
            self._tell(
                [Loss(lane=self._lane, epoch=store.epoch, first=first, last=last, count=count, why=why)]
            )
        self._stores.remove(store)
        store.unlink()

    def _reopen(self, store: Store) -> None:
        """Sets a damaged file aside and goes on with what could be read of it."""
        store.close()
        if store.path is not None:
            self._stores[self._stores.index(store)] = self._open(store.path)

    def _open(self, path: Path) -> Store:
        store = Store.open(path, sure=False, cache_kib=256)
        if store.salvaged:
            self._tell([Loss(lane=self._lane, epoch=None, why=DAMAGED)])
        return store

    def _new(self, follows: Store | None) -> Store:
        at = len(self._lane) + 1
        taken = [int(path.name[at : at + 8]) for path in self._folder.glob(f"{self._lane}-????????.db*")]
        path = self._folder / f"{self._lane}-{max(taken, default=0) + 1:08}.db"
        return Store.open(path, sure=False, cache_kib=256, follows=follows)
