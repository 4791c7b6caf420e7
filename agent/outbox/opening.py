"""Opens stores: of a file, in memory, in memory with a copy of a file, and downsampled from two files."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import structlog

from agent.outbox.database import FILE_PARTS, REWRITTEN, Database, is_sound, set_aside
from agent.outbox.salvage import copy_readable_rows
from agent.outbox.schema import COLUMNS, create_tables
from agent.outbox.sqlite_store import Store

log = structlog.get_logger()


def open_store(
    path: Path,
    *,
    durable: bool,
    reserved_bytes: int = 0,
    cache_kib: int = 1024,
    predecessor: Store | None = None,
    history_bytes: int = 0,
) -> Store:
    """Opens or makes the file. A damaged file is set aside, and its readable rows are copied. OSError.

    ``durable``: a message is safe from a power cut on return, and leaves on a receipt. ``reserved_bytes``:
    room made beforehand. ``predecessor``: the store whose epoch and numbers a new file continues.
    ``history_bytes``: the limit of messages that are kept after their receipt.
    """
    rewritten = path.with_name(path.name + REWRITTEN)
    if rewritten.exists() and not path.exists():  # killed within `Database.rewrite`
        rewritten.replace(path)
    damaged = set_aside(path) if path.exists() and not is_sound(path) else None
    database = Database.open(path, durable=durable, cache_kib=cache_kib)
    try:
        create_tables(database, with_receipts=durable)
        if predecessor is not None:
            _continue_numbers(database, predecessor)
        if damaged is not None:
            copy_readable_rows(database, damaged)
        store = Store(
            database,
            with_receipts=durable,
            reserved_bytes=reserved_bytes,
            history_bytes=history_bytes,
        )
    except OSError:
        database.close()
        raise
    if damaged is not None:
        store.salvaged = f"{path.name} was damaged; it is set aside as {damaged.name}"
        log.error("store_damaged", file=path.name, set_aside=damaged.name, rows_recovered=store.count())
    if reserved_bytes:
        try:
            database.reserve(reserved_bytes)
        except OSError as error:  # rows go on being stored as far as they fit
            log.warning("reserve_failed", file=path.name, error=str(error))
    return store


def _continue_numbers(database: Database, predecessor: Store) -> None:
    database.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (predecessor.epoch.encode(),))
    rows = [(lane, predecessor.last(lane)) for lane in ("telemetry", "media")]
    database.execute_many("INSERT OR IGNORE INTO counter VALUES (?, ?)", rows)


def memory_store() -> Store:
    """A store that ends with the process, and that no disk can fail."""
    return Store(_memory_database(), with_receipts=True)


def memory_copy(path: Path) -> Store:
    """A store in memory with the readable rows of ``path``, for a disk that cannot be written.

    It numbers under an epoch of its own; a message keeps its id.
    """
    database = _memory_database()
    shared_memory = Path("/dev/shm")  # noqa: S108  a private folder in it, for when not even /tmp can be written
    try:
        with tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.is_dir() else None) as folder:
            copy = Path(folder) / path.name
            for ending in ("", "-wal"):
                part = path.with_name(path.name + ending)
                if part.exists():
                    shutil.copyfile(part, copy.with_name(copy.name + ending))
            if copy.exists():
                copy_readable_rows(database, copy)
    except OSError as error:
        log.error("copy_to_memory_failed", file=path.name, error=str(error))
    return Store(database, with_receipts=True)


def _memory_database() -> Database:
    database = Database.in_memory()
    create_tables(database, with_receipts=True)
    return database


def downsample(path: Path, one: Store, other: Store, keep_one_in: int) -> int:
    """Makes a file of two that follow each other, with one of ``keep_one_in`` rows; the number left."""
    database = Database.open(path, durable=False)
    try:
        create_tables(database, with_receipts=False)
        for store in (one, other):
            database.execute("ATTACH ? AS old", (str(store.path),))
            database.execute(
                f"INSERT INTO owed ({COLUMNS}) SELECT {COLUMNS} FROM"  # noqa: S608  ours
                " (SELECT *, row_number() OVER (ORDER BY lane, seq) AS number FROM old.owed)"
                " WHERE (number - 1) % ? = 0",
                (max(1, keep_one_in // store.keep_one_in),),
            )
            database.execute("INSERT OR REPLACE INTO counter SELECT * FROM old.counter")
            database.execute("DETACH old")
        values = (
            ("epoch", one.epoch.encode()),
            ("boot", one.boot.encode()),
            ("closed", b"1"),
            ("thinned", str(keep_one_in).encode()),
        )
        database.execute_many("INSERT INTO meta VALUES (?, ?)", values)
        return int(database.row("SELECT count(*) FROM owed")[0])
    finally:
        database.close()


def delete_parts(path: Path) -> None:
    """Deletes the log of a file that is replaced, and the log's index."""
    for ending in FILE_PARTS[1:]:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def lock_folder(folder: Path) -> int:
    """A descriptor of ``folder``, which is made where it is missing, locked until it is closed; blocking.

    OSError where the folder cannot be made, or another agent uses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        reason = "another agent keeps its messages there; one data directory is for one"
        raise OSError(f"{folder}: {reason}") from None
    except BaseException:
        os.close(lock)
        raise
    return lock
