"""One SQLite file in WAL mode: its connection, its transactions, and the file itself.

Each failure is an OSError, and what failed was not done at all. One thread at a time uses a database.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from agent.host.disk import writing

FILE_PARTS = ("", "-wal", "-shm")
"""What a name of a part of a database ends with: the file, its log, the index of its log."""
REWRITTEN = ".rescued"


class DamagedError(OSError):
    """The file has content that SQLite cannot read: reopen it, so that it is set aside."""


class FullError(OSError):
    """The disk has no room, for this file or for any."""


@contextmanager
def as_os_error(path: Path | None) -> Iterator[None]:
    """Raises an error of SQLite as OSError, `DamagedError` or `FullError`."""
    try:
        yield
    except sqlite3.Error as error:
        kind: type[OSError] = DamagedError if type(error) is sqlite3.DatabaseError else OSError
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            kind = FullError
        raise kind(f"{path.name if path else 'memory'}: {error}") from error


def is_sound(path: Path) -> bool:
    """Whether SQLite finds no damage in the file. OSError where it is locked or unreadable."""
    try:
        connection = sqlite3.connect(path, timeout=5)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise OSError(f"{path.name}: {error}") from error
    except sqlite3.DatabaseError:
        return False


def set_aside(path: Path) -> Path:
    """Renames a damaged file and its log, and never deletes one; the new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for ending in FILE_PARTS:
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


class Database:
    """Made by `open` or `in_memory`."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None, *, durable: bool) -> None:
        self.path = path
        self.closed = False
        self._connection = connection
        self._durable = durable
        self._files = (str(path), f"{path}-wal")
        self._inode = None if path is None else path.stat().st_ino
        connection.text_factory = lambda text: text.decode(errors="replace")

    @classmethod
    def open(cls, path: Path, *, durable: bool, cache_kib: int = 1024) -> Self:
        """Opens or makes the file. ``durable``: a commit is safe from a power cut on return."""
        with writing(path, durable=durable), as_os_error(path):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                connection.execute(f"PRAGMA cache_size=-{cache_kib}")
                connection.execute("PRAGMA wal_autocheckpoint=256")
                return cls(connection, path, durable=durable)
            except (sqlite3.Error, OSError):
                connection.close()
                raise

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Opens the file of a running agent, or a copy of a file, for reading; it never blocks a writer."""
        with as_os_error(path):
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5
            )
            try:
                return cls(connection, path, durable=False)
            except (sqlite3.Error, OSError):
                connection.close()
                raise

    @classmethod
    def in_memory(cls) -> Self:
        """A database that ends with the process, and that no disk can fail."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        return cls(connection, None, durable=False)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with as_os_error(self.path):
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """The first row of a query as a tuple, or None."""
        with as_os_error(self.path):
            return self._connection.execute(statement, values).fetchone()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """The number of rows that the statement changed."""
        with self._writing(durable=self._durable):
            return self._connection.execute(statement, values).rowcount

    def execute_many(self, statement: str, values: Iterable[Sequence[Any]]) -> int:
        """The number of rows that the statement changed, with all ``values`` in turn."""
        with self._writing(durable=self._durable):
            return self._connection.executemany(statement, values).rowcount

    def execute_script(self, statements: str) -> None:
        with self._writing(durable=self._durable):
            self._connection.executescript(statements)

    @contextmanager
    def _writing(self, *, durable: bool) -> Iterator[None]:
        """Around one commit; a statement within a transaction has none."""
        if self.path is None or self._connection.in_transaction:
            with as_os_error(self.path):
                yield
        else:
            with writing(self.path, durable=durable), as_os_error(self.path):
                yield

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing; an error leaves no open transaction behind. ``durable``: where the database is."""
        with self._writing(durable=durable and self._durable):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def relaxed_transaction(self) -> Iterator[None]:
        """A transaction that a power cut may undo: its commit does not wait for the disk."""
        with as_os_error(self.path):
            try:
                if self._durable:
                    self._connection.execute("PRAGMA synchronous=NORMAL")
                with self.transaction(durable=False):
                    yield
            finally:
                if self._durable:
                    self._connection.execute("PRAGMA synchronous=FULL")

    def used_bytes(self) -> int:
        """The size of the file with its log."""
        if self.path is None:
            return self._pragma("page_count") * self._pragma("page_size")
        parts = (self.path.with_name(self.path.name + ending) for ending in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def free_bytes(self) -> int:
        """The room inside the file that no row takes."""
        return self._pragma("freelist_count") * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        return int(self.row(f"PRAGMA {name}")[0])

    def reserve(self, total_bytes: int) -> None:
        """Makes room in the file and in its log, so that rows still fit when the disk is full."""
        size = max(total_bytes - self.free_bytes(), total_bytes // 2)
        with self.transaction():
            self.execute("DROP TABLE IF EXISTS room")
            self.execute("CREATE TABLE room (filling BLOB)")
            self.execute("INSERT INTO room VALUES (zeroblob(?))", (size,))
        self.execute("DROP TABLE room")  # after the commit: pages freed within one are never written
        self.row("PRAGMA wal_checkpoint(RESTART)")

    def checkpoint(self) -> None:
        """Writes the log into the file, which then stands alone."""
        self.row("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self.closed = True
        self._connection.close()

    def unlink(self) -> None:
        """Closes the database and deletes its file: needs no room on the disk."""
        self.close()
        self._unlink_parts()

    def _unlink_parts(self) -> None:
        if self.path is not None:
            for ending in FILE_PARTS:
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def was_replaced(self) -> bool:
        """Whether the file or its log was deleted or replaced: what is written then ends with the process."""
        if self.path is None or self.closed:
            return False
        try:
            main, _ = (os.stat(file).st_ino for file in self._files)  # noqa: PTH116  for each alert: 3 us
            return main != self._inode
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # a disk that cannot be read is another fault
            return False

    def rewrite(self) -> None:
        """Writes the content of the open file into a new one at its path, and closes the database.

        SQLite deletes files by their name as it closes: so the new file gets its name only then. A foreign
        file at the path is set aside.
        """
        assert self.path is not None  # noqa: S101  only a file can be deleted
        self.path.parent.mkdir(parents=True, exist_ok=True)
        copy_path = self.path.with_name(self.path.name + REWRITTEN)
        copy_path.unlink(missing_ok=True)
        with as_os_error(self.path):
            copy = sqlite3.connect(copy_path, isolation_level=None)
            try:
                copy.execute("PRAGMA synchronous=FULL")
                self._connection.backup(copy)
            finally:
                copy.close()
        if self.path.exists() and self.path.stat().st_ino != self._inode:
            set_aside(self.path)
        self.closed = True
        with suppress(sqlite3.Error):
            self._connection.close()
        self._unlink_parts()
        copy_path.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
