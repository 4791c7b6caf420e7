"""The messages of all devices in one SQLite file; a repeat changes nothing. Blocking."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from agent.domain.message import stamp
from agent.host.clock import utc_now
from agent.runtime.atomic_files import create_private
from agent.runtime.sanitize import json_object
from centre.message_header import MessageHeader, ReceivedMessage
from centre.sequence_gaps import IssuedNumbers, LostNumbers, Ranges, lost_numbers, missing, ranges

NUMBERED = {"alert": "alert", "command/result": "result", "gap": "result", "audit": "result"}
"""Topics whose messages get a receipt, and the lane that numbers them."""

Outcome: TypeAlias = Literal["new", "repeat", "beside", "refused"]
"""``beside``: the device reused the id of another message; both are stored. ``refused``: too often."""
CHANGING = ("latency_ms", "historical")
"""Fields that may differ in a repeat."""
MOST_COPIES = 16
"""Different messages under one id of one device."""
WILL = "will"
"""The topic under which last wills are stored: they have no envelope, and change no ``status``."""

INDEXED = ("alert", "alerts/active", "audit", "birth", "command/result", "gap", "health", "status", WILL)
KINDS = f"topic IN ({', '.join(map(repr, INDEXED))})"
POSITIONS = "topic = 'position'"
MINUTE = "substr(received_at, 1, 16)"
"""Terms of the indexes; a search that names them uses one. Positions are most of all messages: their index
begins with the minute, so that a commit changes few of its pages."""
_TABLES = f"""
CREATE TABLE IF NOT EXISTS message (device TEXT, id TEXT, copy INTEGER, topic TEXT, epoch TEXT, seq INTEGER,
    at TEXT, received_at TEXT, body TEXT, PRIMARY KEY (device, id, copy));
CREATE INDEX IF NOT EXISTS message_number ON message (device, epoch, seq);
CREATE INDEX IF NOT EXISTS message_kind ON message (topic, device) WHERE {KINDS};
CREATE INDEX IF NOT EXISTS message_minute ON message ({MINUTE}, device) WHERE {POSITIONS};
CREATE TABLE IF NOT EXISTS lost (device TEXT, lane TEXT, epoch TEXT, first INTEGER, last INTEGER, why TEXT,
    PRIMARY KEY (device, lane, epoch, first, last));
"""


class MessageStore:
    """One row for each message of a device; storing is idempotent. Each failure is an OSError.

    Blocking. The file has mode 0600.
    """

    def __init__(self, path: Path) -> None:
        # A cancelled write goes on in its thread: no other statement, and no close, may run beside it.
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            create_private(path)  # the -wal file inherits the mode
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._prepare()
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    def _prepare(self) -> None:
        """Creates the tables; migrates the rows of an older file, whose key was the id alone."""
        columns = [row[1] for row in self._db.execute("PRAGMA table_info(message)")]
        self._db.execute("BEGIN IMMEDIATE")
        if columns and "copy" not in columns:
            self._db.execute("ALTER TABLE message RENAME TO message_by_id")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        if columns and "copy" not in columns:
            self._db.execute(
                "INSERT INTO message SELECT device, id, 0, topic, epoch, seq, at, received_at, body"
                " FROM message_by_id"
            )
            self._db.execute("DROP TABLE message_by_id")
            for device, body in self._db.execute("SELECT device, body FROM message WHERE topic = 'gap'"):
                self._keep_lost(device, lost_numbers(json.loads(body)))
        self._db.execute("COMMIT")

    def keep(self, messages: Sequence[ReceivedMessage], received_at: datetime | None = None) -> list[Outcome]:
        """Stores all messages in one commit; gives the outcome of each. ``received_at``: by default now."""
        now = stamp(received_at or utc_now())
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                kept = [self._keep(message, now) for message in messages]
                self._db.execute("COMMIT")
            except sqlite3.ProgrammingError as error:  # closed meanwhile
                raise OSError(f"the database is closed: {error}") from error
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise OSError(f"the database refused the messages: {error}") from error
        return kept

    def _keep(self, message: ReceivedMessage, now: str) -> Outcome:
        header, body = message.header, message.payload.decode()
        same_id = self._db.execute(
            "SELECT body FROM message WHERE device = ? AND id = ?", (header.device, header.id)
        ).fetchall()
        if any(_same(header, text) for (text,) in same_id):
            return "repeat"
        if any(_comparable(body) == _comparable(text) for (text,) in same_id):
            if message.topic in NUMBERED:
                lane = NUMBERED[message.topic]
                renumbered = LostNumbers(lane=lane, epoch=header.epoch, first=header.seq, last=header.seq)
                self._keep_lost(header.device, renumbered)
            return "repeat"
        if len(same_id) >= MOST_COPIES:
            return "refused"
        row = (
            header.device,
            header.id,
            len(same_id),
            message.topic,
            header.epoch,
            header.seq,
            header.at,
            now,
            body,
        )
        self._db.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        if message.topic == "gap":
            self._keep_lost(header.device, lost_numbers(json_object(message.payload) or {}))
        return "beside" if same_id else "new"

    def _keep_lost(self, device: str, lost: LostNumbers | None) -> None:
        if lost is not None:
            row = (device, lost.lane, lost.epoch, lost.first, lost.last, lost.why)
            self._db.execute("INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?, ?, ?)", row)

    def keep_wills(self, wills: Sequence[tuple[str, bytes]]) -> None:
        """Stores last wills (device, payload) in one commit; repeats, such as retained wills, are ignored."""
        now = stamp(utc_now())
        rows = [
            (device, f"{WILL}-{hashlib.sha256(payload).hexdigest()[:32]}", WILL, now, payload.decode())
            for device, payload in wills
        ]
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(
                    "INSERT OR IGNORE INTO message VALUES (?1, ?2, 0, ?3, '', 0, '', ?4, ?5)", rows
                )
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise OSError(f"the database refused last wills: {error}") from error

    def missing(self, device: str, issued: IssuedNumbers, first: int) -> Ranges:
        """Numbers from ``first`` up to the highest issued that are neither stored nor declared lost."""
        try:
            with self._lock:
                rows = self._db.execute(
                    "SELECT seq, topic FROM message WHERE device = ? AND epoch = ? AND seq BETWEEN ? AND ?"
                    " ORDER BY seq",
                    (device, issued.epoch, first, issued.last),
                )
                stored = ranges(number for number, topic in rows if NUMBERED.get(topic) == issued.lane)
                lost = self._db.execute(
                    "SELECT first, last FROM lost WHERE device = ? AND epoch = ? AND lane = ?",
                    (device, issued.epoch, issued.lane),
                ).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"the database can't be read: {error}") from error
        return missing(first, issued.last, [*stored, *lost])

    def close(self) -> None:
        """Waits for a write that is under way."""
        with self._lock:
            self._db.close()


def _same(header: MessageHeader, text: str) -> bool:
    try:
        return header.is_same(MessageHeader.model_validate_json(text))
    except ValidationError:  # an older version stored it
        return False


def _comparable(text: str) -> dict[str, Any]:
    """A message without its number and the fields that may differ in a repeat.

    A device that could not write a message at once gives it another number later.
    """
    body = json_object(text.encode()) or {}
    return {key: value for key, value in body.items() if key not in ("epoch", "seq", *CHANGING)}
