"""Copies from a damaged file what SQLite can still read of it. The damaged file itself stays as it is."""

import sqlite3
from contextlib import suppress
from pathlib import Path

import structlog

from agent.domain.message import LANES
from agent.outbox.database import Database, as_os_error
from agent.outbox.schema import COLUMNS, INSERT

log = structlog.get_logger()

PIECES = 200
"""A damaged table is read in so many pieces."""


def copy_readable_rows(database: Database, damaged: Path) -> None:
    """Copies remembered values and messages, from the beginning of each table and from its end.

    The messages get new numbers; the epoch is new too. A message keeps its id. OSError where ``database``
    cannot be written.
    """
    with as_os_error(damaged):
        _copy(database, damaged)


def _copy(database: Database, damaged: Path) -> None:
    source = sqlite3.connect(damaged, isolation_level=None)
    columns = COLUMNS if _has_rank(source) else COLUMNS.replace("rank, grp", "0, ''")
    reads = (
        (
            "INSERT OR IGNORE INTO meta VALUES (?, ?)",
            "SELECT key, value FROM meta WHERE key NOT IN ('epoch', 'boot', 'closed')",
        ),
        (f"INSERT OR IGNORE {INSERT}", f"SELECT {columns} FROM owed ORDER BY lane, seq"),  # noqa: S608  ours
        (f"INSERT OR IGNORE {INSERT}", f"SELECT {columns} FROM owed ORDER BY lane DESC, seq DESC"),  # noqa: S608
    )
    with database.transaction():
        stopped = False
        for insert, select in reads:
            try:
                for row in source.execute(select):
                    database.execute(insert, row)
            except (sqlite3.DatabaseError, OSError) as error:
                stopped = True
                log.warning("salvage_stopped", file=damaged.name, error=str(error))
        if stopped:
            _copy_pieces(database, source, columns)
        _renumber(database)
    try:
        source.close()
    except sqlite3.Error:
        log.warning("salvage_close_failed", file=damaged.name)


def _copy_pieces(database: Database, source: sqlite3.Connection, columns: str) -> None:
    """Rows between two damaged pages are reached from neither end: they are read piece by piece."""
    for lane in LANES:
        with suppress(sqlite3.DatabaseError):
            (last,) = source.execute("SELECT max(seq) FROM owed WHERE lane = ?", (lane,)).fetchone()
            step = max(1, (last or 0) // PIECES)
            for first in range(1, (last or 0) + 1, step):
                with suppress(sqlite3.DatabaseError, OSError):
                    piece = (lane, first, first + step)
                    where = "lane = ? AND seq >= ? AND seq < ? ORDER BY seq"
                    for row in source.execute(f"SELECT {columns} FROM owed WHERE {where}", piece):  # noqa: S608
                        database.execute(f"INSERT OR IGNORE {INSERT}", row)


def _renumber(database: Database) -> None:
    """The places of each lane rise by one from 1."""
    last: dict[str, int] = {}
    for lane, seq in database.rows("SELECT lane, seq FROM owed ORDER BY lane, seq"):
        last[lane] = last.get(lane, 0) + 1
        database.execute("UPDATE owed SET seq = ? WHERE lane = ? AND seq = ?", (last[lane], lane, seq))


def _has_rank(source: sqlite3.Connection) -> bool:
    try:
        return any(row[1] == "rank" for row in source.execute("PRAGMA table_info(owed)"))
    except sqlite3.DatabaseError:  # then nothing else can be read either
        return True
