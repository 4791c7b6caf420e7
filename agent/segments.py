"""Telemetry on disk: a row of small stores, of which the oldest is dropped whole when there is no room.

Dropping is unlinking, which needs no room itself. Rows are written to the last segment and leave from the
first. After a lost power a new epoch begins, because the numbers of the last moments are lost with them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.store import DamagedError, Row, Store
from agent.topics import Lane, Message

log = structlog.get_logger()

LANES: tuple[Lane, ...] = ("telemetry", "media")
SEGMENTS = 16
LEAST_BYTES = 1024 * 1024
POWER_LOST = "power was lost: what was written in the last moments before may be missing"
DAMAGED = "its file was damaged: what could still be read goes out under new numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Rows that will never come, for the gap receipt; a number that nobody knows is None."""

    lane: Lane
    epoch: str | None
    first: int | None = None
    last: int | None = None
    count: int | None = None
    why: str


class Segments:
    """Oldest first, in ``max_bytes``. ``tell`` hears of losses before they happen."""

    def __init__(self, folder: Path, max_bytes: int, tell: Callable[[Sequence[Loss]], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._segment_bytes = max(LEAST_BYTES, max_bytes // SEGMENTS)
        self._keep = max(2, max_bytes // self._segment_bytes)
        self._stores: list[Store] = []
        with suppress(OSError):  # a disk that can't be written: `put` tries again, and says so
            self._begin()

    def _begin(self) -> None:
        stores = [self._open(path) for path in sorted(self._folder.glob("telemetry-????????.db"))]
        if not stores:
            stores.append(self._new(None))
        elif (tail := stores[-1]).cut_off:
            stores.append(self._new(None))
            self._tell(
                [
                    Loss(lane=lane, epoch=tail.epoch, first=tail.last(lane) + 1, why=POWER_LOST)
                    for lane in LANES
                    if tail.last(lane)
                ]
            )
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

    def due(self, lane: Lane, after: Mapping[tuple[str, Lane], int], limit: int) -> list[Row]:
        """Up to ``limit`` rows behind the numbers ``after`` of (epoch, lane), oldest first."""
        rows: list[Row] = []
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
            except DamagedError:
                raise
            except OSError:
                if len(self._stores) == 1:
                    raise
                self._drop_oldest("the disk is full")

    def _roll(self) -> None:
        self._stores[-1].settle_log()
        self._stores.append(self._new(self._stores[-1]))
        self.tidy()
        while len(self._stores) > self._keep:
            self._drop_oldest("over the budget for telemetry")

    def _drop_oldest(self, why: str) -> None:
        store = self._stores[0]
        spans = [(lane, store.span(lane)) for lane in LANES]
        self._tell(
            [
                Loss(lane=lane, epoch=store.epoch, first=span[0], last=span[1], count=span[2], why=why)
                for lane, span in spans
                if span is not None
            ]
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
            self._tell([Loss(lane="telemetry", epoch=None, why=DAMAGED)])
        return store

    def _new(self, follows: Store | None) -> Store:
        taken = [int(path.name[10:18]) for path in self._folder.glob("telemetry-????????.db*")]
        path = self._folder / f"telemetry-{max(taken, default=0) + 1:08}.db"
        return Store.open(path, sure=False, cache_kib=256, follows=follows)


def give_up_unreadable(store: Store, tell: Callable[[Sequence[Loss]], None]) -> None:
    """Rows whose content the disk has spoilt are told as lost, and leave."""
    found, store.unreadable = store.unreadable, []
    if found:
        why = "the disk spoilt it"
        tell(
            [Loss(lane=lane, epoch=store.epoch, first=seq, last=seq, count=1, why=why) for lane, seq in found]
        )
        with suppress(OSError):
            store.delete(found)
