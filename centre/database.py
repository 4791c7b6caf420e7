"""The database of a centre: one dialect of SQL, in an SQLite file or a PostgreSQL server. Blocking.

Statements have ``?`` for values. Tables that are read in the order of their commits end with ``/*rowid*/``:
SQLite has that column anyway. Each failure is an OSError.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

PostgresUrl: TypeAlias = str
SCHEMES = ("postgresql://", "postgres://")


class ConflictError(OSError):
    """Another process changed the same rows at the same time: the transaction may be tried again."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a statement, read to its end: nothing else runs on the connection meanwhile."""

    found: Sequence[tuple[Any, ...]]
    rowcount: int

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.found[0] if self.found else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self.found)


class Database(Protocol):
    """One connection. Calls of several threads follow each other."""

    shared: bool
    """Whether processes of several machines use it at the same time."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows: ...

    def transaction(self) -> AbstractContextManager[None]:
        """Commits at its end; an exception rolls back. Nothing else runs on this connection meanwhile."""
        ...

    def lock(self, name: str) -> None:
        """Within a transaction: no other process has the lock of this name until it ends."""
        ...

    def now_s(self) -> float:
        """Seconds since 1970, on one clock for all that use the database."""
        ...

    def close(self) -> None: ...


def is_postgres(db: Path | PostgresUrl) -> bool:
    """Whether it names a server."""
    return isinstance(db, str) and db.startswith(SCHEMES)
