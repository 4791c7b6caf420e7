"""The database of a centre in an SQLite file: for one machine. Blocking; each failure is an OSError."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.host.clock import unix_s
from agent.runtime.atomic_files import create_private
from centre.database import Rows

BUSY_S = 10.0
"""A commit waits so long for that of another process."""


class SqliteDatabase:
    """See `centre.database.Database`. The file has mode 0600."""

    shared = False

    def __init__(self, path: Path) -> None:
        # A cancelled write goes on in its thread: no other statement, and no close, may run beside it.
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        create_private(path)  # the -wal file inherits the mode
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        with self._lock:
            try:
                cursor = self._db.execute(statement, tuple(values))
                return Rows(cursor.fetchall(), cursor.rowcount)
            except sqlite3.ProgrammingError as error:  # closed meanwhile
                raise OSError(f"the database is closed: {error}") from error
            except sqlite3.Error as error:
                raise OSError(str(error)) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self.execute("ROLLBACK")
                raise

    def lock(self, name: str) -> None:
        """A transaction has the whole file."""

    def now_s(self) -> float:
        return unix_s()

    def close(self) -> None:
        """Waits for a write that is under way."""
        with self._lock:
            self._db.close()
