"""What is done with a damaged file."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from agent.domain.message import LANES
from agent.outbox.schema import _COLUMNS, _INSERT
from agent.outbox.sqlite_store import log

PIECES = 200
"""A damaged file is read in so many pieces."""


def _sound(path: Path) -> bool:
    try:
        db = sqlite3.connect(path, timeout=5)
        try:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        finally:
            db.close()
    except sqlite3.OperationalError:  # locked or unreadable, which is not damaged
        raise
    except sqlite3.DatabaseError:
        return False


def _set_aside(path: Path) -> Path:
    """Renames a damaged file and its log; it is never deleted."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


def _take_over(db: sqlite3.Connection, damaged: Path) -> None:
    """What can still be read of a damaged file, from its beginning and from its end.

    The epoch is new, and so are the numbers; a message keeps its id.
    """
    old = sqlite3.connect(damaged, isolation_level=None)
    columns = _COLUMNS if _has_rank(old) else _COLUMNS.replace("rank, grp", "0, ''")
    reads = (
        (
            "INSERT OR IGNORE INTO meta VALUES (?, ?)",
            "SELECT key, value FROM meta WHERE key NOT IN ('epoch', 'boot', 'closed')",
        ),
        (f"INSERT OR IGNORE {_INSERT}", f"SELECT {columns} FROM owed ORDER BY lane, seq"),  # noqa: S608  ours
        (f"INSERT OR IGNORE {_INSERT}", f"SELECT {columns} FROM owed ORDER BY lane DESC, seq DESC"),  # noqa: S608
    )
    db.execute("BEGIN IMMEDIATE")
    stopped = False
    for insert, select in reads:
        try:
            for row in old.execute(select):
                db.execute(insert, row)
        except sqlite3.DatabaseError as error:
            stopped = True
            log.warning("salvage_stopped", file=damaged.name, error=str(error))
    if stopped:
        _take_from_between(db, old, columns)
    last: dict[str, int] = {}
    for lane, seq in db.execute("SELECT lane, seq FROM owed ORDER BY lane, seq").fetchall():
        last[lane] = last.get(lane, 0) + 1
        db.execute("UPDATE owed SET seq = ? WHERE lane = ? AND seq = ?", (last[lane], lane, seq))
    db.execute("COMMIT")
    try:
        old.close()
    except sqlite3.Error:
        log.warning("salvage_close", file=damaged.name)


def _take_from_between(db: sqlite3.Connection, old: sqlite3.Connection, columns: str) -> None:
    """What lies between two damaged pages is reached from neither end: piece by piece."""
    for lane in LANES:
        with suppress(sqlite3.DatabaseError):
            (top,) = old.execute("SELECT max(seq) FROM owed WHERE lane = ?", (lane,)).fetchone()
            step = max(1, (top or 0) // PIECES)
            for first in range(1, (top or 0) + 1, step):
                with suppress(sqlite3.DatabaseError):
                    piece = (lane, first, first + step)
                    where = "lane = ? AND seq >= ? AND seq < ? ORDER BY seq"
                    for row in old.execute(f"SELECT {columns} FROM owed WHERE {where}", piece):  # noqa: S608
                        db.execute(f"INSERT OR IGNORE {_INSERT}", row)


def _has_rank(db: sqlite3.Connection) -> bool:
    try:
        return any(row[1] == "rank" for row in db.execute("PRAGMA table_info(owed)"))
    except sqlite3.DatabaseError:  # then nothing else can be read either
        return True
