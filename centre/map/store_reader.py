"""Reads the database of the centre while the centre writes it. Never writes, never locks long. Blocking."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.domain.message import stamp
from centre.map.field_values import instant
from centre.map.stored_message import StoredMessage, parse_row
from centre.schema import KINDS, MINUTE, POSITIONS, WILL

POSITION = "position"
LATEST_TOPICS = (WILL, "status", "birth", "health", POSITION, "alerts/active")
"""The newest of each gives the state of a device. In the order in which they are applied after `WILL`."""
INDEXES = frozenset({"message_kind", "message_minute"})
_SELECT = "SELECT rowid, device, topic, received_at, body FROM message"
_NAMES = f"""
WITH RECURSIVE name(device) AS (
    SELECT min(device) FROM message WHERE topic = ?1 AND {KINDS}
    UNION ALL
    SELECT (SELECT min(device) FROM message WHERE topic = ?1 AND {KINDS} AND device > name.device)
    FROM name WHERE name.device IS NOT NULL)
"""  # noqa: S608
"""The devices that have sent a topic: one step in the index for each, however many messages there are."""
_DEVICES = f"{_NAMES} SELECT device FROM name WHERE device IS NOT NULL"  # noqa: S608
_LATEST = (
    f"{_NAMES} SELECT (SELECT max(rowid) FROM message"  # noqa: S608
    f" WHERE topic = ?1 AND {KINDS} AND message.device = name.device AND rowid <= ?2)"
    " FROM name WHERE name.device IS NOT NULL"
)
_LATEST_OF_ALL = "SELECT max(rowid) FROM message WHERE rowid <= ? GROUP BY topic, device"
_IN_MINUTE = f"FROM message WHERE {POSITIONS} AND {MINUTE} = ? AND device = ?"
_LAST_OF_MINUTE = f"SELECT max(rowid) {_IN_MINUTE} AND rowid <= ?"
_OF_MINUTE = f"SELECT rowid {_IN_MINUTE} ORDER BY rowid LIMIT ?"
_BETWEEN = (
    f"SELECT rowid FROM message WHERE device = ? AND {POSITIONS}"  # noqa: S608
    " AND received_at BETWEEN ? AND ? ORDER BY rowid"
)
_NEWEST = (
    "SELECT rowid, topic FROM message WHERE device = ? AND id < ? AND rowid <= ? ORDER BY id DESC LIMIT ?"
)
RECENT = 200
"""The last position of a device that is silent is among so many of its last messages."""
AT_ONCE = 500
"""Rows in one query."""


class StoreReader:
    """A connection of its own. Each failure is an OSError. Calls of several threads follow each other."""

    def __init__(self, db: Path) -> None:
        self.path = db
        self._lock = threading.Lock()
        self.files = 0
        """Grows when another file is at the path, such as a backup that was put back: row numbers are new."""
        self._open()

    def _open(self) -> None:
        db = self.path
        if str(db).startswith(("postgresql:", "postgres:")):
            raise OSError("the map reads the SQLite file of a centre, not PostgreSQL")
        if not db.is_file():
            raise OSError(f"{db}: no such file: give the database of 'ringpost centre'")
        file = _identity(db)
        try:
            self._db = sqlite3.connect(
                f"{db.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False,
                timeout=10,
            )  # fmt: skip
            self._db.text_factory = lambda data: data.decode("utf-8", "replace")
            names = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        except sqlite3.Error as error:
            raise OSError(f"{db}: {error}") from error
        if "message" not in names:
            raise OSError(f"{db}: not the database of a centre: it has no table of messages")
        self.indexed = names >= INDEXES
        """False for a database that no centre of this version has opened: searches read all of it."""
        self._file = file  # a file that can't be opened is tried again
        self.files += 1

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def last_row(self) -> int:
        """The number of the newest message; 0 where there is none."""
        return self._number("SELECT max(rowid) FROM message") or 0

    def identity_of(self, row: int) -> tuple[Any, ...] | None:
        """What tells the message ``row`` from any other; None where there is none."""
        return self._row("SELECT id, device, received_at FROM message WHERE rowid = ?", (row,))

    def since(self, row: int, most: int) -> list[StoredMessage]:
        """Up to ``most`` messages after ``row``, in the order of their commit."""
        return self._messages(f"{_SELECT} WHERE rowid > ? ORDER BY rowid LIMIT ?", (row, most))

    def row_at(self, at: datetime) -> int:
        """The number of the last message that was committed by ``at``; 0 where all are newer."""
        wanted, low, high = stamp(at), 0, self.last_row()
        while low < high:  # commits are in order: a search by halves, of some 30 steps
            middle = (low + high + 1) // 2
            found = self._row(
                "SELECT rowid, received_at FROM message WHERE rowid <= ? ORDER BY rowid DESC LIMIT 1",
                (middle,),
            )
            if found is None or str(found[1]) <= wanted:
                low = middle
            else:
                high = found[0] - 1
        return low

    def latest(
        self,
        by_row: int,
        topics: Sequence[str] = LATEST_TOPICS,
        known: MutableMapping[int, StoredMessage] | None = None,
    ) -> list[StoredMessage]:
        """The newest message of each device and topic up to ``by_row``, by topic in the given order.

        ``known`` has messages by row that need not be read again, and gets those that were.
        """
        known = {} if known is None else known
        if not self.indexed:
            rows = [row for (row,) in self._rows(_LATEST_OF_ALL, (by_row,))]
        else:
            rows = [row for topic in topics for row in self._latest_rows(topic, by_row)]
        missing = [row for row in rows if row not in known]
        known.update({message.row: message for message in self._of_rows(missing)})
        return [known[row] for row in rows if row in known and known[row].topic in topics]

    def _latest_rows(self, topic: str, by_row: int) -> list[int]:
        if topic != POSITION:
            return [row for (row,) in self._rows(_LATEST, (topic, by_row)) if row]
        at = self._row(
            "SELECT received_at FROM message WHERE rowid <= ? ORDER BY rowid DESC LIMIT 1", (by_row,)
        )
        moment = None if at is None else instant(at[0])
        if moment is None:
            return []
        minutes = _minute(moment), _minute(moment - timedelta(minutes=1))
        late = uuid_prefix(moment + timedelta(minutes=1))
        found = []
        for device in {*self.devices("status"), *self.devices("birth")}:
            lasts = (self._row(_LAST_OF_MINUTE, (minute, device, by_row)) for minute in minutes)
            row = next((last[0] for last in lasts if last is not None and last[0] is not None), None)
            if (
                row is None
            ):  # for two minutes none: by the ids, which begin with the time of the device's clock
                recent = self._rows(_NEWEST, (device, late, by_row, RECENT))
                row = next((row for row, kind in recent if kind == POSITION), None)
            found += [] if row is None else [row]
        return found

    def newest(self, topic: str, device: str, by_row: int, most: int) -> list[StoredMessage]:
        """The newest messages of a topic, but `POSITION`, of a device up to ``by_row``, by commit."""
        where = f"topic = ? AND {KINDS} AND device = ? AND rowid <= ?"
        query = f"{_SELECT} WHERE {where} ORDER BY rowid DESC LIMIT ?"
        return self._messages(query, (topic, device, by_row, most))[::-1]

    def of_topic(
        self, topic: str, after_row: int, by_row: int, device: str | None = None
    ) -> Iterator[StoredMessage]:
        """The messages of a topic, but `POSITION`, in ``(after_row, by_row]``, of one device or all."""
        if device is None and not self.indexed:
            query = f"{_SELECT} WHERE topic = ? AND rowid > ? AND rowid <= ? ORDER BY rowid"
            yield from self._messages(query, (topic, after_row, by_row))
            return
        where = f"topic = ? AND {KINDS} AND device = ? AND rowid > ? AND rowid <= ?"
        query = f"{_SELECT} WHERE {where} ORDER BY rowid"
        found: list[StoredMessage] = []
        for one in self.devices(topic) if device is None else [device]:
            found += self._messages(query, (topic, one, after_row, by_row))
        yield from sorted(found, key=lambda message: message.row)

    def positions(self, device: str, begin: datetime, end: datetime, most: int) -> list[StoredMessage]:
        """Up to ``most`` positions of a device that were committed in a time, evenly chosen, by commit."""
        rows: list[int] = []
        if not self.indexed:
            rows += [row for (row,) in self._rows(_BETWEEN, (device, stamp(begin), stamp(end)))]
        minutes = int((end - begin).total_seconds() // 60) + 2
        each = -1 if minutes < most else 1
        for number in range(minutes if self.indexed else 0):
            minute = _minute(begin + timedelta(minutes=number))
            rows += [row for (row,) in self._rows(_OF_MINUTE, (minute, device, each))]
        return sorted(self._of_rows(even(rows, most)), key=lambda message: message.row)

    def devices(self, topic: str) -> list[str]:
        """The devices that have sent a topic, but `POSITION`, by name."""
        query = _DEVICES if self.indexed else "SELECT DISTINCT device FROM message WHERE topic = ?1"
        return [name for (name,) in self._rows(query, (topic,))]

    def topics_of(self, device: str) -> list[str]:
        """The topics that a device has sent, such as each source of telemetry."""
        return [
            topic for (topic,) in self._rows("SELECT DISTINCT topic FROM message WHERE device = ?", (device,))
        ]

    def _messages(self, query: str, values: Iterable[Any]) -> list[StoredMessage]:
        return [parse_row(*row) for row in self._rows(query, values)]

    def _of_rows(self, rows: Sequence[int]) -> Iterator[StoredMessage]:
        for first in range(0, len(rows), AT_ONCE):
            some = rows[first : first + AT_ONCE]
            yield from self._messages(f"{_SELECT} WHERE rowid IN ({', '.join('?' * len(some))})", some)

    def _number(self, query: str) -> int | None:
        row = self._row(query, ())
        return None if row is None else row[0]

    def _row(self, query: str, values: Iterable[Any]) -> tuple[Any, ...] | None:
        found = self._rows(query, values)
        return found[0] if found else None

    def _rows(self, query: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                if _identity(self.path) != self._file:  # the old file would be read for ever, and look live
                    self._db.close()
                    self._open()
                return self._db.execute(query, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {error}") from error


def _identity(db: Path) -> tuple[int, int]:
    """Of the file. OSError where there is none."""
    found = db.stat()
    return found.st_dev, found.st_ino


def _minute(at: datetime) -> str:
    """A minute as the index has it."""
    return stamp(at)[:16]


def uuid_prefix(at: datetime) -> str:
    """Above all UUIDv7 that were made before ``at``, below those that were made later."""
    digits = f"{int(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def even(found: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of them, evenly chosen: the first, and the last where there is room for two."""
    if len(found) <= most:
        return list(found)
    if most == 1:
        return [found[0]]
    return [found[round(number * (len(found) - 1) / (most - 1))] for number in range(most)]
