"""Messages that have their receipt, kept for a centre that was restored from a backup and asks again.

Sizes change only after the transaction that changes the rows: so the methods return the new one.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.domain.message import LAST_RANK, Lane
from agent.host import clock
from agent.host.clock import unix_s
from agent.outbox.database import Database
from agent.outbox.number_ranges import limit_ranges, missing_ranges
from agent.outbox.rows import ResendResult
from agent.outbox.schema import KEPT_COLUMNS

KEPT_S = 7 * 24 * 3600.0
KEPT_ROWS = 2000
"""A message is kept this long, and so many of the newest however old, within the bytes of the history."""
ROW_BYTES = 250
"""The size of a kept row beside its body."""
PRUNE_EVERY_S = 3600.0


class HistorySize(NamedTuple):
    rows: int
    bytes: int


class ReceiptHistory:
    """The kept messages of one store, in ``max_bytes``; 0 keeps none."""

    def __init__(self, database: Database, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._database = database
        self._pruned_s = float("-inf")
        total = f"SELECT count(*), total(length(body) + {ROW_BYTES}) FROM kept"  # noqa: S608  ours
        self.size = HistorySize(*map(int, database.row(total)))

    def keep(self, ids: Sequence[str], size: HistorySize, count: int, body_bytes: int) -> HistorySize:
        """Copies the undelivered rows with these ids, within a transaction."""
        marks = ",".join("?" * len(ids))
        self._database.execute(
            f"INSERT INTO kept ({KEPT_COLUMNS}, kept_at)"  # noqa: S608  ours
            f" SELECT {KEPT_COLUMNS}, ? FROM owed WHERE id IN ({marks})",
            (unix_s(), *ids),
        )
        return HistorySize(size.rows + count, size.bytes + body_bytes + count * ROW_BYTES)

    def prune(self, size: HistorySize) -> HistorySize:
        """Deletes the oldest kept rows until the rest is within its limits, within a transaction."""
        rows, bytes_ = size
        old = rows > KEPT_ROWS and clock.since_boot_s() - self._pruned_s > PRUNE_EVERY_S
        if old:
            self._pruned_s = clock.since_boot_s()
        now = unix_s()
        while rows and (bytes_ > self.max_bytes or (old and rows > KEPT_ROWS)):
            last = None
            for number, length, kept_at in self._database.rows(
                "SELECT number, length(body), kept_at FROM kept ORDER BY number LIMIT 100"
            ):
                late = old and rows > KEPT_ROWS and now - kept_at > KEPT_S
                if bytes_ <= self.max_bytes and not late:
                    break
                last, rows, bytes_ = number, rows - 1, bytes_ - length - ROW_BYTES
            if last is None:
                break
            self._database.execute("DELETE FROM kept WHERE number <= ?", (last,))
        return HistorySize(rows, bytes_)

    def shrink(self, max_bytes: int) -> None:
        """Deletes all but the newest ``max_bytes``, for a disk that is full."""
        limit, self.max_bytes = self.max_bytes, min(max_bytes, self.max_bytes)
        try:
            with self._database.relaxed_transaction():
                size = self.prune(self.size)
            self.size = size
        finally:
            self.max_bytes = limit

    def restore(
        self, lane: Lane, base: int, end: int, asked: Sequence[tuple[int, int]]
    ) -> tuple[ResendResult, HistorySize]:
        """Makes the kept rows of these ranges of numbers undelivered again, within a transaction.

        The numbers are of the epoch with the places behind ``base`` up to ``end``.
        """
        resent = pending = 0
        missing: list[tuple[int, int, int]] = []
        size = self.size
        for first, last in asked:
            span = (lane, base + first, min(base + last, end))
            present = self._database.rows(
                "SELECT seq, 1 FROM owed WHERE lane = ?1 AND seq BETWEEN ?2 AND ?3 UNION ALL"
                " SELECT seq, 0 FROM kept WHERE lane = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY 1",
                span,
            )
            pending += sum(undelivered for _, undelivered in present)
            missing += missing_ranges(first, last, [place - base for place, _ in present])
            restored, size = self._restore_span(span, size)
            resent += restored
        return ResendResult(resent, pending, limit_ranges(missing)), size

    def _restore_span(self, span: tuple[Lane, int, int], size: HistorySize) -> tuple[int, HistorySize]:
        """Moves the kept rows of (lane, first place, last place); their number, and the new size."""
        (body_bytes,) = self._database.row(
            "SELECT total(length(body)) FROM kept WHERE lane = ? AND seq BETWEEN ? AND ?", span
        )
        count = self._database.execute(
            f"INSERT INTO owed ({KEPT_COLUMNS}, rank) SELECT {KEPT_COLUMNS}, {LAST_RANK} FROM kept"  # noqa: S608
            " WHERE lane = ? AND seq BETWEEN ? AND ?",
            span,
        )
        self._database.execute("DELETE FROM kept WHERE lane = ? AND seq BETWEEN ? AND ?", span)
        return count, HistorySize(size.rows - count, size.bytes - int(body_bytes) - count * ROW_BYTES)


def make_room(
    database: Database, history: ReceiptHistory | None, reserved_bytes: int, least_bytes: int
) -> None:
    """Reserves room for new alerts again; on a full disk the history makes room. OSError where it cannot."""
    try:
        database.reserve(reserved_bytes)
    except OSError:
        if history is None or not history.size.rows:
            raise
        history.shrink(history.size.bytes // 2)
        if database.free_bytes() < least_bytes:
            history.shrink(0)
        if database.free_bytes() < least_bytes:
            raise
