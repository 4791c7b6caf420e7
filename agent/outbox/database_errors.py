"""What can be wrong with a database file, as OSError."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
