"""One SQLite file of what is owed. The only file with sqlite3.

WAL mode. A store is used by one thread at a time; all that can go wrong with the disk is an OSError, and
whatever failed was not done at all.
"""

import secrets
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

import structlog

from agent.topics import KEEP_LATEST, Lane, Message

log = structlog.get_logger()

RESERVE_BYTES = 256 * 1024
"""A store with room made beforehand takes nothing more when less than this is left: on a file that is full
to the last page, SQLite can't even delete."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (lane TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owed (
    lane TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL, expires_s REAL, boot TEXT NOT NULL, made_s REAL NOT NULL,
    handed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, seq)) WITHOUT ROWID;
"""
_COLUMNS = "lane, seq, id, topic, body, qos, retain, expires_s, boot, made_s"
_INSERT = f"INTO owed ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


Key: TypeAlias = tuple[str, Lane, int]
"""What names a row: epoch, lane, number."""


@dataclass(frozen=True, slots=True)
class Row:
    """A message with its number. ``age_s`` and ``expires_s`` (what is left) are None where nobody knows."""

    lane: Lane
    seq: int
    id: str
    topic: str
    body: bytes
    qos: int
    retain: bool
    expires_s: float | None
    age_s: float | None
    epoch: str
    store: "Store" = field(repr=False, compare=False)

    @property
    def key(self) -> Key:
        return self.epoch, self.lane, self.seq


