"""One SQLite file of what is owed. The only file with sqlite3.

WAL mode. A store is used by one thread at a time; all that can go wrong with the disk is an OSError, and
whatever failed was not done at all.
"""

import os
import secrets
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import structlog

from agent.domain.message import KEEP_LATEST, LAST_RANK, NEED_RECEIPT, Lane, Message
from agent.outbox.alert_groups import _Groups
from agent.outbox.database_errors import FullError, _as_os_error
from agent.outbox.number_ranges import _bounded, _holes, _merged
from agent.outbox.rows import Again, Key, Row
from agent.outbox.salvage import _set_aside, _sound, _take_over
from agent.outbox.schema import _COLUMNS, _INSERT, _KEPT, _RECEIPT_SCHEMA, _SCHEMA, _lay_out

from agent.runtime.kernel_clock import boot_id, since_boot_s

log = structlog.get_logger()

RESCUED = ".rescued"
RESERVE_BYTES = 256 * 1024
"""A store with room made beforehand takes nothing more when less than this is left: on a file that is full
to the last page, SQLite can't even delete."""

KEPT_S = 7 * 24 * 3600.0
KEPT_ROWS = 2000
"""What has its receipt is kept this long, and so many of the newest however old, in `history_bytes`."""
KEPT_ROW_BYTES = 250
"""What a kept row takes beside its body."""
PRUNE_EVERY_S = 3600.0

_AT_ONCE = 500
"""Ids in one statement."""


