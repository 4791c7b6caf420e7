"""Reads the database of the centre while the centre writes it. Never writes, never locks long. Blocking."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.domain.message import stamp
from centre.map.stored_message import StoredMessage, parse_row
from centre.message_store import WILL

LATEST_TOPICS = (WILL, "status", "birth", "health", "position", "alerts/active")
"""The newest of each gives the state of a device. In the order in which they are applied after `WILL`."""
INDEX = "message_topic"
_SELECT = "SELECT rowid, device, topic, received_at, body FROM message"
_NAMES = """
WITH RECURSIVE name(device) AS (
    SELECT min(device) FROM message WHERE topic = ?1
    UNION ALL
    SELECT (SELECT min(device) FROM message WHERE topic = ?1 AND device > name.device)
    FROM name WHERE name.device IS NOT NULL)
"""
"""The devices that have sent a topic: one step in the index for each, however many messages there are."""
_LATEST = (
    f"{_NAMES} SELECT (SELECT max(rowid) FROM message"  # noqa: S608
    " WHERE topic = ?1 AND message.device = name.device AND rowid <= ?2)"
    " FROM name WHERE name.device IS NOT NULL"
)
_LATEST_OF_ALL = "SELECT max(rowid) FROM message WHERE rowid <= ? GROUP BY topic, device"
AT_ONCE = 500
"""Rows in one query."""


class StoreReader:
    """A connection of its own. Each failure is an OSError. Calls of several threads follow each other."""

    def __init__(self, db: Path) -> None:
        self.path = db
        self._lock = threading.Lock()
        if not db.is_file():
            raise OSError(f"{db}: no such file: give the database of 'ringpost centre'")
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
        self.indexed = INDEX in names
        """False for a database that no centre of this version has opened: searches read all of it."""

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def last_row(self) -> int:
        """The number of the newest message; 0 where there is none."""
        return self._number("SELECT max(rowid) FROM message") or 0

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
            rows = [row for topic in topics for (row,) in self._rows(_LATEST, (topic, by_row)) if row]
        missing = [row for row in rows if row not in known]
        for first in range(0, len(missing), AT_ONCE):
            some = missing[first : first + AT_ONCE]
            query = f"{_SELECT} WHERE rowid IN ({', '.join('?' * len(some))})"
            known.update({message.row: message for message in self._messages(query, some)})
        return [known[row] for row in rows if row in known and known[row].topic in topics]

    def newest(self, topic: str, device: str, by_row: int, most: int) -> list[StoredMessage]:
        """The newest ``most`` messages of a topic of a device up to ``by_row``, in order of commit."""
        query = f"{_SELECT} WHERE topic = ? AND device = ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?"
        return self._messages(query, (topic, device, by_row, most))[::-1]

    def of_topic(
        self, topic: str, after_row: int, by_row: int, device: str | None = None
    ) -> Iterator[StoredMessage]:
        """All messages of a topic in ``(after_row, by_row]``, of one device or all, in order of commit."""
        if device is None and not self.indexed:
            query = f"{_SELECT} WHERE topic = ? AND rowid > ? AND rowid <= ? ORDER BY rowid"
            yield from self._messages(query, (topic, after_row, by_row))
            return
        query = f"{_SELECT} WHERE topic = ? AND device = ? AND rowid > ? AND rowid <= ? ORDER BY rowid"
        found: list[StoredMessage] = []
        for one in self.devices(topic) if device is None else [device]:
            found += self._messages(query, (topic, one, after_row, by_row))
        yield from sorted(found, key=lambda message: message.row)

    def sampled(
        self, topic: str, device: str, after_row: int, by_row: int, most: int
    ) -> Iterator[StoredMessage]:
        """About ``most`` messages of a device, evenly over ``(after_row, by_row]``, the last one among them.

        One step in the index for each: as fast for a day as for an hour.
        """
        query = (
            f"{_SELECT} WHERE topic = ? AND device = ? AND rowid > ? AND rowid <= ? ORDER BY rowid LIMIT 1"
        )
        step = max(1, (by_row - after_row) // max(1, most))
        row, last = after_row, 0
        while found := self._messages(query, (topic, device, row, by_row)):
            last = found[0].row
            yield found[0]
            row = max(last, row + step)
        newest = self._messages(
            query.replace("ORDER BY rowid", "ORDER BY rowid DESC"), (topic, device, last, by_row)
        )
        yield from newest

    def devices(self, topic: str) -> list[str]:
        """The devices that have sent a topic, by name."""
        if not self.indexed:
            return [
                name
                for (name,) in self._rows("SELECT DISTINCT device FROM message WHERE topic = ?", (topic,))
            ]
        return [
            name
            for (name,) in self._rows(f"{_NAMES} SELECT device FROM name WHERE device IS NOT NULL", (topic,))  # noqa: S608
        ]

    def topics_of(self, device: str) -> list[str]:
        """The topics that a device has sent, such as each source of telemetry."""
        return [
            topic for (topic,) in self._rows("SELECT DISTINCT topic FROM message WHERE device = ?", (device,))
        ]

    def _messages(self, query: str, values: Iterable[Any]) -> list[StoredMessage]:
        return [parse_row(*row) for row in self._rows(query, values)]

    def _number(self, query: str) -> int | None:
        row = self._row(query, ())
        return None if row is None else row[0]

    def _row(self, query: str, values: Iterable[Any]) -> tuple[Any, ...] | None:
        found = self._rows(query, values)
        return found[0] if found else None

    def _rows(self, query: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._db.execute(query, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {error}") from error
