"""The tables of a store, and the migration of a file of an older agent.

meta      values beside messages, by key: epoch, boot id, session number, what the agent remembers
counter   the highest place that each lane has taken
owed      messages that were not delivered yet; `seq` is the place in the store
epochs    the place before the first message of each epoch (stores with receipts only)
kept      messages that have their receipt, for a centre that lost them (stores with receipts only)
"""

import json

from agent.domain.message import RANKS
from agent.outbox.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (lane TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owed (
    lane TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL, expires_s REAL, boot TEXT NOT NULL, made_s REAL NOT NULL,
    handed INTEGER NOT NULL DEFAULT 0, rank INTEGER NOT NULL DEFAULT 0, grp TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (lane, seq)) WITHOUT ROWID;
"""
# With receipts, numbers restart at 1 in each epoch, while `owed.seq` goes on as a place in the store.
RECEIPT_SCHEMA = """
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
COLUMNS = "lane, seq, id, topic, body, qos, retain, expires_s, boot, made_s, rank, grp"
INSERT = f"INTO owed ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
KEPT_COLUMNS = "lane, seq, id, topic, body, qos, retain, boot, made_s, grp"


def create_tables(database: Database, *, with_receipts: bool) -> None:
    """Creates the tables that are missing; a file of an older agent gets the columns that it lacks."""
    database.execute_script(SCHEMA)
    columns = {str(row[1]) for row in database.rows("PRAGMA table_info(owed)")}
    if "rank" not in columns:
        database.execute("ALTER TABLE owed ADD COLUMN rank INTEGER NOT NULL DEFAULT 0")
        database.execute("ALTER TABLE owed ADD COLUMN grp TEXT NOT NULL DEFAULT ''")
        if with_receipts:
            _rank_old_rows(database)
    if with_receipts:
        database.execute_script(RECEIPT_SCHEMA)


def _rank_old_rows(database: Database) -> None:
    """Sets rank and group as the body of each alert has them."""
    for seq, body in database.rows("SELECT seq, body FROM owed WHERE lane = 'alert'"):
        try:
            alert = json.loads(body)["alert"]
            rank, group = RANKS[alert["severity"]], str(alert["alert_id"])
        except (ValueError, KeyError, TypeError):
            continue
        values = (rank, group, seq)
        database.execute("UPDATE owed SET rank = ?, grp = ? WHERE lane = 'alert' AND seq = ?", values)
