"""Where the messages of each lane are stored, and what leaves without being sent.

    alert, result      alerts.db, safe from a power cut on return; deleted on the centre's receipt, and then
                       kept a while for a centre that was restored from a backup and asks again
    telemetry, media   segments on disk; over the budget telemetry is downsampled, the oldest picture dropped,
                       and the loss reported
    status, position   in memory: each connection begins with new ones, a newer one replaces an older

A disk that fails (full, read-only, broken) costs durability, not delivery: messages stay in memory meanwhile,
are sent, and `faults` says so. Used by one thread at a time; `Outbox` sees to that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.domain.message import BULK_LANES, LANES, LAST_RANK, LATEST_LANES, RECEIPT_LANES, Lane, Message
from agent.host.clock import monotonic_s
from agent.outbox.alert_storage import AlertStorage
from agent.outbox.bulk_storage import BulkStorage
from agent.outbox.disk_faults import DiskFaults
from agent.outbox.losses import NOT_KEPT, Loss, losses_of
from agent.outbox.opening import memory_store
from agent.outbox.rows import Key, ResendResult, Row
from agent.outbox.segmented_log import SegmentedLog
from agent.outbox.sqlite_store import Store

DISK_STORES: tuple[str, ...] = ("alerts", *BULK_LANES)
MOST_EPOCHS = 15
"""Epochs of each lane that `LaneStorage.highest_numbers` names, the newest."""


class LaneStorage:
    """All stores of one folder, in ``max_bytes`` for telemetry and pictures. OSError only where it is made.

    ``clock`` is the monotonic clock by which a failed disk is tried again.
    """

    def __init__(self, folder: Path, max_bytes: int, clock: Callable[[], float] = monotonic_s) -> None:
        self.folder = folder
        self.faults = DiskFaults(clock)
        self.latest = memory_store()
        """Status and position."""
        self.alerts = AlertStorage(folder, max_bytes, self.faults)
        self.losses = self.alerts.losses
        self.bulk = {
            lane: BulkStorage(folder, lane, max_bytes // len(BULK_LANES), self.faults, self.losses)
            for lane in BULK_LANES
        }
        self.losses.ready = True
        self._handed_out: dict[tuple[str, str], int] = {}
        """By epoch and lane, but for alerts: the place up to which rows were handed out."""
        self._undeleted: dict[Key, Row] = {}
        """Delivered rows that the disk could not delete: not handed out, and tried again."""

    def close(self) -> None:
        """Offers the disk once more what only memory holds, and closes all files."""
        if self.faults.any_of(DISK_STORES):
            self.faults.retry_now()
            self._retry()
        self.latest.close()
        self.alerts.close()
        for storage in self.bulk.values():
            storage.close()

    def epoch(self, lane: Lane) -> str:
        """The epoch of the numbers that ``lane`` is given now."""
        if lane in RECEIPT_LANES:
            return self.alerts.store.epoch
        return self.latest.epoch if lane in LATEST_LANES else self.bulk[lane].log.epoch

    def due(self, limit: int, lanes: Sequence[Lane], most_rank: int = LAST_RANK) -> list[Row]:
        """The next rows that were not handed out since `rewind`; expired rows are dropped, and reported.

        Alerts by severity, then new ones before those from before the last `rewind`, then by age; only up to
        ``most_rank``.
        """
        rows: list[Row] = []
        for lane in lanes:
            while len(rows) < limit and (found := self._read(lane, limit - len(rows), most_rank)):
                rows += self._sendable(found)
        return rows

    def _read(self, lane: Lane, limit: int, most_rank: int) -> list[Row]:
        if lane == "alert":
            return self.alerts.due(limit, most_rank)
        if lane in LATEST_LANES:
            rows = self.latest.due(lane, self._handed_out.get((self.latest.epoch, lane), 0), limit)
        elif lane in RECEIPT_LANES:
            rows = self.alerts.due_results(self._handed_out, limit)
        else:
            rows = self.bulk[lane].due(self._handed_out, limit)
        for row in rows:
            self._handed_out[row.store.epoch, lane] = row.place
        return rows

    def _sendable(self, rows: Sequence[Row]) -> list[Row]:
        expired = [row for row in rows if row.expires_s is not None and row.expires_s <= 0]
        if expired:
            self.drop([row for row in expired if row.lane in BULK_LANES], "expired before it could be sent")
            self.delete(expired)
        return [row for row in rows if row not in expired and row.key not in self._undeleted]

    def drop(self, rows: Sequence[Row], why: str) -> None:
        """Reports rows as lost, durably, and then deletes them."""
        self.losses.report(losses_of(rows, why))
        self.delete(rows)

    def by_id(self, ids: Sequence[str]) -> list[Row]:
        """The alerts and results with these ids that are undelivered."""
        return [row for row in self.alerts.by_id(ids) if row.key not in self._undeleted]

    def delete_ids(self, ids: Sequence[str]) -> None:
        """Deletes messages that were delivered before they were written."""
        self.delete([*self.alerts.by_id(ids), *self.latest.by_id(ids)])

    def rewind(self, lanes: Iterable[Lane]) -> None:
        """Hands out again all rows of ``lanes``; ``status`` and ``position`` begin a new epoch, empty."""
        again = frozenset(lanes)
        self._handed_out = {key: place for key, place in self._handed_out.items() if key[1] not in again}
        if "alert" in again:
            self.alerts.rewind()
        if again.issuperset(LATEST_LANES):
            self.latest.close()
            self.latest = memory_store()

    def resend(self, lane: Lane, epoch: str, ranges: Sequence[tuple[int, int]]) -> ResendResult:
        """Makes the kept ones of these numbers undelivered again, and reports the others as a gap.

        OSError where the disk fails.
        """
        memory = self.alerts.memory
        found = (memory if memory.epoch == epoch else self.alerts.store).resend(lane, epoch, ranges)
        self.losses.report(
            [
                Loss(lane=lane, epoch=epoch, first=first, last=last, count=count, why=NOT_KEPT)
                for first, last, count in found.missing
            ]
        )
        self.alerts.restart_resends()
        self._handed_out.pop((self.alerts.store.epoch, "result"), None)
        return found

    def highest_numbers(self) -> list[dict[str, Any]]:
        """``{"lane", "epoch", "last"}`` of each epoch with undelivered or kept messages.

        Without the numbers that only memory has given: the disk gives others once it works again, and then a
        centre would ask for the first ones.
        """
        found: dict[Lane, list[dict[str, Any]]] = {}
        for store in self.alerts.stores:
            with suppress(OSError):
                for lane, epoch, last in store.highest_numbers():
                    if store.path is None and epoch == store.epoch:
                        continue
                    found.setdefault(lane, []).append({"lane": lane, "epoch": epoch, "last": last})
        return [one for lane in sorted(found) for one in found[lane][-MOST_EPOCHS:]]

    def check_files(self) -> None:
        """Writes files anew that were deleted or replaced while in use."""
        self.alerts.check_file()
        for storage in self.bulk.values():
            storage.rewrite_deleted()

    def depth(self) -> dict[Lane, int]:
        """The number of undelivered rows of each lane."""
        return {lane: sum(store.count(lane) for store in self._stores(lane)) for lane in LANES}

    def pending(self, keys: Iterable[Key]) -> set[Key]:
        """Those of these rows that are undelivered, and have not expired."""
        try:
            return {
                key
                for key in keys
                if key not in self._undeleted and any(store.contains(key) for store in self._stores(key[1]))
            }
        except OSError:  # unknown: ask later
            return set(keys)

    def put(
        self,
        messages: Sequence[Message],
        remember: Mapping[str, bytes],
        delivered: Sequence[Row],
        amended: Sequence[Message] = (),
    ) -> None:
        """Stores messages, and the bodies of ``amended`` alerts, in one commit for each store; ``delivered``
        rows are deleted."""
        self.losses.report()
        durable = [message for message in messages if message.lane in RECEIPT_LANES]
        latest = [message for message in messages if message.lane in LATEST_LANES]
        if durable or remember or amended:
            self.alerts.put(durable, remember, amended)
        if latest:
            self.latest.put(latest)
        for lane in {message.lane for message in messages if message.lane in BULK_LANES}:
            self.bulk[lane].put([message for message in messages if message.lane == lane])
        self.delete(delivered)
        if self.faults.any_of(DISK_STORES) and self.faults.retry_due:
            self._retry()

    def _retry(self) -> None:
        """Messages that only memory holds do not wait for the next message of their kind."""
        if self.faults.any_of(["alerts"]):
            self.alerts.retry()
        for lane, storage in self.bulk.items():
            if self.faults.any_of([lane]):
                storage.retry()
        self.faults.postpone_retry()

    def delete(self, rows: Sequence[Row]) -> None:
        """Deletes rows that were delivered; rows that the disk does not delete are tried again."""
        tried = {row.key: row for row in (*self._undeleted.values(), *rows)}
        self._undeleted = {}
        for lane, storage in self.bulk.items():
            moved = [row for row in tried.values() if row.lane == lane and row.store.closed]
            if moved:
                with suppress(OSError):  # they are sent once more
                    storage.log.delete(moved)
        stores = {id(row.store): row.store for row in tried.values()}
        for store in stores.values():
            of_store = [row for row in tried.values() if row.store is store]
            try:
                store.delete([(row.lane, row.place) for row in of_store])
            except OSError as error:
                self.faults.report("alerts" if store is self.alerts.store else of_store[0].lane, error)
                self._undeleted.update((row.key, row) for row in of_store)
        for storage in self.bulk.values():
            storage.log.delete_empty()

    def _stores(self, lane: Lane) -> Sequence[Store | SegmentedLog]:
        if lane in LATEST_LANES:
            return (self.latest,)
        if lane in RECEIPT_LANES:
            return self.alerts.stores
        return (self.bulk[lane].log, self.bulk[lane].memory)
