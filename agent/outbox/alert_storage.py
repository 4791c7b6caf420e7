"""Alerts and results: in alerts.db, and in memory while the disk fails.

A disk that fails (full, read-only, broken) costs durability, not delivery: messages stay in memory meanwhile,
are sent, and go to the disk once it works again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from agent.domain.message import RECEIPT_LANES, Message
from agent.outbox.alert_queue import AlertQueue
from agent.outbox.database import DamagedError
from agent.outbox.disk_faults import DiskFaults
from agent.outbox.losses import DAMAGED, LOST, UNREADABLE, Loss, LossReporter, losses_of, lost_alerts
from agent.outbox.opening import memory_copy, memory_store, open_store
from agent.outbox.rows import Row
from agent.outbox.sqlite_store import Store

log = structlog.get_logger()

RESERVED_BYTES = 4 * 1024 * 1024
"""Room made in alerts.db beforehand, for thousands of alerts on a full disk."""
LEAST_HISTORY_BYTES, MOST_HISTORY_BYTES = 1_000_000, 16_000_000
HISTORY_PART = 64
"""The history of messages with a receipt has this part of the room for telemetry and pictures."""


class AlertStorage:
    """``store`` is alerts.db, or a copy of it in memory where it cannot be written; ``memory`` holds messages
    that ``store`` did not take. OSError from `read` and `resend` only."""

    def __init__(self, folder: Path, max_bytes: int, faults: DiskFaults) -> None:
        self.path = folder / "alerts.db"
        self.memory = memory_store()
        self.losses = LossReporter(self._put_losses)
        self._faults = faults
        self._queue = AlertQueue()
        self._history_bytes = min(max(LEAST_HISTORY_BYTES, max_bytes // HISTORY_PART), MOST_HISTORY_BYTES)
        self._unwritten: dict[str, bytes] = {}
        """Remembered values that the disk did not take."""
        self._unamended: list[Message] = []
        """Amended alerts that the disk did not take."""
        self.store = self._open()
        self.losses.alerts = lost_alerts(self.store.read(f"remember/{LOST}"))

    @property
    def stores(self) -> tuple[Store, Store]:
        return self.store, self.memory

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def read(self, key: str) -> bytes | None:
        """A remembered value."""
        return self._unwritten[key] if key in self._unwritten else self.store.read(key)

    def write(self, key: str, value: bytes) -> None:
        """Remembers a value; in memory where the disk fails."""
        try:
            self.store.write(key, value)
        except OSError as error:
            self._faults.report("alerts", error)
            self._unwritten[key] = value
        else:
            self._unwritten.pop(key, None)

    def put(
        self, messages: Sequence[Message], remember: Mapping[str, bytes], amended: Sequence[Message] = ()
    ) -> None:
        """Stores messages, amended bodies and values in one commit; in memory where the disk fails."""
        amended = [*self._unamended, *amended]
        values = self._unwritten | {f"remember/{key}": value for key, value in remember.items()}
        if self.store.path is None:
            self.return_to_disk()
        elif self.store.database.was_replaced():
            self.rewrite()
        earlier = self._earlier_in_memory(messages)
        together = [*(row.to_message() for row in earlier), *messages]
        try:
            try:
                self.store.put(together, values, amended)
            except DamagedError:
                self.reopen()
                self.store.put(together, values, amended)
        except OSError as error:
            self._faults.report("alerts", error)
            self.memory.put(messages, amended=amended)
            self._unwritten, self._unamended = values, amended
        else:
            self._unwritten, self._unamended = {}, []
            self.memory.delete([(row.lane, row.place) for row in earlier])
            if self.store.path is not None:
                self._move_to_disk()
        for store in self.stores:
            self._queue.apply_promotions(store)

    def _earlier_in_memory(self, messages: Sequence[Message]) -> list[Row]:
        """What only memory holds of the groups of ``messages``: it has to get the lower numbers."""
        memory = self.memory
        groups = {message.group for message in messages if message.group}
        if not groups or not memory.count():
            return []
        rows = (row for lane in RECEIPT_LANES for row in memory.due(lane, 0, memory.count(lane)))
        return [row for row in rows if row.group in groups]

    def _put_losses(self, messages: Sequence[Message]) -> None:
        """Stores gap messages, with the number of lost alerts."""
        self.put(messages, {LOST: self.losses.alerts.model_dump_json().encode()})

    def _move_to_disk(self) -> None:
        """The disk works again: messages that only memory holds are stored too, under new numbers."""
        memory = self.memory
        rows = [row for lane in RECEIPT_LANES for row in memory.due(lane, 0, memory.count(lane))]
        if rows:
            try:
                self.store.put([row.to_message() for row in rows])
            except OSError as error:
                self._faults.report("alerts", error)
                return
            self.memory = memory_store()
            memory.close()
        self._faults.clear("alerts")

    def retry(self) -> None:
        """Offers the disk what only memory holds."""
        self.put([], {"tried": b""})

    def due(self, limit: int, most_rank: int) -> list[Row]:
        """The next alerts that were not handed out since `rewind`."""
        rows = self._queue.due(self.stores, limit, most_rank, self._read_failed)
        self.drop_unreadable()
        return rows

    def due_results(self, after: Mapping[tuple[str, str], int], limit: int) -> list[Row]:
        """The next results, behind the places ``after`` of (epoch, lane)."""
        rows: list[Row] = []
        for store in self.stores:
            try:
                rows += store.due("result", after.get((store.epoch, "result"), 0), limit - len(rows))
            except OSError as error:
                self._read_failed(store, error)
        self.drop_unreadable()
        return rows

    def _read_failed(self, _store: Store, error: OSError) -> None:
        if isinstance(error, DamagedError):
            self.reopen()
        else:
            self._faults.report("alerts", error)

    def drop_unreadable(self) -> None:
        """Reports rows that the disk has corrupted as lost, and deletes them."""
        store = self.store
        if rows := store.take_unreadable():
            self.losses.report([loss for row in rows for loss in losses_of([row], UNREADABLE)])
            with suppress(OSError):
                store.delete([(row.lane, row.place) for row in rows])

    def by_id(self, ids: Sequence[str]) -> list[Row]:
        """The undelivered rows with these ids."""
        rows: list[Row] = []
        for store in self.stores:
            with suppress(OSError):
                rows += store.by_id(ids)
        return rows

    def record_receipts(self, ids: Sequence[str]) -> int:
        """The number of rows that left. Where the disk fails, they are sent again, and receive one again."""
        ids = [one for one in ids if one.isascii()]
        count = 0
        for store in self.stores:
            try:
                count += store.record_receipts(ids)
            except OSError as error:
                self._faults.report("alerts", error)
        return count

    def rewind(self) -> None:
        """Hands out all alerts again."""
        self._queue.rewind(self.stores)

    def restart_resends(self) -> None:
        """Hands out rows that the centre has asked for again."""
        self._queue.restart_resends(self.store)

    def check_file(self) -> None:
        """Writes the file anew where it was deleted or replaced."""
        if self.store.database.was_replaced():
            self.rewrite()

    def rewrite(self) -> None:
        """Writes the content of the open file to its path again."""
        try:
            self.store.database.rewrite()
        except OSError as error:
            self._faults.report("alerts", error)
        else:
            self._faults.report_deleted(self.path.name)
        if self.store.closed:
            self.reopen()

    def reopen(self) -> None:
        """Opens the file anew: damage is found, and the damaged file set aside."""
        self.store.close()
        self.store = self._open()

    def return_to_disk(self) -> None:
        """Replaces a copy in memory by the file, once that can be written."""
        if not self._faults.retry_due:
            return
        store, copy = self._open_file(), self.store
        if store is None:
            return
        try:
            stored = {row.id for lane in RECEIPT_LANES for row in store.due(lane, 0, store.count(lane))}
            rows = [row for lane in RECEIPT_LANES for row in copy.due(lane, 0, copy.count(lane))]
            store.put([row.to_message() for row in rows if row.id not in stored], copy.values())
        except OSError as error:  # memory goes on
            self._faults.report("alerts", error)
            store.close()
            return
        self.store = store
        copy.close()
        log.info("disk_recovered", rows_written=len(rows))

    def _open(self) -> Store:
        store = self._open_file() or memory_copy(self.path)
        self._queue.opened(store)
        return store

    def _open_file(self) -> Store | None:
        """None where it cannot be written."""
        try:
            store = open_store(
                self.path, durable=True, reserved_bytes=RESERVED_BYTES, history_bytes=self._history_bytes
            )
        except OSError as error:
            self._faults.postpone_retry()
            self._faults.report("alerts", error)
            return None
        if store.salvaged:
            self._faults.texts["salvage"] = store.salvaged
            self.losses.add(Loss(lane="alert", epoch=None, why=DAMAGED))
        return store
