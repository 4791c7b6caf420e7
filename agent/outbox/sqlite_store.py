"""The undelivered messages of one file, in SQLite, with their numbers. `opening` makes a store.

Numbers rise by one per lane, and none is given twice in an epoch. Errors are OSError, and what failed was
not done at all. One thread at a time uses a store.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import structlog

from agent.domain.message import LAST_RANK, LATEST_LANES, Lane, Message
from agent.host import clock
from agent.host.entropy import token_hex
from agent.outbox.alert_groups import AlertGroups, chunks
from agent.outbox.database import Database, FullError
from agent.outbox.epochs import Epochs
from agent.outbox.number_ranges import limit_ranges, merge_ranges
from agent.outbox.receipt_history import ReceiptHistory, make_room
from agent.outbox.row_reader import RowReader
from agent.outbox.rows import Key, ResendResult, Row
from agent.outbox.schema import COLUMNS, INSERT

log = structlog.get_logger()

Values: TypeAlias = Mapping[str, bytes] | None
RESERVE_BYTES = 256 * 1024
"""A store with reserved room takes no more messages when less than this is left: on a file that is full to
the last page, SQLite cannot even delete."""


class Store:
    """``with_receipts``: alerts and results, which leave on the centre's receipt. ``reserved_bytes``: room
    that is made in the file beforehand. ``history_bytes``: the limit of what is kept after its receipt."""

    def __init__(
        self, database: Database, *, with_receipts: bool, reserved_bytes: int = 0, history_bytes: int = 0
    ) -> None:
        self.database = database
        self.path = database.path
        self.salvaged: str | None = None
        """What was wrong with the file when it was opened, and where the damaged file is."""
        self.promoted: list[tuple[int, int]] = []
        """(rank, first place) of alerts that `put` has given the rank of a more urgent one of their group."""
        self._reserved_bytes = reserved_bytes
        self.boot = clock.boot_id()
        self.lost_power = self.read("boot") not in (None, self.boot.encode()) and not self.read("closed")
        """Whether power was lost while the file was last in use."""
        self._last: dict[str, int] = dict(database.rows("SELECT lane, last FROM counter"))
        self._count: dict[str, int] = {}
        for lane, count, last in database.rows("SELECT lane, count(*), max(seq) FROM owed GROUP BY lane"):
            self._count[lane] = count
            self._last[lane] = max(last, self._last.get(lane, 0))
        self.keep_one_in = int(self.read("thinned") or 1)
        """Of so many rows that were once put, one is left."""
        self._groups = AlertGroups(database) if with_receipts else None
        self._last_of_rank: dict[int, int] = {}
        previous = (self.read("epoch") or b"").decode()
        self.epoch = token_hex(8) if with_receipts or not previous else previous
        """The epoch of the numbers that are given now."""
        self._epochs = Epochs(database, self.epoch, with_receipts=with_receipts)
        self._reader = RowReader(self, self._epochs, self.boot)
        with database.transaction():
            for key, value in (("epoch", self.epoch), ("boot", self.boot), ("closed", "")):
                self.write(key, value.encode())
            if with_receipts:
                ranks = "SELECT rank, max(seq) FROM owed WHERE lane = 'alert' GROUP BY rank"
                self._last_of_rank.update(database.rows(ranks))
                self._epochs.begin(previous, self._last)
        self.history = ReceiptHistory(database, history_bytes) if with_receipts else None

    @property
    def closed(self) -> bool:
        return self.database.closed

    def close(self) -> None:
        """Closes the file, and notes in it that nothing was lost."""
        if not self.closed:
            try:
                if self.path is not None:
                    self.write("closed", b"1")
            except OSError as error:
                log.warning("store_close_failed", error=str(error))
            self.database.close()

    def read(self, key: str) -> bytes | None:
        """The value that was written under ``key`` beside the messages."""
        row = self.database.row("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else bytes(row[0])

    def write(self, key: str, value: bytes) -> None:
        self.database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def values(self) -> dict[str, bytes]:
        """All that was written beside the messages, but for what belongs to this file."""
        found = self.database.rows("SELECT key, value FROM meta WHERE key NOT IN ('epoch', 'boot', 'closed')")
        return {str(key): bytes(value) for key, value in found}

    def put(
        self, messages: Iterable[Message], remember: Values = None, amended: Iterable[Message] = ()
    ) -> None:
        """Stores all messages, values and ``amended`` bodies, or nothing: OSError.

        An alert that is more urgent than earlier ones of its group promotes them (`promoted`).
        """
        if self._reserved_bytes and self.database.free_bytes() < RESERVE_BYTES:
            make_room(self.database, self.history, self._reserved_bytes, RESERVE_BYTES)
        last, count = dict(self._last), dict(self._count)
        alerts: list[tuple[str, int, int]] = []
        with self.database.transaction():
            for message in messages:
                self._insert(message, last, count)
                if message.lane == "alert":
                    alerts.append((message.group, message.rank, last["alert"]))
            bodies = [(one.body, one.id) for one in amended]
            self.database.execute_many("UPDATE owed SET body = ? WHERE id = ?", bodies)
            grouped = [alert for alert in alerts if alert[0]]
            promoted = [] if self._groups is None else self._groups.promote_earlier(grouped)
            self.database.execute_many("INSERT OR REPLACE INTO counter VALUES (?, ?)", last.items())
            for key, value in (remember or {}).items():
                self.write(key, value)
        self._last, self._count = last, count
        self._last_of_rank.update((rank, place) for _, rank, place in alerts)
        self._last_of_rank.update((rank, max(place, last["alert"])) for rank, place in promoted)
        if self._groups is not None:
            self._groups.add(grouped)
        self.promoted += promoted

    def _insert(self, message: Message, last: dict[str, int], count: dict[str, int]) -> None:
        lane, now_s = message.lane, clock.since_boot_s()
        expires_s = None if message.expires_after is None else now_s + message.expires_after.total_seconds()
        boot, made_s = (self.boot, now_s - message.age_s) if message.age_s is not None else ("", now_s)
        content = (message.id, message.topic, message.body, message.qos, int(message.retain), expires_s)
        if lane in LATEST_LANES:
            # A message that was never handed out is replaced, and keeps its number: no gap.
            replaced = self.database.execute(
                "UPDATE owed SET id = ?, topic = ?, body = ?, qos = ?, retain = ?, expires_s = ?, boot = ?,"
                " made_s = ? WHERE lane = ? AND topic = ? AND handed = 0",
                (*content, boot, made_s, lane, message.topic),
            )
            if replaced:
                return
        last[lane] = last.get(lane, 0) + 1
        count[lane] = count.get(lane, 0) + 1
        self.database.execute(
            f"INSERT {INSERT}", (lane, last[lane], *content, boot, made_s, message.rank, message.group)
        )

    def due(self, lane: Lane, after: int, limit: int, rank: int | None = None) -> list[Row]:
        """Up to ``limit`` rows of ``lane`` behind the place ``after``, oldest first; of one ``rank``."""
        last = self._last.get(lane, 0) if rank is None else self.last_of_rank(rank)
        if limit <= 0 or after >= last or not self._count.get(lane):
            return []
        values: tuple[Any, ...] = (lane, after)
        where = "lane = ? AND seq > ?"
        if rank is not None:
            where, values = "lane = 'alert' AND rank = ? AND seq > ?", (rank, after)  # as its index has it
        found = self.database.rows(
            f"SELECT {COLUMNS} FROM owed WHERE {where} ORDER BY seq LIMIT ?",  # noqa: S608  ours
            (*values, limit),
        )
        if found and lane in LATEST_LANES:
            self.database.execute(
                "UPDATE owed SET handed = 1 WHERE lane = ? AND seq > ? AND seq <= ?",
                (lane, after, found[-1][1]),
            )
        return self._reader.rows(found)

    def by_id(self, ids: Sequence[str]) -> list[Row]:
        """The undelivered rows with these ids, whatever their lane."""
        rows: list[Row] = []
        for some in chunks(ids):
            marks = ",".join("?" * len(some))
            rows += self._reader.rows(
                self.database.rows(f"SELECT {COLUMNS} FROM owed WHERE id IN ({marks})", some)  # noqa: S608  ours
            )
        return rows

    def take_unreadable(self) -> list[Row]:
        """Rows that a failing disk has changed: `due` found them, and did not hand them out."""
        return self._reader.take_unreadable()

    def delete(self, places: Sequence[tuple[Lane, int]]) -> int:
        """The number of rows at these places. A delete that a power cut undoes is only a repeat later."""
        if self.closed or not places:
            return 0
        with self.database.relaxed_transaction():
            groups = self._groups_of("seq", [place for lane, place in places if lane == "alert"])
            count = dict(self._count)
            for lane in {lane for lane, _ in places}:
                of_lane = [place for place in places if place[0] == lane]
                deleted = self.database.execute_many("DELETE FROM owed WHERE lane = ? AND seq = ?", of_lane)
                count[lane] = count.get(lane, 0) - deleted
        return self._deleted(count, groups)

    def record_receipts(self, ids: Sequence[str]) -> int:
        """The centre holds the messages with these ids: they move to the history; the number of rows.

        Where the disk has no room for the history, they are deleted all the same.
        """
        try:
            return self._record_receipts(ids, self.history)
        except FullError:
            return self._record_receipts(ids, None)

    def _record_receipts(self, ids: Sequence[str], history: ReceiptHistory | None) -> int:
        if self.closed or not ids or not self.count():
            return 0
        if history is not None and not history.max_bytes:
            history = None
        count = dict(self._count)
        size = history.size if history else None
        groups: list[str] = []
        with self.database.relaxed_transaction():
            for some in chunks(ids):
                where = f"id IN ({','.join('?' * len(some))})"
                found = self.database.rows(
                    f"SELECT lane, count(*), sum(length(body)) FROM owed WHERE {where} GROUP BY lane",  # noqa: S608
                    some,
                )
                groups += self._groups_of("id", some)
                if history and size and found:
                    rows, body_bytes = sum(n for _, n, _ in found), sum(length for *_, length in found)
                    size = history.keep(some, size, rows, body_bytes)
                self.database.execute(f"DELETE FROM owed WHERE {where}", some)  # noqa: S608
                for lane, deleted, _ in found:
                    count[lane] = count.get(lane, 0) - deleted
            if history and size:
                size = history.prune(size)
        if history and size:
            history.size = size
        return self._deleted(count, groups)

    def _groups_of(self, column: str, values: Sequence[Any]) -> list[str]:
        return [] if self._groups is None else self._groups.groups_of(column, values)

    def _deleted(self, count: dict[str, int], groups: Iterable[str]) -> int:
        """Takes the new counts after a commit; the number of rows that left."""
        deleted = sum(self._count.values()) - sum(count.values())
        self._count = count
        if self._groups is not None:
            self._groups.remove(groups)
        return deleted

    def resend(self, lane: Lane, epoch: str, ranges: Sequence[tuple[int, int]]) -> ResendResult:
        """Makes kept rows of these numbers undelivered again; rows that are undelivered stay as they are."""
        asked = merge_ranges(ranges)
        base = self._epochs.base(lane, epoch)
        if base is None or self.history is None:
            missing = limit_ranges([(first, last, last - first + 1) for first, last in asked])
            return ResendResult(0, 0, missing)
        end = self.last(lane) if epoch == self.epoch else self._epochs.end(lane, base, self.last(lane))
        if epoch == self.epoch:  # higher numbers are yet to be given
            asked = [(first, min(last, end - base)) for first, last in asked if first <= end - base]
        with self.database.transaction():
            result, size = self.history.restore(lane, base, end, asked)
        self._count[lane] = self._count.get(lane, 0) + result.resent
        self.history.size = size
        self._last_of_rank[LAST_RANK] = self.last("alert")
        return result

    def has_earlier_of_group(self, group: str, place: int) -> bool:
        """Whether an alert of ``group`` at ``place`` or before may still be undelivered."""
        return self._groups is not None and self._groups.may_have_earlier(group, place)

    def contains(self, key: Key) -> bool:
        """Whether the row is undelivered, and has not expired."""
        epoch, lane, seq = key
        base = self._epochs.base(lane, epoch)
        if base is None:
            return False
        asked = "SELECT expires_s, boot FROM owed WHERE lane = ? AND seq = ?"
        found = self.database.row(asked, (lane, base + seq))
        if found is None:
            return False
        expires_s, boot = found
        return expires_s is None or boot != self.boot or expires_s > clock.since_boot_s()

    def highest_numbers(self) -> list[tuple[Lane, str, int]]:
        """(lane, epoch, highest number given) of each epoch with undelivered or kept messages."""
        return self._epochs.highest_numbers(self._last)

    def count(self, lane: Lane | None = None) -> int:
        """The number of undelivered rows."""
        return sum(self._count.values()) if lane is None else self._count.get(lane, 0)

    def last(self, lane: Lane) -> int:
        """The last place that was ever taken; in a lane without receipts that is its number."""
        return self._last.get(lane, 0)

    def last_of_rank(self, rank: int) -> int:
        """No alert of this rank has a higher place."""
        return self._last_of_rank.get(rank, 0)

    def span(self, lane: Lane) -> tuple[int, int, int] | None:
        """(first place, last place, count) of the undelivered rows, or None."""
        asked = "SELECT min(seq), max(seq), count(*) FROM owed WHERE lane = ?"
        found: tuple[int, int, int] = self.database.row(asked, (lane,))
        return found if found[2] else None