class Store:
    """Made by `open` or `in_memory`. Numbers rise by one per lane; none is given twice in an ``epoch``."""

    def __init__(self, db: sqlite3.Connection, path: Path | None, *, sure: bool, grown_bytes: int) -> None:
        self._db = db
        self.path = path
        self.salvaged: str | None = None
        """What was wrong with the file when it was opened, and where the damaged one is."""
        self._sure = sure
        self._grown_bytes = grown_bytes
        self._boot = boot_id()
        self.closed = False
        self.unreadable: list[tuple[Lane, int]] = []
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
        epoch = (self.read("epoch") or secrets.token_hex(8).encode()).decode()
        self.epoch = epoch
        with self._transaction():
            for key, value in (("epoch", epoch), ("boot", self._boot), ("closed", "")):
                self.write(key, value.encode())

    @classmethod
    def in_memory(cls) -> Self:
        """A store that ends with the process, and that no disk can fail."""
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        db.executescript(_SCHEMA)
        return cls(db, None, sure=False, grown_bytes=0)

    @classmethod
    def stand_in(cls, path: Path) -> Self:
        """In memory, with what can be read of ``path``, for as long as its disk can't be written.

        It numbers under an epoch of its own; a message keeps its id.
        """
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        db.executescript(_SCHEMA)
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
        return cls(db, None, sure=False, grown_bytes=0)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        sure: bool,
        grown_bytes: int = 0,
        cache_kib: int = 1024,
        follows: "Store | None" = None,
    ) -> Self:
        """Opens or makes the file. A damaged one is set aside, and what can be read of it is taken over.

        ``sure``: what is put is safe from a power cut on return. ``grown_bytes``: room made beforehand.
        ``follows``: the store whose epoch and numbers a new file goes on with.
        """
        with _as_os_error(path):
            damaged = _set_aside(path) if path.exists() and not _sound(path) else None
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(f"PRAGMA synchronous={'FULL' if sure else 'NORMAL'}")
                db.execute(f"PRAGMA cache_size=-{cache_kib}")
                db.execute("PRAGMA wal_autocheckpoint=256")
                db.executescript(_SCHEMA)
                if follows is not None:
                    _go_on_with(db, follows)
                if damaged is not None:
                    _take_over(db, damaged)
                store = cls(db, path, sure=sure, grown_bytes=grown_bytes)
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
                db.executescript(_SCHEMA)
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
        """All of it, or nothing. OSError where the disk does not take it."""
        if self._grown_bytes and self._room_bytes() < RESERVE_BYTES:
            self._grow()
        last, count = dict(self._last), dict(self._count)
        with self._transaction():
            for message in messages:
                self._put(message, last, count)
            self._db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", last.items())
            for key, value in (remember or {}).items():
                self.write(key, value)
        self._last, self._count = last, count

    def _put(self, message: Message, last: dict[str, int], count: dict[str, int]) -> None:
        lane, now_s = message.lane, time.monotonic()
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
        self._db.execute(f"INSERT {_INSERT}", (lane, last[lane], *content, boot, made_s))

    def due(self, lane: Lane, after: int, limit: int) -> list[Row]:
        """Up to ``limit`` rows of ``lane`` behind the number ``after``, oldest first."""
        if limit <= 0 or not self._count.get(lane):
            return []
        with _as_os_error(self.path):
            found = self._db.execute(
                f"SELECT {_COLUMNS} FROM owed WHERE lane = ? AND seq > ? ORDER BY seq LIMIT ?",  # noqa: S608  ours
                (lane, after, limit),
            ).fetchall()
            if found and lane in KEEP_LATEST:
                self._db.execute(
                    "UPDATE owed SET handed = 1 WHERE lane = ? AND seq > ? AND seq <= ?",
                    (lane, after, found[-1][1]),
                )
        rows = []
        for one in found:
            if isinstance(one[4], bytes) and not any(
                "\ufffd" in text for text in one if isinstance(text, str)
            ):
                rows.append(self._row(one))
            else:
                self.unreadable.append((lane, one[1]))
        return rows

    def _row(self, one: tuple[Any, ...]) -> Row:
        lane, seq, identity, topic, body, qos, retain, expires_s, boot, made_s = one
        here, now_s = boot == self._boot, time.monotonic()
        left_s = expires_s - now_s if here and expires_s is not None else None
        age_s = now_s - made_s if here else None
        return Row(
            lane, seq, identity, topic, bytes(body), qos, bool(retain), left_s, age_s, self.epoch, self
        )

    def delete(self, keys: Sequence[tuple[Lane, int]]) -> int:
        """How many of these rows were there. A delete that a power cut loses is only a repeat later."""
        return self._delete("DELETE FROM owed WHERE lane = ? AND seq = ?", keys)

    def delete_ranges(self, lane: Lane, ranges: Iterable[tuple[int, int]]) -> int:
        """The rows of ``lane`` from number to number; how many there were."""
        last = self._last.get(lane, 0)  # also keeps a number that SQLite can't hold away from it
        inside = [(lane, max(0, first), min(last, end)) for first, end in ranges if first <= last and end > 0]
        return self._delete("DELETE FROM owed WHERE lane = ? AND seq BETWEEN ? AND ?", inside)

    def _delete(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        if self.closed or not rows:
            return 0
        count = dict(self._count)
        with _as_os_error(self.path):
            try:
                if self._sure:
                    self._db.execute("PRAGMA synchronous=NORMAL")
                with self._transaction():
                    for lane in {row[0] for row in rows}:
                        here = [row for row in rows if row[0] == lane]
                        count[lane] = count.get(lane, 0) - self._db.executemany(statement, here).rowcount
            finally:
                if self._sure:
                    self._db.execute("PRAGMA synchronous=FULL")
        gone = sum(self._count.values()) - sum(count.values())
        self._count = count
        return gone

    def holds(self, key: Key) -> bool:
        """Whether the row is there, and can still be sent."""
        epoch, lane, seq = key
        if epoch != self.epoch:
            return False
        with _as_os_error(self.path):
            found = self._db.execute(
                "SELECT expires_s, boot FROM owed WHERE lane = ? AND seq = ?", (lane, seq)
            ).fetchone()
        if found is None:
            return False
        expires_s, boot = found
        return expires_s is None or boot != self._boot or expires_s > time.monotonic()

    def count(self, lane: Lane | None = None) -> int:
        """How many rows are there."""
        return sum(self._count.values()) if lane is None else self._count.get(lane, 0)

    def last(self, lane: Lane) -> int:
        """The highest number that was ever given."""
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


class DamagedError(OSError):
    """The file holds what SQLite can't read: open it anew, so that it is set aside."""


class FullError(OSError):
    """The disk has no room, for this file or at all."""


@contextmanager
def _as_os_error(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        kind: type[OSError] = DamagedError if type(error) is sqlite3.DatabaseError else OSError
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            kind = FullError
        raise kind(f"{path.name if path else 'memory'}: {error}") from error


def _sound(path: Path) -> bool:
    try:
        db = sqlite3.connect(path, timeout=5)
        try:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        finally:
            db.close()
    except sqlite3.OperationalError:  # locked or unreadable, which is not damaged
        raise
    except sqlite3.DatabaseError:
        return False


def _set_aside(path: Path) -> Path:
    """Renames a damaged file and its log; it is never deleted."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


def _go_on_with(db: sqlite3.Connection, before: Store) -> None:
    db.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (before.epoch.encode(),))
    rows = [(lane, before.last(lane)) for lane in ("telemetry", "media")]
    db.executemany("INSERT OR IGNORE INTO counter VALUES (?, ?)", rows)


def _take_over(db: sqlite3.Connection, damaged: Path) -> None:
    """What can still be read of a damaged file, from its beginning and from its end.

    The epoch is new, and so are the numbers; a message keeps its id.
    """
    reads = (
        (
            "INSERT OR IGNORE INTO meta VALUES (?, ?)",
            "SELECT key, value FROM meta WHERE key NOT IN ('epoch', 'boot', 'closed')",
        ),
        (f"INSERT OR IGNORE {_INSERT}", f"SELECT {_COLUMNS} FROM owed ORDER BY lane, seq"),  # noqa: S608  ours
        (f"INSERT OR IGNORE {_INSERT}", f"SELECT {_COLUMNS} FROM owed ORDER BY lane DESC, seq DESC"),  # noqa: S608
    )
    old = sqlite3.connect(damaged, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    for insert, select in reads:
        try:
            for row in old.execute(select):
                db.execute(insert, row)
        except sqlite3.DatabaseError as error:
            log.warning("salvage_stopped", file=damaged.name, error=str(error))
    last: dict[str, int] = {}
    for lane, seq in db.execute("SELECT lane, seq FROM owed ORDER BY lane, seq").fetchall():
        last[lane] = last.get(lane, 0) + 1
        db.execute("UPDATE owed SET seq = ? WHERE lane = ? AND seq = ?", (last[lane], lane, seq))
    db.execute("COMMIT")
    try:
        old.close()
    except sqlite3.Error:
        log.warning("salvage_close", file=damaged.name)


def boot_id() -> str:
    """Names this boot: the monotonic clock of another boot means nothing here."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"unknown-{time.time() - time.monotonic():.0f}"
