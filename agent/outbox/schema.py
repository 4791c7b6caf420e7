"""The tables of a store, and the columns that files of older agents lack."""

import json
import sqlite3

from agent.domain.message import RANKS

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (lane TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owed (
    lane TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL, expires_s REAL, boot TEXT NOT NULL, made_s REAL NOT NULL,
    handed INTEGER NOT NULL DEFAULT 0, rank INTEGER NOT NULL DEFAULT 0, grp TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (lane, seq)) WITHOUT ROWID;
"""
# Where receipts are needed: numbers begin anew at 1 in each epoch, while `owed.seq` counts on as a place in
# the store. `kept` is what has its receipt, for a centre that lost it.
_RECEIPT_SCHEMA = """
CREATE TABLE IF NOT EXISTS epochs (
    lane TEXT NOT NULL, base INTEGER NOT NULL, epoch TEXT NOT NULL, PRIMARY KEY (lane, base)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    number INTEGER PRIMARY KEY, lane TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL,
    topic TEXT NOT NULL, body BLOB NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL,
    boot TEXT NOT NULL, made_s REAL NOT NULL, grp TEXT NOT NULL, kept_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS kept_place ON kept (lane, seq);
CREATE INDEX IF NOT EXISTS owed_id ON owed (id);
CREATE INDEX IF NOT EXISTS owed_rank ON owed (rank, seq) WHERE lane = 'alert';
"""
_COLUMNS = "lane, seq, id, topic, body, qos, retain, expires_s, boot, made_s, rank, grp"
_INSERT = f"INTO owed ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KEPT = "lane, seq, id, topic, body, qos, retain, boot, made_s, grp"


def _lay_out(db: sqlite3.Connection, *, by_receipt: bool) -> None:
    """The tables; a file of an older agent gets the columns that it lacks."""
    db.executescript(_SCHEMA)
    columns = {str(row[1]) for row in db.execute("PRAGMA table_info(owed)")}
    if "rank" not in columns:
        db.execute("ALTER TABLE owed ADD COLUMN rank INTEGER NOT NULL DEFAULT 0")
        db.execute("ALTER TABLE owed ADD COLUMN grp TEXT NOT NULL DEFAULT ''")
        if by_receipt:
            _rank_old_rows(db)
    if by_receipt:
        db.executescript(_RECEIPT_SCHEMA)


def _rank_old_rows(db: sqlite3.Connection) -> None:
    """Rank and group as the body of each alert says."""
    for seq, body in db.execute("SELECT seq, body FROM owed WHERE lane = 'alert'").fetchall():
        try:
            alert = json.loads(body)["alert"]
            rank, group = RANKS[alert["severity"]], str(alert["alert_id"])
        except (ValueError, KeyError, TypeError):
            continue
        db.execute("UPDATE owed SET rank = ?, grp = ? WHERE lane = 'alert' AND seq = ?", (rank, group, seq))