class Store:
    """Made by `open` or `in_memory`. Numbers rise by one per lane; none is given twice in an ``epoch``.

    Where receipts are needed an epoch is one opening of the store: of a file that is copied or restored from
    an image each life has numbers of its own.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path | None,
        *,
        sure: bool,
        grown_bytes: int,
        by_receipt: bool = False,
        history_bytes: int = 0,
    ) -> None:
        self._db = db
        self.path = path
        self._files = (str(path), f"{path}-wal")
        self._inode = None if path is None else path.stat().st_ino
        self._by_receipt = by_receipt
        self._history_bytes = history_bytes
        self.salvaged: str | None = None
        """What was wrong with the file when it was opened, and where the damaged one is."""
        self._sure = sure
        self._grown_bytes = grown_bytes
        self._boot = boot_id()
        self.closed = False
        self.unreadable: list[Row] = []
        """Rows that a failing disk has changed: found by `due`, and not handed out."""
        db.text_factory = lambda text: text.decode(errors="replace")
        self.cut_off = self.read("boot") not in (None, self._boot.encode()) and not self.read("closed")
        """Whether power was lost while it was last in use."""
        self._last: dict[str, int] = dict(db.execute("SELECT lane, last FROM counter").fetchall())
        self._count: dict[str, int] = {}
        for lane, count, last in db.execute("SELECT lane, count(*), max(seq) FROM owed GROUP BY lane"):
            self._count[lane] = count
            self._last[lane] = max(last, self._last.get(lane, 0))
        self.thinned = int(self.read("thinned") or 1)
        """Of so many rows that were once put, one is left."""
        self._groups = _Groups(db) if by_receipt else None
        tops = "SELECT rank, max(seq) FROM owed WHERE lane = 'alert' GROUP BY rank"
        self._tops: dict[int, int] = dict(db.execute(tops).fetchall()) if by_receipt else {}
        """No alert of this rank stands behind this place."""
        self.raised: list[tuple[int, int]] = []
        """(rank, place) of rows that a more urgent one of their group has pulled forward: see `put`."""
        self._kept_rows, self._kept_bytes, self._pruned_s = 0, 0, float("-inf")
        before = (self.read("epoch") or b"").decode()
        self.epoch = secrets.token_hex(8) if by_receipt or not before else before
        self._epochs: dict[str, list[tuple[int, str]]] = {}
        with self._transaction():
            for key, value in (("epoch", self.epoch), ("boot", self._boot), ("closed", "")):
                self.write(key, value.encode())
            if by_receipt:
                self._begin_epoch(before)

    def _begin_epoch(self, before: str) -> None:
        """Epochs in which nothing is owed or kept are forgotten; a file of an older agent has but one."""
        for lane in NEED_RECEIPT:
            found = self._db.execute("SELECT base, epoch FROM epochs WHERE lane = ? ORDER BY base", (lane,))
            begun = [(int(base), str(epoch)) for base, epoch in found]
            last = self.last(lane)
            if not begun and before:
                begun = [(0, before)]
            ends = [base for base, _ in begun[1:]] + [last]
            begun = [one for one, end in zip(begun, ends, strict=False) if self._any(lane, one[0], end)]
            self._epochs[lane] = [*begun, (last, self.epoch)]
            self._db.execute("DELETE FROM epochs WHERE lane = ?", (lane,))
            rows = [(lane, base, epoch) for base, epoch in self._epochs[lane]]
            self._db.executemany("INSERT INTO epochs VALUES (?, ?, ?)", rows)
        found = self._db.execute(f"SELECT count(*), total(length(body) + {KEPT_ROW_BYTES}) FROM kept")  # noqa: S608
        self._kept_rows, self._kept_bytes = map(int, found.fetchone())

    def _any(self, lane: Lane, base: int, end: int) -> bool:
        """Whether anything is owed or kept at the places behind ``base`` up to ``end``."""
        return any(
            self._db.execute(
                f"SELECT 1 FROM {table} WHERE lane = ? AND seq > ? AND seq <= ? LIMIT 1",  # noqa: S608  ours
                (lane, base, end),
            ).fetchone()
            for table in ("owed", "kept")
        )

    def _of_place(self, lane: Lane, place: int) -> tuple[str, int]:
        """Epoch and number of a place."""
        for base, epoch in reversed(self._epochs.get(lane, ())):
            if base < place:
                return epoch, place - base
        return self.epoch, place

    def _base(self, lane: Lane, epoch: str) -> int | None:
        """The place before the first of ``epoch``, or None where this store has no such."""
        if not self._by_receipt:
            return 0 if epoch == self.epoch else None
        return next((base for base, name in self._epochs.get(lane, ()) if name == epoch), None)

    def numbers(self) -> list[tuple[Lane, str, int]]:
        """(lane, epoch, highest number given) of each epoch of which anything is owed or kept."""
        told: list[tuple[Lane, str, int]] = []
        for lane in sorted(NEED_RECEIPT & self._epochs.keys()):
            begun = self._epochs[lane]
            ends = [base for base, _ in begun[1:]] + [self.last(lane)]
            with _as_os_error(self.path):
                told += [
                    (lane, epoch, end - base)
                    for (base, epoch), end in zip(begun, ends, strict=True)
                    if self._any(lane, base, end)
                ]
        return told

    @classmethod
    def in_memory(cls) -> Self:
        """A store that ends with the process, and that no disk can fail."""
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        db.executescript(_SCHEMA + _RECEIPT_SCHEMA)
        return cls(db, None, sure=False, grown_bytes=0, by_receipt=True)

    @classmethod
    def stand_in(cls, path: Path) -> Self:
        """In memory, with what can be read of ``path``, for as long as its disk can't be written.

        It numbers under an epoch of its own; a message keeps its id.
        """
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        db.executescript(_SCHEMA + _RECEIPT_SCHEMA)
        memory = Path("/dev/shm")  # noqa: S108  a private folder in it, where even the disk of /tmp can't be written
        try:
            with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
                copy = Path(folder) / path.name
                for ending in ("", "-wal"):
                    part = path.with_name(path.name + ending)
                    if part.exists():
                        shutil.copyfile(part, copy.with_name(copy.name + ending))
                if copy.exists():
                    _take_over(db, copy)
        except (OSError, sqlite3.Error) as error:
            log.error("nothing_taken_over", file=path.name, error=str(error))
        return cls(db, None, sure=False, grown_bytes=0, by_receipt=True)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        sure: bool,
        grown_bytes: int = 0,
        cache_kib: int = 1024,
        follows: "Store | None" = None,
        history_bytes: int = 0,
    ) -> Self:
        """Opens or makes the file. A damaged one is set aside, and what can be read of it is taken over.

        ``sure``: what is put is safe from a power cut on return, and leaves on a receipt. ``grown_bytes``:
        room made beforehand. ``follows``: the store whose epoch and numbers a new file goes on with.
        ``history_bytes``: what of the rows with a receipt is kept at most.
        """
        with _as_os_error(path):
            beside = path.with_name(path.name + RESCUED)
            if beside.exists() and not path.exists():  # killed within `rescue`
                beside.replace(path)
            damaged = _set_aside(path) if path.exists() and not _sound(path) else None
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(f"PRAGMA synchronous={'FULL' if sure else 'NORMAL'}")
                db.execute(f"PRAGMA cache_size=-{cache_kib}")
                db.execute("PRAGMA wal_autocheckpoint=256")
                _lay_out(db, by_receipt=sure)
                if follows is not None:
                    _go_on_with(db, follows)
                if damaged is not None:
                    _take_over(db, damaged)
                store = cls(
                    db,
                    path,
                    sure=sure,
                    grown_bytes=grown_bytes,
                    by_receipt=sure,
                    history_bytes=history_bytes,
                )
            except (sqlite3.Error, OSError):
                db.close()
                raise
        if damaged is not None:
            store.salvaged = f"{path.name} was damaged; it is set aside as {damaged.name}"
            log.error("store_damaged", file=path.name, set_aside=damaged.name, taken_over=store.count())
        if grown_bytes:
            try:
                store._grow()
            except OSError as error:  # what fits still goes in
                log.warning("no_room_to_grow", file=path.name, error=str(error))
        return store

    @staticmethod
    def thinned_from(path: Path, one: "Store", other: "Store", thinned: int) -> int:
        """Makes a file of two that follow each other, with one of ``thinned`` rows; how many are left."""
        with _as_os_error(path):
            db = sqlite3.connect(path, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                _lay_out(db, by_receipt=False)
                for store in (one, other):
                    db.execute("ATTACH ? AS old", (str(store.path),))
                    db.execute(
                        f"INSERT INTO owed ({_COLUMNS}) SELECT {_COLUMNS} FROM"  # noqa: S608  ours
                        " (SELECT *, row_number() OVER (ORDER BY lane, seq) AS number FROM old.owed)"
                        " WHERE (number - 1) % ? = 0",
                        (max(1, thinned // store.thinned),),
                    )
                    db.execute("INSERT OR REPLACE INTO counter SELECT * FROM old.counter")
                    db.execute("DETACH old")
                notes = (
                    ("epoch", one.epoch.encode()),
                    ("boot", one._boot.encode()),
                    ("closed", b"1"),
                    ("thinned", str(thinned).encode()),
                )
                db.executemany("INSERT INTO meta VALUES (?, ?)", notes)
                return int(db.execute("SELECT count(*) FROM owed").fetchone()[0])
            finally:
                db.close()

    def close(self) -> None:
        """Closes the file, and notes that nothing was lost by it."""
        if not self.closed:
            self.closed = True
            try:
                if self.path is not None:
                    self.write("closed", b"1")
            except OSError as error:
                log.warning("store_close", error=str(error))
            self._db.close()

    def unlink(self) -> None:
        """Ends the store and its file: needs no room on the disk."""
        self.closed = True
        self._db.close()
        if self.path is not None:
            for ending in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def deleted(self) -> bool:
        """Whether somebody has taken the file, or its log, away or put another in its place: what is written
        then is gone with the process."""
        if self.path is None or self.closed:
            return False
        try:
            main, _ = (os.stat(file).st_ino for file in self._files)  # noqa: PTH116  for each alert: 3 us
            return main != self._inode
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # a disk that can't be read is another trouble
            return False

    def rescue(self) -> None:
        """Writes all that the open file holds into a new one at its path, and closes this store.

        SQLite removes files by their name as it closes: so the new one gets its name only then. What
        somebody has put at the path is set aside.
        """
        assert self.path is not None  # noqa: S101  only a file can be deleted
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(self.path.name + RESCUED)
        beside.unlink(missing_ok=True)
        with _as_os_error(self.path):
            copy = sqlite3.connect(beside, isolation_level=None)
            try:
                copy.execute("PRAGMA synchronous=FULL")
                self._db.backup(copy)
            finally:
                copy.close()
        if self.path.exists() and self.path.stat().st_ino != self._inode:
            _set_aside(self.path)
        self.closed = True
        with suppress(sqlite3.Error):
            self._db.close()
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        beside.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self, key: str) -> bytes | None:
        with _as_os_error(self.path):
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def notes(self) -> dict[str, bytes]:
        """All that was written beside messages."""
        with _as_os_error(self.path):
            found = self._db.execute(
                "SELECT key, value FROM meta WHERE key NOT IN ('epoch', 'boot', 'closed')"
            )
            return {str(key): bytes(value) for key, value in found}

    def write(self, key: str, value: bytes) -> None:
        with _as_os_error(self.path):
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def put(self, messages: Sequence[Message], remember: Mapping[str, bytes] | None = None) -> None:
        """All of it, or nothing. OSError where the disk does not take it.

        A message that ranks before earlier ones of its group pulls them along (`raised`).
        """
        if self._grown_bytes and self._room_bytes() < RESERVE_BYTES:
            self._make_room()
        last, count = dict(self._last), dict(self._count)
        alerts: list[tuple[str, int, int]] = []
        with self._transaction():
            for message in messages:
                self._put(message, last, count)
                if message.lane == "alert":
                    alerts.append((message.group, message.rank, last["alert"]))
            groups = [one for one in alerts if one[0]]
            raised = [] if self._groups is None else self._groups.raise_earlier(groups)
            self._db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", last.items())
            for key, value in (remember or {}).items():
                self.write(key, value)
        self._last, self._count = last, count
        self._tops.update((rank, place) for _, rank, place in alerts)
        self._tops.update((rank, max(place, last["alert"])) for rank, place in raised)
        if self._groups is not None:
            self._groups.add(groups)
        self.raised += raised

    def _make_room(self) -> None:
        """What is kept for a centre that may ask never costs a new alert its place on the disk."""
        try:
            self._grow()
        except OSError:
            if not self._kept_rows:
                raise
            self._forget_history(self._kept_bytes // 2)
            if self._room_bytes() < RESERVE_BYTES:
                self._forget_history(0)
            if self._room_bytes() < RESERVE_BYTES:
                raise

    def _put(self, message: Message, last: dict[str, int], count: dict[str, int]) -> None:
        lane, now_s = message.lane, since_boot_s()
        expires_s = None if message.expires_after is None else now_s + message.expires_after.total_seconds()
        boot, made_s = (self._boot, now_s - message.age_s) if message.age_s is not None else ("", now_s)
        content = (message.id, message.topic, message.body, message.qos, int(message.retain), expires_s)
        if lane in KEEP_LATEST:
            # What was never handed out is replaced, and keeps its number: no gap.
            changed = self._db.execute(
                "UPDATE owed SET id = ?, topic = ?, body = ?, qos = ?, retain = ?, expires_s = ?, boot = ?,"
                " made_s = ? WHERE lane = ? AND topic = ? AND handed = 0",
                (*content, boot, made_s, lane, message.topic),
            )
            if changed.rowcount:
                return
        last[lane] = last.get(lane, 0) + 1
        count[lane] = count.get(lane, 0) + 1
        self._db.execute(
            f"INSERT {_INSERT}", (lane, last[lane], *content, boot, made_s, message.rank, message.group)
        )

    def due(self, lane: Lane, after: int, limit: int, rank: int | None = None) -> list[Row]:
        """Up to ``limit`` rows of ``lane`` behind the place ``after``, oldest first; of one ``rank``."""
        top = self._last.get(lane, 0) if rank is None else self._tops.get(rank, 0)
        if limit <= 0 or after >= top or not self._count.get(lane):
            return []
        values: tuple[Any, ...] = (lane, after)
        where = "lane = ? AND seq > ?"
        if rank is not None:
            where, values = "lane = 'alert' AND rank = ? AND seq > ?", (rank, after)  # as its index has it
        with _as_os_error(self.path):
            found = self._db.execute(
                f"SELECT {_COLUMNS} FROM owed WHERE {where} ORDER BY seq LIMIT ?",  # noqa: S608  ours
                (*values, limit),
            ).fetchall()
            if found and lane in KEEP_LATEST:
                self._db.execute(
                    "UPDATE owed SET handed = 1 WHERE lane = ? AND seq > ? AND seq <= ?",
                    (lane, after, found[-1][1]),
                )
        return self._readable(found)

    def top(self, rank: int) -> int:
        """No alert of this rank stands behind this place."""
        return self._tops.get(rank, 0)

    def by_id(self, ids: Sequence[str]) -> list[Row]:
        """Those of these that are owed, whatever their lane."""
        rows: list[Row] = []
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            with _as_os_error(self.path):
                found = self._db.execute(
                    f"SELECT {_COLUMNS} FROM owed WHERE id IN ({_marks(some)})",  # noqa: S608  ours
                    some,
                ).fetchall()
            rows += self._readable(found)
        return rows

    def _readable(self, found: Iterable[tuple[Any, ...]]) -> list[Row]:
        rows: list[Row] = []
        for one in found:
            sound = isinstance(one[4], bytes) and not any(
                "\ufffd" in text for text in one if isinstance(text, str)
            )
            (rows if sound else self.unreadable).append(self._row(one, sound))
        return rows

    def _row(self, one: tuple[Any, ...], sound: bool) -> Row:
        lane, place, identity, topic, body, qos, retain, expires_s, boot, made_s, rank, group = one
        here, now_s = boot == self._boot, since_boot_s()
        left_s = expires_s - now_s if here and expires_s is not None else None
        age_s = now_s - made_s if here else None
        epoch, seq = self._of_place(lane, place)
        return Row(
            lane, seq, identity, topic, bytes(body) if sound else b"", qos, bool(retain), left_s, age_s,
            epoch, self, place, rank, group,
        )  # fmt: skip

    def delete(self, keys: Sequence[tuple[Lane, int]]) -> int:
        """How many rows were at these places. A delete that a power cut loses is only a repeat later."""
        if self.closed or not keys:
            return 0
        with self._unhurried():
            alerts = [(place,) for lane, place in keys if lane == "alert"]
            groups = self._groups_of("seq", [place for (place,) in alerts])
            count = dict(self._count)
            for lane in {lane for lane, _ in keys}:
                here = [key for key in keys if key[0] == lane]
                done = self._db.executemany("DELETE FROM owed WHERE lane = ? AND seq = ?", here)
                count[lane] = count.get(lane, 0) - done.rowcount
        return self._gone(count, groups)

    def receive(self, ids: Sequence[str]) -> int:
        """Rows with these ids have their receipt: they leave, and are kept a while for a centre that asks
        again. How many there were. Where the disk has no room to keep them they leave all the same."""
        try:
            return self._receive(ids, keep=self._history_bytes > 0)
        except FullError:
            return self._receive(ids, keep=False)

    def _receive(self, ids: Sequence[str], *, keep: bool) -> int:
        if self.closed or not ids or not self.count():
            return 0
        now = time.time()
        count, rows, size = dict(self._count), self._kept_rows, self._kept_bytes
        groups: list[str] = []
        with self._unhurried():
            for at in range(0, len(ids), _AT_ONCE):
                some = ids[at : at + _AT_ONCE]
                these = f"id IN ({_marks(some)})"
                found = self._db.execute(
                    f"SELECT lane, count(*), sum(length(body)) FROM owed WHERE {these} GROUP BY lane",  # noqa: S608
                    some,
                ).fetchall()
                groups += self._groups_of("id", some)
                if keep and found:
                    self._db.execute(
                        f"INSERT INTO kept ({_KEPT}, kept_at) SELECT {_KEPT}, ? FROM owed WHERE {these}",  # noqa: S608
                        (now, *some),
                    )
                self._db.execute(f"DELETE FROM owed WHERE {these}", some)  # noqa: S608
                for lane, gone, taken in found:
                    count[lane] = count.get(lane, 0) - gone
                    rows, size = (rows + gone, size + taken + gone * KEPT_ROW_BYTES) if keep else (rows, size)
            if keep:
                rows, size = self._pruned(rows, size, now)
        self._kept_rows, self._kept_bytes = rows, size
        return self._gone(count, groups)

    def _gone(self, count: dict[str, int], groups: Iterable[str]) -> int:
        """After the commit: what is left, and how many rows went."""
        gone = sum(self._count.values()) - sum(count.values())
        self._count = count
        if self._groups is not None:
            self._groups.leave(groups)
        return gone

    def _groups_of(self, column: str, values: Sequence[Any]) -> list[str]:
        """The group of each alert that is to leave."""
        if self._groups is None or not values:
            return []
        found: list[str] = []
        for at in range(0, len(values), _AT_ONCE):
            some = values[at : at + _AT_ONCE]
            rows = self._db.execute(
                f"SELECT grp FROM owed WHERE lane = 'alert' AND {column} IN ({_marks(some)})"  # noqa: S608  ours
                f" AND grp != '' AND rank < {LAST_RANK}",
                some,
            )
            found += [str(group) for (group,) in rows]
        return found

    def _pruned(self, rows: int, size: int, now: float) -> tuple[int, int]:
        """Within a transaction: the oldest that are kept go, until the rest is within its bounds."""
        old = rows > KEPT_ROWS and since_boot_s() - self._pruned_s > PRUNE_EVERY_S
        if old:
            self._pruned_s = since_boot_s()
        while rows and (size > self._history_bytes or (old and rows > KEPT_ROWS)):
            found = self._db.execute(
                "SELECT number, length(body), kept_at FROM kept ORDER BY number LIMIT 100"
            ).fetchall()
            last = None
            for number, length, kept_at in found:
                late = old and rows > KEPT_ROWS and now - kept_at > KEPT_S
                if size <= self._history_bytes and not late:
                    break
                last, rows, size = number, rows - 1, size - length - KEPT_ROW_BYTES
            if last is None:
                break
            self._db.execute("DELETE FROM kept WHERE number <= ?", (last,))
        return rows, size

    def _forget_history(self, most: int) -> None:
        """All but the newest ``most`` bytes of what is kept goes."""
        bound, self._history_bytes = self._history_bytes, min(most, self._history_bytes)
        try:
            with self._unhurried():
                rows, size = self._pruned(self._kept_rows, self._kept_bytes, time.time())
            self._kept_rows, self._kept_bytes = rows, size
        finally:
            self._history_bytes = bound

    def hand_again(self, lane: Lane, epoch: str, ranges: Sequence[tuple[int, int]]) -> Again:
        """What is kept of these numbers is owed again, as it was; what is owed anyway stays as it is."""
        asked = _merged(ranges)
        base = self._base(lane, epoch)
        if base is None:
            return Again(0, 0, _bounded([(first, end, end - first + 1) for first, end in asked]))
        top = self.last(lane) if epoch == self.epoch else self._end(lane, base)
        if epoch == self.epoch:  # higher numbers are yet to be given
            asked = [(first, min(end, top - base)) for first, end in asked if first <= top - base]
        again = owed = 0
        missing: list[tuple[int, int, int]] = []
        count, kept, size = dict(self._count), self._kept_rows, self._kept_bytes
        with self._transaction():
            for first, end in asked:
                span = (lane, base + first, min(base + end, top))
                here = self._db.execute(
                    "SELECT seq, 1 FROM owed WHERE lane = ?1 AND seq BETWEEN ?2 AND ?3 UNION ALL"
                    " SELECT seq, 0 FROM kept WHERE lane = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY 1",
                    span,
                ).fetchall()
                owed += sum(one for _, one in here)
                missing += _holes(first, end, [place - base for place, _ in here])
                (bytes_,) = self._db.execute(
                    "SELECT total(length(body)) FROM kept WHERE lane = ? AND seq BETWEEN ? AND ?", span
                ).fetchone()
                done = self._db.execute(
                    f"INSERT INTO owed ({_KEPT}, rank) SELECT {_KEPT}, {LAST_RANK} FROM kept"  # noqa: S608  ours
                    " WHERE lane = ? AND seq BETWEEN ? AND ?",
                    span,
                ).rowcount
                self._db.execute("DELETE FROM kept WHERE lane = ? AND seq BETWEEN ? AND ?", span)
                again += done
                kept, size = kept - done, size - int(bytes_) - done * KEPT_ROW_BYTES
                count[lane] = count.get(lane, 0) + done
        self._count, self._kept_rows, self._kept_bytes = count, kept, size
        self._tops[LAST_RANK] = self.last("alert")
        return Again(again, owed, _bounded(missing))

    def _end(self, lane: Lane, base: int) -> int:
        """The last place of the epoch that begins behind ``base``."""
        return next((other for other, _ in self._epochs[lane] if other > base), self.last(lane))

    @contextmanager
    def _unhurried(self) -> Iterator[None]:
        """A transaction that a power cut may undo: it is not waited for until the disk has it."""
        with _as_os_error(self.path):
            try:
                if self._sure:
                    self._db.execute("PRAGMA synchronous=NORMAL")
                with self._transaction():
                    yield
            finally:
                if self._sure:
                    self._db.execute("PRAGMA synchronous=FULL")

    def older(self, group: str, place: int) -> bool:
        """Whether a row of ``group`` at ``place`` or before may still be owed."""
        return self._groups is not None and self._groups.first(group, place + 1) <= place

    def holds(self, key: Key) -> bool:
        """Whether the row is there, and can still be sent."""
        epoch, lane, seq = key
        base = self._base(lane, epoch)
        if base is None:
            return False
        with _as_os_error(self.path):
            found = self._db.execute(
                "SELECT expires_s, boot FROM owed WHERE lane = ? AND seq = ?", (lane, base + seq)
            ).fetchone()
        if found is None:
            return False
        expires_s, boot = found
        return expires_s is None or boot != self._boot or expires_s > since_boot_s()

    def count(self, lane: Lane | None = None) -> int:
        """How many rows are there."""
        return sum(self._count.values()) if lane is None else self._count.get(lane, 0)

    def last(self, lane: Lane) -> int:
        """The last place that was ever taken; in a lane without receipts that is its number."""
        return self._last.get(lane, 0)

    def span(self, lane: Lane) -> tuple[int, int, int] | None:
        """(first number, last number, count) of what is there, or None."""
        with _as_os_error(self.path):
            found = self._db.execute(
                "SELECT min(seq), max(seq), count(*) FROM owed WHERE lane = ?", (lane,)
            ).fetchone()
        return found if found[2] else None

    def used_bytes(self) -> int:
        """What the file takes, with its log."""
        if self.path is None:
            return self._pragma("page_count") * self._pragma("page_size")
        parts = (self.path.with_name(self.path.name + ending) for ending in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def settle_log(self) -> None:
        """Writes the log into the file, which then stands alone."""
        with _as_os_error(self.path):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _room_bytes(self) -> int:
        return self._pragma("freelist_count") * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        with _as_os_error(self.path):
            return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def _grow(self) -> None:
        """Makes room in the file and in its log, so that alerts still fit when the disk is full."""
        size = max(self._grown_bytes - self._room_bytes(), self._grown_bytes // 2)
        with self._transaction():
            self._db.execute("DROP TABLE IF EXISTS room")
            self._db.execute("CREATE TABLE room (filling BLOB)")
            self._db.execute("INSERT INTO room VALUES (zeroblob(?))", (size,))
        with _as_os_error(self.path):  # after the commit: pages freed within one are never written
            self._db.execute("DROP TABLE room")
            self._db.execute("PRAGMA wal_checkpoint(RESTART)")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; an error leaves no open transaction behind."""
        with _as_os_error(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _go_on_with(db: sqlite3.Connection, before: Store) -> None:
    db.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (before.epoch.encode(),))
    rows = [(lane, before.last(lane)) for lane in ("telemetry", "media")]
    db.executemany("INSERT OR IGNORE INTO counter VALUES (?, ?)", rows)
