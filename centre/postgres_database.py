"""The database of a centre in a PostgreSQL server, for several machines: the only file that imports psycopg.

Each process has a connection of its own; one that broke is opened again with the next statement.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zlib import crc32

from centre.database import ConflictError, PostgresUrl, Rows

if TYPE_CHECKING:
    import psycopg

CONNECT_WITHIN_S = 10
SETTINGS = {
    "synchronous_commit": "on",  # a receipt follows the commit: it has to be on the disk
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",  # a worker that hangs holds up nobody for longer
}
ROWID = ", rowid BIGINT GENERATED ALWAYS AS IDENTITY"
LOCKS = 0x72706F73
"""The class of our advisory locks: a server may have others."""


class PostgresDatabase:
    """See `centre.database.Database`."""

    shared = True

    def __init__(self, url: PostgresUrl) -> None:
        try:
            import psycopg
        except ImportError:
            raise OSError("psycopg is not installed: pip install 'ringpost[postgres]'") from None
        self._psycopg = psycopg
        self._url = url
        parts = urlsplit(url)
        self._name = f"{parts.hostname or 'postgresql'}{parts.path}"
        """For error texts: the URL may have a password."""
        self._lock = threading.RLock()
        self._closed = self._in_transaction = False
        self._db: psycopg.Connection[tuple[Any, ...]] | None = None
        self._connect()

    def _connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._closed:
            raise OSError("the database is closed")
        try:
            self._db = self._psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_WITHIN_S,
                application_name="ringpost-centre",
            )
            for setting in SETTINGS.items():
                self._db.execute("SELECT set_config(%s, %s, false)", setting)
        except (self._psycopg.Error, UnicodeError) as error:
            raise OSError(f"{self._name}: {_first_line(error)}") from None
        return self._db

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        with self._lock:
            db = self._db
            if db is None or db.closed:
                if self._in_transaction:
                    self._in_transaction = False
                    raise OSError(f"{self._name}: the connection was lost")
                db = self._connect()
            if statement in ("BEGIN", "COMMIT", "ROLLBACK"):
                self._in_transaction = statement == "BEGIN"
            try:
                cursor = db.execute(_translate(statement), [_storable(value) for value in values])
                return Rows(cursor.fetchall() if cursor.description else [], cursor.rowcount)
            except (self._psycopg.errors.DeadlockDetected, self._psycopg.errors.UniqueViolation) as error:
                raise ConflictError(f"{self._name}: {_first_line(error)}") from error
            except self._psycopg.Error as error:
                raise OSError(f"{self._name}: {_first_line(error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self.execute("BEGIN")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        """A connection in an unknown state is given up."""
        with suppress(OSError):
            if self._db is not None and not self._db.closed:
                self.execute("ROLLBACK")
                return
        self._in_transaction = False
        if self._db is not None:
            self._db.close()

    def lock(self, name: str) -> None:
        self.execute("SELECT pg_advisory_xact_lock(?, ?)", (LOCKS, crc32(name.encode()) - 2**31))

    def now_s(self) -> float:
        return float(self.execute("SELECT extract(epoch FROM clock_timestamp())").fetchall()[0][0])

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()


@lru_cache(maxsize=256)
def _translate(statement: str) -> "psycopg.sql.SQL":
    from psycopg.sql import SQL

    return SQL(statement.replace("%", "%%").replace("?", "%s").replace("/*rowid*/", ROWID))


def _storable(value: Any) -> Any:
    """PostgreSQL has no text with NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
