"""What we still owe, on disk: alerts apart from telemetry, so that a full disk never touches an alert.

Two SQLite stores in WAL mode. ``alerts.db`` (lanes alert and result) commits with ``synchronous=FULL`` and is
grown beforehand; ``telemetry.db`` holds all other lanes and may lose the last moments to a power cut. One
thread owns both. The only file with sqlite3.
"""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog

from agent.topics import KEEP_LATEST, LANES, NEED_RECEIPT, Lane, Message, encode, new_id

log = structlog.get_logger()

T = TypeVar("T")

GROWN_BYTES = 2 * 1024 * 1024
"""Room made in alerts.db beforehand, for thousands of alerts on a full disk."""
DROP_SHARE = 0.1
"""When telemetry is over its budget, this share of its rows goes, oldest first."""
CHECK_EVERY = 200

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


@dataclass(frozen=True, slots=True)
class Row:
    """A message with its number. ``age_s`` is None where it was made before this boot."""

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

    @property
    def key(self) -> tuple[Lane, int]:
        return self.lane, self.seq


class Outbox:
    """Both stores behind one thread. Made by `open`; every OSError says that nothing was taken."""

    def __init__(self, alerts: "_Store", telemetry: "_Store", max_bytes: int) -> None:
        self._alerts = alerts
        self._telemetry = telemetry
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._cursor: dict[Lane, int] = {}
        self._put_since_check = 0
        self.session = int(alerts.read("session") or 0)
        self.troubles: list[str] = [store.trouble for store in (alerts, telemetry) if store.trouble]
        """What was wrong with the stores when they were opened."""
        self.gap: Callable[[Mapping[str, Any]], Message] = _bare_gap
        """Makes the message that tells of a loss; the agent puts its envelope here."""
        self._changed: asyncio.Event | None = None

    @classmethod
    def open(cls, folder: Path, max_bytes: int = 512_000_000) -> Self:
        """The stores in ``folder``, made if need be; blocking. OSError where the folder cannot be used."""
        folder.mkdir(parents=True, exist_ok=True)
        alerts = _Store.open(folder / "alerts.db", "FULL", GROWN_BYTES)
        return cls(alerts, _Store.open(folder / "telemetry.db", "NORMAL", 0), max_bytes)

    def close(self) -> None:
        """Ends the thread and closes both files."""
        self._thread.shutdown(wait=True)
        self._alerts.close()
        self._telemetry.close()

    @property
    def changed(self) -> asyncio.Event:
        """Set when something was put."""
        if self._changed is None:
            self._changed = asyncio.Event()
        return self._changed

    async def next_session(self) -> int:
        """The number of the next connection, on disk before it is used."""
        number = self.session + 1
        await self._do(lambda: self._alerts.write("session", str(number).encode()))
        self.session = number
        return number

    async def put(self, *messages: Message, remember: Mapping[str, bytes] | None = None) -> None:
        """Takes messages; on return alerts, results and ``remember`` are safe from a power cut."""

        def work() -> None:
            sure = [message for message in messages if message.lane in NEED_RECEIPT]
            rest = [message for message in messages if message.lane not in NEED_RECEIPT]
            if sure or remember:
                self._alerts.put(sure, remember or {})
            if rest:
                self._telemetry.put(rest, {})
                self._put_since_check += len(rest)
                if self._put_since_check >= CHECK_EVERY:
                    self._put_since_check = 0
                    self._make_room()

        await self._do(work)
        self.changed.set()

    async def due(self, limit: int, lanes: Sequence[Lane] = LANES) -> list[Row]:
        """The next rows that were not handed out since `rewind`, first lane first, oldest first."""

        def work() -> list[Row]:
            rows: list[Row] = []
            for lane in lanes:
                if len(rows) < limit:
                    store = self._store(lane)
                    found = store.due(lane, self._cursor.get(lane, 0), limit - len(rows))
                    if found:
                        self._cursor[lane] = found[-1].seq
                    rows += found
            return rows

        return await self._do(work)

    def rewind(self, lanes: Iterable[Lane] = LANES) -> None:
        """Hands out everything that is still owed again: after a reconnect, or when no receipt came."""
        for lane in lanes:
            self._cursor.pop(lane, None)
        self.changed.set()

    async def settle(self, rows: Sequence[Row]) -> None:
        """The broker or the centre has them: they leave the disk."""

        def work() -> None:
            for store in (self._alerts, self._telemetry):
                keys = [row.key for row in rows if self._store(row.lane) is store]
                if keys:
                    store.delete(keys)

        await self._do(work)

    async def receive(self, epoch: str, lane: Lane, ranges: Iterable[tuple[int, int]]) -> int:
        """The centre's receipt: rows of ``lane`` in these ranges of ``seq`` leave; how many did."""
        store = self._store(lane)
        if epoch != store.epoch or lane not in NEED_RECEIPT:
            return 0
        return await self._do(lambda: store.delete_ranges(lane, ranges))

    async def depth(self) -> dict[Lane, int]:
        """How many rows each lane still owes."""
        return await self._do(lambda: {lane: self._store(lane).count(lane) for lane in LANES})

    def recall(self, key: str) -> bytes | None:
        """What was put under ``key`` with `put`'s ``remember``; blocking, for the start."""
        return self._alerts.read(f"remember/{key}")

    def epoch(self, lane: Lane) -> str:
        """The random name of the store that numbers ``lane``."""
        return self._store(lane).epoch

    def _store(self, lane: Lane) -> "_Store":
        return self._alerts if lane in NEED_RECEIPT else self._telemetry

    def _make_room(self) -> None:
        """Drops the oldest telemetry where it is over its budget, and owes the centre a gap for it."""
        while self._telemetry.used_bytes() > self._max_bytes:
            dropped = self._telemetry.oldest("telemetry", DROP_SHARE) or self._telemetry.oldest(
                "media", DROP_SHARE
            )
            if dropped is None:
                return
            lane, first, last, count = dropped
            fields = {"lane": lane, "first": first, "last": last, "count": count, "why": "over budget"}
            self._alerts.put([self.gap({"of_epoch": self._telemetry.epoch, "gap": fields})], {})
            self._telemetry.delete_ranges(lane, [(first, last)])
            log.warning("telemetry_dropped", **fields)

    async def _do(self, work: Callable[[], T]) -> T:
        """``work`` on the thread that owns the stores; SQLite's trouble with the disk is an OSError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise OSError(f"{type(error).__name__}: {error}") from error


class _Store:
    """One SQLite file."""

    def __init__(self, db: sqlite3.Connection, trouble: str | None) -> None:
        self._db = db
        self.trouble = trouble
        self._boot = boot_id()
        epoch = self.read("epoch")
        if epoch is None:
            epoch = secrets.token_hex(8).encode()
            self.write("epoch", epoch)
        self.epoch = epoch.decode()

    @classmethod
    def open(cls, path: Path, synchronous: str, grown_bytes: int) -> Self:
        """Opens or makes the file. A damaged one is set aside, and what can be read of it is taken over."""
        trouble, salvage = None, None
        if path.exists() and not _sound(path):
            salvage = _set_aside(path)
            trouble = f"{path.name} was damaged; it is set aside as {salvage.name}"
            log.error("store_damaged", file=path.name, set_aside=salvage.name)
        try:
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA synchronous={synchronous}")
            db.executescript(_SCHEMA)
            if grown_bytes:
                _grow(db, grown_bytes)
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error
        if salvage is not None:
            _take_over(db, salvage)
        return cls(db, trouble)

    def close(self) -> None:
        self._db.close()

    def read(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def write(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def put(self, messages: Sequence[Message], remember: Mapping[str, bytes]) -> None:
        """All of it, or nothing."""
        with _transaction(self._db):
            for message in messages:
                self._put(message)
            for key, value in remember.items():
                self.write(f"remember/{key}", value)

    def _put(self, message: Message) -> None:
        lane, now_s = message.lane, time.monotonic()
        expires_s = None if message.expires_after is None else now_s + message.expires_after.total_seconds()
        content = (message.id, message.topic, message.body, message.qos, int(message.retain), expires_s)
        if lane in KEEP_LATEST:
            # What was never handed out is replaced, and keeps its number: no gap.
            changed = self._db.execute(
                "UPDATE owed SET id = ?, topic = ?, body = ?, qos = ?, retain = ?, expires_s = ?, boot = ?,"
                " made_s = ? WHERE lane = ? AND topic = ? AND handed = 0",
                (*content, self._boot, now_s, lane, message.topic),
            )
            if changed.rowcount:
                return
        (seq,) = self._db.execute(
            "INSERT INTO counter VALUES (?, 1)"
            " ON CONFLICT (lane) DO UPDATE SET last = last + 1 RETURNING last",
            (lane,),
        ).fetchone()
        self._db.execute(
            f"INSERT INTO owed ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  our own names
            (lane, seq, *content, self._boot, now_s),
        )

    def due(self, lane: Lane, after: int, limit: int) -> list[Row]:
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM owed WHERE lane = ? AND seq > ? ORDER BY seq LIMIT ?",  # noqa: S608  ours
            (lane, after, limit),
        ).fetchall()
        if found and lane in KEEP_LATEST:
            self._db.execute(
                "UPDATE owed SET handed = 1 WHERE lane = ? AND seq > ? AND seq <= ?",
                (lane, after, found[-1][1]),
            )
        return [self._row(one) for one in found]

    def _row(self, one: tuple[Any, ...]) -> Row:
        lane, seq, identity, topic, body, qos, retain, expires_s, boot, made_s = one
        here, now_s = boot == self._boot, time.monotonic()
        left_s = expires_s - now_s if here and expires_s is not None else None
        age_s = now_s - made_s if here else None
        return Row(lane, seq, identity, topic, bytes(body), qos, bool(retain), left_s, age_s, self.epoch)

    def delete(self, keys: Iterable[tuple[Lane, int]]) -> None:
        with _transaction(self._db):
            self._db.executemany("DELETE FROM owed WHERE lane = ? AND seq = ?", keys)

    def delete_ranges(self, lane: Lane, ranges: Iterable[tuple[int, int]]) -> int:
        with _transaction(self._db):
            return sum(
                self._db.execute(
                    "DELETE FROM owed WHERE lane = ? AND seq BETWEEN ? AND ?", (lane, first, last)
                ).rowcount
                for first, last in ranges
            )

    def count(self, lane: Lane) -> int:
        return int(self._db.execute("SELECT count(*) FROM owed WHERE lane = ?", (lane,)).fetchone()[0])

    def used_bytes(self) -> int:
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def oldest(self, lane: Lane, share: float) -> tuple[Lane, int, int, int] | None:
        """(lane, first seq, last seq, count) of the oldest ``share`` of a lane, or None where it is empty."""
        count = self.count(lane)
        found = self._db.execute(
            "SELECT min(seq), max(seq), count(*) FROM"
            " (SELECT seq FROM owed WHERE lane = ? ORDER BY seq LIMIT ?)",
            (lane, max(1, int(count * share))),
        ).fetchone()
        return (lane, *found) if count else None


class _transaction:  # noqa: N801  reads as what it is
    """All or nothing; an error leaves no open transaction behind."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
                return
            except sqlite3.Error:
                self._rollback()
                raise
        self._rollback()

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def _bare_gap(fields: Mapping[str, Any]) -> Message:
    identity = new_id()
    return Message(
        lane="result", topic="gap", id=identity, body=encode({"schema": "gap/1", "id": identity, **fields})
    )


