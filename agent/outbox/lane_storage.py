"""Where everything that is owed is kept: on which shelf, and what happens when the disk takes nothing.

    alert, result      alerts.db, safe from a power cut on return; gone on the centre's receipt, and then
                       kept a while for a centre that was restored from a backup and asks again
    telemetry, media   segments on disk; over the budget telemetry is thinned, the oldest picture goes: told
    status, position   in memory: each connection begins by saying them anew, a newer one replaces an older

A disk that takes nothing (full, read-only, broken) costs safety, not service: what comes then is kept in
memory, goes out, and is said in `troubles`. Used by one thread at a time; `Outbox` sees to that.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from agent.domain.message import KEEP_LATEST, LANES, LAST_RANK, NEED_RECEIPT, Lane, Message, encode, new_id
from agent.outbox.database_errors import DamagedError
from agent.outbox.losses import DAMAGED, Loss, give_up_unreadable
from agent.outbox.rows import Again, Key, Row
from agent.outbox.segmented_log import LANES as BULK
from agent.outbox.segmented_log import Segments
from agent.outbox.sqlite_store import Store

log = structlog.get_logger()

GROWN_BYTES = 4 * 1024 * 1024
"""Room made in alerts.db beforehand, for thousands of alerts on a full disk."""
SPARE_ROWS: dict[Lane, int] = {"telemetry": 5_000, "media": 50}
"""What memory keeps while the disk takes none."""
TRY_AGAIN_S = 10.0
"""A disk that took nothing is tried again this often, also where nothing new is to be kept."""
SHELVES: tuple[str, ...] = ("alerts", *BULK)
LEAST_HISTORY_BYTES, MOST_HISTORY_BYTES = 1_000_000, 16_000_000
HISTORY_PART = 64
"""Of the room for telemetry and pictures, so much again is for alerts and results that have their receipt."""
MOST_NUMBERS = 15
"""Epochs of each lane that `LaneStorage.numbers` names, the newest."""
_OLD = [f"alert/{rank}" for rank in range(LAST_RANK + 1)]
_NEW = [f"alert/{rank}/new" for rank in range(LAST_RANK + 1)]
NOT_KEPT = "asked for again, and no longer kept"


class LaneStorage:
    """All stores of one folder. OSError only from its making."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.troubles: dict[str, str] = {}
        self.gap: Callable[[Mapping[str, Any]], Message] = _bare_gap
        self._losses: list[Loss] = []
        self._opened = False
        self._spare = {shelf: Store.in_memory() for shelf in SHELVES}
        self._unwritten: dict[str, bytes] = {}
        """What was to be remembered, and the disk would not have it."""
        self._latest = Store.in_memory()
        self.folder = folder
        self._path = folder / "alerts.db"
        self._history_bytes = min(max(LEAST_HISTORY_BYTES, max_bytes // HISTORY_PART), MOST_HISTORY_BYTES)
        self._floor: dict[str, int] = {}
        """By epoch: alerts up to this place are from before this connection."""
        self._ahead: set[tuple[str, int]] = set()
        """(epoch of the store, place) of alerts that were handed out before older ones of their rank."""
        self._try_again_s = 0.0
        self._alerts = self._open_alerts()
        self._segments = {lane: Segments(folder, lane, max_bytes // len(BULK), self._tell) for lane in BULK}
        self._opened = True
        self._cursor: dict[tuple[str, str], int] = {}
        """By epoch and lane, or what of a lane has an order of its own: the place behind which comes next."""
        self._undeleted: dict[tuple[str, Lane, int], Row] = {}
        """Settled, but the disk would not have it: not handed out, and tried again."""

    def close(self) -> None:
        """What only memory holds is offered to the disk once more."""
        if self.troubles.keys() & set(SHELVES):
            self._try_again_s = 0.0
            self._try_again()
        for store in (self._alerts, *self._spare.values(), self._latest):
            store.close()
        for segments in self._segments.values():
            segments.close()

    def epoch(self, lane: Lane) -> str:
        """The random name of the numbers that ``lane`` is given now."""
        if lane in NEED_RECEIPT:
            return self._alerts.epoch
        return self._latest.epoch if lane in KEEP_LATEST else self._segments[lane].epoch

    def read(self, key: str) -> bytes | None:
        return self._unwritten[key] if key in self._unwritten else self._alerts.read(key)

    def write(self, key: str, value: bytes) -> None:
        try:
            self._alerts.write(key, value)
        except OSError as error:
            self._trouble("alerts", error)
            self._unwritten[key] = value
        else:
            self._unwritten.pop(key, None)

    def due(self, limit: int, lanes: Sequence[Lane], most_rank: int = LAST_RANK) -> list[Row]:
        """The next rows that were not handed out since `rewind`; what has expired is dropped, and told.

        Alerts by severity, then what is new before what is from before the last `rewind`, then by age; only
        up to ``most_rank``.
        """
        rows: list[Row] = []
        for lane in lanes:
            while len(rows) < limit and (found := self._read(lane, limit - len(rows), most_rank)):
                rows += self._sendable(found)
        return rows

    def again(self, ids: Sequence[str]) -> list[Row]:
        """Those of these that are still owed, once more."""
        rows: list[Row] = []
        for store in (self._alerts, self._spare["alerts"]):
            with suppress(OSError):
                rows += store.by_id(ids)
        return [row for row in rows if row.key not in self._undeleted]

    def forget(self, ids: Sequence[str]) -> None:
        """These were delivered before they were written down."""
        rows = [
            row for store in (self._alerts, self._spare["alerts"], self._latest) for row in store.by_id(ids)
        ]
        self.delete(rows)

    def rewind(self, lanes: Iterable[Lane]) -> None:
        """Hands out again what ``lanes`` still owe; ``status`` and ``position`` begin a new epoch, empty."""
        again = frozenset(lanes)
        for key in [key for key in self._cursor if key[1].partition("/")[0] in again]:
            del self._cursor[key]
        if "alert" in again:
            self._ahead.clear()
            stores = (self._alerts, self._spare["alerts"])
            self._floor = {store.epoch: store.last("alert") for store in stores}
        if again >= KEEP_LATEST:
            self._latest.close()
            self._latest = Store.in_memory()

    def receive(self, ids: Sequence[str]) -> int:
        """The centre holds the messages with these ids: how many rows left."""
        ids = [one for one in ids if one.isascii()]
        gone = 0
        for store in (self._alerts, self._spare["alerts"]):
            try:
                gone += store.receive(ids)
            except OSError as error:  # they are sent, and received, once more
                self._trouble("alerts", error)
        return gone

    def resend(self, lane: Lane, epoch: str, ranges: Sequence[tuple[int, int]]) -> Again:
        """The centre has lost these numbers: what is kept of them is owed again, the rest is told as a gap.

        OSError where the disk does not take it.
        """
        spare = self._spare["alerts"]
        found = (spare if spare.epoch == epoch else self._alerts).hand_again(lane, epoch, ranges)
        self._tell(
            [
                Loss(lane=lane, epoch=epoch, first=first, last=last, count=count, why=NOT_KEPT)
                for first, last, count in found.missing
            ]
        )
        self._cursor.pop((self._alerts.epoch, _OLD[LAST_RANK]), None)
        self._cursor.pop((self._alerts.epoch, "result"), None)
        return found

    def numbers(self) -> list[dict[str, Any]]:
        """``{"lane", "epoch", "last"}``: what was numbered, as far as anything of it is owed or kept here."""
        told: dict[Lane, list[dict[str, Any]]] = {}
        for store in (self._alerts, self._spare["alerts"]):
            with suppress(OSError):
                for lane, epoch, last in store.numbers():
                    told.setdefault(lane, []).append({"lane": lane, "epoch": epoch, "last": last})
        return [one for lane in sorted(told) for one in told[lane][-MOST_NUMBERS:]]

    def look(self) -> None:
        """Files that somebody deleted or replaced are written anew, from what is open."""
        if self._alerts.deleted():
            self._write_anew()
        for lane, segments in self._segments.items():
            try:
                for name in segments.write_anew():
                    self._was_deleted(name)
            except OSError as error:
                self._trouble(lane, error)

    def depth(self) -> dict[Lane, int]:
        return {lane: sum(store.count(lane) for store in self._stores(lane)) for lane in LANES}

    def owed(self, keys: Iterable[Key]) -> set[Key]:
        """Those of these rows that are still to be sent."""
        try:
            return {
                key
                for key in keys
                if key not in self._undeleted and any(store.holds(key) for store in self._stores(key[1]))
            }
        except OSError:  # nobody knows: ask later
            return set(keys)

    def put(self, messages: Sequence[Message], remember: Mapping[str, bytes], settled: Sequence[Row]) -> None:
        """Takes messages in one commit for each store; ``settled`` rows leave."""
        self._tell([])
        sure = [message for message in messages if message.lane in NEED_RECEIPT]
        latest = [message for message in messages if message.lane in KEEP_LATEST]
        bulk = [message for message in messages if message.lane in BULK]
        if sure or remember:
            self._put_alerts(sure, remember)
        if latest:
            self._latest.put(latest)
        if bulk:
            self._put_bulk(bulk)
        self.delete(settled)
        if self.troubles.keys() & set(SHELVES) and time.monotonic() >= self._try_again_s:
            self._try_again()

    def _put_alerts(self, messages: Sequence[Message], remember: Mapping[str, bytes]) -> None:
        notes = self._unwritten | {f"remember/{key}": value for key, value in remember.items()}
        if self._alerts.path is None:
            self._look_for_the_disk()
        elif self._alerts.deleted():
            self._write_anew()
        try:
            try:
                self._alerts.put(messages, notes)
            except DamagedError:
                self._reopen_alerts()
                self._alerts.put(messages, notes)
        except OSError as error:
            self._trouble("alerts", error)
            self._spare["alerts"].put(messages)
            self._unwritten = notes
        else:
            self._unwritten = {}
            if self._alerts.path is not None:
                self._bring_home("alerts")
        for store in (self._alerts, self._spare["alerts"]):
            self._pull_forward(store)

    def _pull_forward(self, store: Store) -> None:
        """Alerts that a more urgent phase of theirs has raised are handed out before it."""
        raised, store.raised = store.raised, []
        for rank, place in raised:
            for key in (_OLD[rank], _NEW[rank]):
                self._cursor[store.epoch, key] = min(place - 1, self._cursor.get((store.epoch, key), 0))

    def _write_anew(self) -> None:
        try:
            self._alerts.rescue()
        except OSError as error:
            self._trouble("alerts", error)
        else:
            self._was_deleted(self._path.name)
        if self._alerts.closed:
            self._reopen_alerts()

    def _was_deleted(self, name: str) -> None:
        log.error("store_deleted", file=name)
        self.troubles["deleted"] = f"{name} was deleted or replaced while in use; it was written anew"

    def _look_for_the_disk(self) -> None:
        """Memory stands in for the disk: once that can be written, all that is owed goes there."""
        if time.monotonic() < self._try_again_s:
            return
        store, stand_in = self._open_disk(), self._alerts
        if store is None:
            return
        try:
            here = {row.id for lane in NEED_RECEIPT for row in store.due(lane, 0, store.count(lane))}
            rows = [row for lane in NEED_RECEIPT for row in stand_in.due(lane, 0, stand_in.count(lane))]
            store.put([_message(row) for row in rows if row.id not in here], stand_in.notes())
        except OSError as error:  # memory goes on
            self._trouble("alerts", error)
            store.close()
            return
        self._alerts = store
        stand_in.close()
        log.info("disk_is_back", taken_over=len(rows))

    def _put_bulk(self, messages: Sequence[Message]) -> None:
        for lane in {message.lane for message in messages}:
            here = [message for message in messages if message.lane == lane]
            try:
                self._segments[lane].put(here)
            except OSError as error:
                self._trouble(lane, error)
                spare = self._spare[lane]
                spare.put(here)
                if (too_many := spare.count(lane) - SPARE_ROWS[lane]) > 0:
                    self._lose(spare.due(lane, 0, too_many), "the disk takes nothing, and memory is full")
            else:
                self._bring_home(lane)

    def _bring_home(self, shelf: str) -> None:
        """The disk takes messages again: those that only memory holds go there too, under new numbers."""
        spare = self._spare[shelf]
        lanes = [lane for lane in LANES if spare.count(lane)]
        rows = [_message(row) for lane in lanes for row in spare.due(lane, 0, spare.count(lane))]
        if rows:
            try:
                if shelf == "alerts":
                    self._alerts.put(rows)
                else:
                    self._segments[lanes[0]].put(rows)
            except OSError as error:
                self._trouble(shelf, error)
                return
            self._spare[shelf] = Store.in_memory()
            spare.close()
        self.troubles.pop(shelf, None)

    def _try_again(self) -> None:
        """What only memory holds does not wait for the next message of its kind."""
        if "alerts" in self.troubles:
            self._put_alerts([], {"tried": b""})
        for lane, segments in self._segments.items():
            if lane in self.troubles:
                try:
                    segments.probe()
                except OSError as error:
                    self._trouble(lane, error)
                else:
                    self._bring_home(lane)
        self._try_again_s = time.monotonic() + TRY_AGAIN_S

    def _read(self, lane: Lane, limit: int, most_rank: int) -> list[Row]:
        """What comes next in ``lane``, wherever it is kept; the cursor moves behind it."""
        if lane == "alert":
            return self._read_alerts(limit, most_rank)
        rows: list[Row] = []
        if lane in KEEP_LATEST:
            rows = self._read_on(self._latest, lane, limit)
        else:
            try:
                if lane in NEED_RECEIPT:
                    rows = self._read_on(self._alerts, lane, limit)
                else:
                    rows = self._segments[lane].due(self._cursor, limit)
            except DamagedError:
                self._reopen_alerts()
            except OSError as error:
                self._trouble(_shelf(lane), error)
            rows += self._read_on(self._spare[_shelf(lane)], lane, limit - len(rows))
            give_up_unreadable(self._alerts, self._tell)
        for row in rows:
            self._cursor[row.store.epoch, lane] = row.place
        return rows

    def _read_on(self, store: Store, lane: Lane, limit: int) -> list[Row]:
        return store.due(lane, self._cursor.get((store.epoch, lane), 0), limit)

    def _read_alerts(self, limit: int, most_rank: int) -> list[Row]:
        """By rank, then new before old."""
        rows: list[Row] = []
        for rank in range(min(most_rank, LAST_RANK) + 1):
            some = [
                store
                for store in (self._alerts, self._spare["alerts"])
                if self._cursor.get((store.epoch, _OLD[rank]), 0) < store.top(rank)
            ]
            for read in (self._read_new, self._read_old) if some else ():
                for store in some:
                    if len(rows) >= limit:
                        return rows
                    try:
                        rows += read(store, rank, limit - len(rows))
                    except DamagedError:
                        self._reopen_alerts()
                    except OSError as error:
                        self._trouble("alerts", error)
        give_up_unreadable(self._alerts, self._tell)
        return rows

    def _read_new(self, store: Store, rank: int, limit: int) -> list[Row]:
        """Past what is old, where that is not through yet; nothing that belongs behind some of it."""
        floor, key = self._floor.get(store.epoch, 0), (store.epoch, _NEW[rank])
        if self._cursor.get((store.epoch, _OLD[rank]), 0) >= floor:
            return []
        while found := store.due("alert", max(floor, self._cursor.get(key, 0)), limit, rank):
            self._cursor[key] = found[-1].place
            rows = [row for row in found if not (row.group and store.older(row.group, floor))]
            rows = [row for row in rows if (store.epoch, row.place) not in self._ahead]
            self._ahead |= {(store.epoch, row.place) for row in rows}
            if rows:
                return rows
        return []

    def _read_old(self, store: Store, rank: int, limit: int) -> list[Row]:
        """From the oldest on, all that was not handed out ahead."""
        key = (store.epoch, _OLD[rank])
        while found := store.due("alert", self._cursor.get(key, 0), limit, rank):
            self._cursor[key] = found[-1].place
            rows = [row for row in found if (store.epoch, row.place) not in self._ahead]
            self._ahead -= {(store.epoch, row.place) for row in found}
            if rows:
                return rows
        return []

    def _sendable(self, rows: Sequence[Row]) -> list[Row]:
        late = [row for row in rows if row.expires_s is not None and row.expires_s <= 0]
        if late:
            self._lose([row for row in late if row.lane in BULK], "expired before it could be sent")
            self.delete(late)
        return [row for row in rows if row not in late and row.key not in self._undeleted]

    def _lose(self, rows: Sequence[Row], why: str) -> None:
        """Tells of rows that will not be sent, then deletes them. Runs of numbers make one gap each."""
        losses: list[Loss] = []
        for row in rows:
            before = losses[-1] if losses else None
            if before and (before.epoch, before.lane, before.last) == (row.epoch, row.lane, row.seq - 1):
                losses[-1] = replace(before, last=row.seq, count=(before.count or 0) + 1)
            else:
                losses.append(
                    Loss(lane=row.lane, epoch=row.epoch, first=row.seq, last=row.seq, count=1, why=why)
                )
        self._tell(losses)
        self.delete(rows)

    def _tell(self, losses: Sequence[Loss]) -> None:
        """A gap receipt for each loss, in the lane ``result``: durable before what it tells of happens."""
        self._losses += losses
        if self._losses and self._opened:
            told, self._losses = self._losses, []
            for loss in told:
                log.warning("messages_lost", **asdict(loss))
            gaps = [{key: value for key, value in asdict(loss).items() if key != "epoch"} for loss in told]
            self._put_alerts(
                [
                    self.gap({"of_epoch": loss.epoch, "gap": gap})
                    for loss, gap in zip(told, gaps, strict=True)
                ],
                {},
            )

    def delete(self, rows: Sequence[Row]) -> None:
        tried = {row.key: row for row in (*self._undeleted.values(), *rows)}
        self._undeleted = {}
        for lane, segments in self._segments.items():
            moved = [row for row in tried.values() if row.lane == lane and row.store.closed]
            if moved:
                with suppress(OSError):  # they are sent once more
                    segments.delete(moved)
        stores = {id(row.store): row.store for row in tried.values()}
        for store in stores.values():
            here = [row for row in tried.values() if row.store is store]
            try:
                store.delete([(row.lane, row.place) for row in here])
            except OSError as error:
                self._trouble("alerts" if store is self._alerts else here[0].lane, error)
                self._undeleted.update((row.key, row) for row in here)
        for segments in self._segments.values():
            segments.tidy()

    def _stores(self, lane: Lane) -> Sequence[Store | Segments]:
        if lane in KEEP_LATEST:
            return (self._latest,)
        return (self._alerts if lane in NEED_RECEIPT else self._segments[lane], self._spare[_shelf(lane)])

    def _open_alerts(self) -> Store:
        store = self._open_disk() or Store.stand_in(self._path)
        self._floor[store.epoch] = store.last("alert")
        return store

    def _open_disk(self) -> Store | None:
        """None where it can't be written."""
        try:
            store = Store.open(
                self._path, sure=True, grown_bytes=GROWN_BYTES, history_bytes=self._history_bytes
            )
        except OSError as error:
            self._try_again_s = time.monotonic() + TRY_AGAIN_S
            self._trouble("alerts", error)
            return None
        if store.salvaged:
            self.troubles["salvage"] = store.salvaged
            self._losses.append(Loss(lane="alert", epoch=None, why=DAMAGED))
        return store

    def _reopen_alerts(self) -> None:
        self._alerts.close()
        self._alerts = self._open_alerts()

    def _trouble(self, store: str, error: OSError) -> None:
        text = f"{error}; new messages are kept in memory only"
        if self.troubles.get(store) != text:
            log.error("disk_trouble", store=store, error=str(error))
        self.troubles[store] = text


def _shelf(lane: Lane) -> str:
    return "alerts" if lane in NEED_RECEIPT else lane


def _message(row: Row) -> Message:
    expires_after = None if row.expires_s is None else timedelta(seconds=max(0.0, row.expires_s))
    return Message(
        lane=row.lane,
        topic=row.topic,
        id=row.id,
        body=row.body,
        qos=1 if row.qos else 0,
        retain=row.retain,
        expires_after=expires_after,
        age_s=row.age_s,
        rank=row.rank,
        group=row.group,
    )


def _bare_gap(fields: Mapping[str, Any]) -> Message:
    identity = new_id()
    body = encode({"schema": "gap/1", "id": identity, **fields})
    return Message(lane="result", topic="gap", id=identity, body=body)
