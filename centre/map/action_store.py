"""The entries of the map, in ``<database>.map`` beside the database of the centre: only added. Blocking."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from agent.domain.message import encode, stamp
from agent.runtime.atomic_files import create_private
from agent.runtime.sanitize import json_object
from centre.map.action_entry import KINDS, ActionEntry, ActionKind, key_ids_of
from centre.map.field_values import instant
from centre.map.stored_message import EPOCH

_TABLES = """
CREATE TABLE IF NOT EXISTS entry (n INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL,
    device TEXT NOT NULL, alert_id TEXT NOT NULL, role TEXT NOT NULL, key_ids TEXT NOT NULL,
    text TEXT NOT NULL, fields TEXT NOT NULL, envelope BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS entry_changed BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER IF NOT EXISTS entry_deleted BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
"""
_SELECT = "SELECT n, at, kind, device, alert_id, role, key_ids, text, fields, envelope FROM entry"


def action_db(db: Path) -> Path:
    """The file of the entries, for a database of the centre."""
    return db.with_name(f"{db.name}.map")


class ActionStore:
    """Several processes may add at once. Each failure is an OSError. The file has mode 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            create_private(path)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    def add(
        self,
        at: datetime,
        kind: ActionKind,
        key: tuple[str, str],
        role: str,
        key_ids: Sequence[str],
        text: str,
        fields: Mapping[str, Any],
        envelope: bytes = b"",
    ) -> ActionEntry:
        """Adds one entry; it is on disk on return."""
        row = (
            stamp(at), kind, *key, role, encode({"keys": list(key_ids)}).decode(), text,
            encode(fields).decode(), envelope,
        )  # fmt: skip
        with self._lock:
            try:
                cursor = self._db.execute(
                    "INSERT INTO entry (at, kind, device, alert_id, role, key_ids, text, fields, envelope)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
            except sqlite3.Error as error:
                raise OSError(f"{self.path}: {error}") from error
            number = cursor.lastrowid or 0
        return _entry((number, *row))

    def since(self, n: int, most: int = 1000) -> list[ActionEntry]:
        """Up to ``most`` entries after number ``n``."""
        return self._entries(f"{_SELECT} WHERE n > ? ORDER BY n LIMIT ?", (n, most))

    def between(self, begin: datetime, end: datetime) -> list[ActionEntry]:
        """The entries of a time, in order."""
        query = f"{_SELECT} WHERE at >= ? AND at <= ? ORDER BY n"
        return self._entries(query, (stamp(begin), stamp(end)))

    def _entries(self, query: str, values: tuple[Any, ...]) -> list[ActionEntry]:
        with self._lock:
            try:
                rows = self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise OSError(f"{self.path}: {error}") from error
        return [_entry(row) for row in rows if row[2] in KINDS]

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _entry(row: tuple[Any, ...]) -> ActionEntry:
    n, at, kind, device, alert_id, role, key_ids, text, fields, envelope = row
    return ActionEntry(
        n=n,
        at=instant(at) or EPOCH,
        kind=cast(ActionKind, kind),
        device=device,
        alert_id=alert_id,
        role=role,
        key_ids=key_ids_of(key_ids),
        text=text,
        fields=json_object(fields.encode()) or {},
        envelope=envelope,
    )