def _grow(db: sqlite3.Connection, size: int) -> None:
    """Makes room in the file and in its log, so that alerts still fit when the disk is full."""
    pages, free, page = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    missing = size - free * page
    if missing <= 0 and pages:
        return
    try:
        db.execute("CREATE TABLE IF NOT EXISTS room (filling BLOB)")
        db.execute("INSERT INTO room VALUES (zeroblob(?))", (missing,))
        db.execute("DROP TABLE room")
        db.execute("PRAGMA wal_checkpoint(RESTART)")
    except sqlite3.Error as error:  # no room now: the alerts that fit still go in
        log.warning("no_room_to_grow", error=str(error))
        if db.in_transaction:
            db.execute("ROLLBACK")


def _sound(path: Path) -> bool:
    try:
        db = sqlite3.connect(path, timeout=5)
        try:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        finally:
            db.close()
    except sqlite3.Error:
        return False


def _set_aside(path: Path) -> Path:
    """Renames a damaged file and its log; it is never deleted."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}.db")).exists():
        number += 1
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


def _take_over(db: sqlite3.Connection, damaged: Path) -> None:
    """What can still be read of a damaged store: its messages, renumbered, and the session number."""
    taken = 0
    try:
        old = sqlite3.connect(damaged)
        with _transaction(db):
            for key, value in old.execute("SELECT key, value FROM meta WHERE key != 'epoch'"):
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            for row in old.execute(f"SELECT {_COLUMNS} FROM owed"):  # noqa: S608  our own names
                db.execute(f"INSERT OR IGNORE INTO owed ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608
                taken += 1
            for lane, last in old.execute("SELECT lane, last FROM counter"):
                db.execute("INSERT OR REPLACE INTO counter VALUES (?, ?)", (lane, last))
    except sqlite3.Error as error:
        log.warning("salvage_ended_early", taken=taken, error=str(error))
    # However far it came, no number is given twice.
    with _transaction(db):
        db.execute(
            "INSERT OR REPLACE INTO counter SELECT lane, max(seq) FROM owed GROUP BY lane"
            " HAVING max(seq) > coalesce((SELECT last FROM counter WHERE counter.lane = owed.lane), 0)"
        )


def boot_id() -> str:
    """Names this boot: the monotonic clock of another boot means nothing here."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"unknown-{time.time() - time.monotonic():.0f}"
