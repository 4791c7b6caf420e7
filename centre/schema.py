"""The tables of a centre's database, and their migrations. Blocking; each failure is an OSError."""

import json

from agent.domain.message import stamp
from agent.host.clock import utc_now
from agent.runtime.sanitize import json_object
from centre.alert_table import TABLES as ALERT_TABLES
from centre.alert_table import alert_number, number_epoch, upsert
from centre.database import Database
from centre.message_header import MessageHeader
from centre.registrar_lease import TABLES as LEASE_TABLES
from centre.sequence_gaps import lost_numbers

WILL = "will"
"""The topic under which last wills are stored: they have no envelope, and change no ``status``."""
INDEXED = ("alert", "alerts/active", "audit", "birth", "command/result", "gap", "health", "status", WILL)
KINDS = f"topic IN ({', '.join(map(repr, INDEXED))})"
POSITIONS = "topic = 'position'"
MINUTE = "substr(received_at, 1, 16)"
"""Terms of the indexes; a search that names them uses one. Positions are most of all messages: their index
begins with the minute, so that a commit changes few of its pages."""
_MESSAGE_TABLES = f"""
CREATE TABLE IF NOT EXISTS message (device TEXT, id TEXT, copy INTEGER, topic TEXT, epoch TEXT, seq BIGINT,
    at TEXT, received_at TEXT, body TEXT, PRIMARY KEY (device, id, copy)/*rowid*/);
CREATE INDEX IF NOT EXISTS message_number ON message (device, epoch, seq);
CREATE INDEX IF NOT EXISTS message_kind ON message (topic, device) WHERE {KINDS};
CREATE INDEX IF NOT EXISTS message_minute ON message ({MINUTE}, device) WHERE {POSITIONS};
CREATE TABLE IF NOT EXISTS lost (device TEXT, lane TEXT, epoch TEXT, first BIGINT, last BIGINT, why TEXT,
    PRIMARY KEY (device, lane, epoch, first, last));
"""
KEEP_LOST = "INSERT INTO lost VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"


def prepare(database: Database) -> None:
    """Creates and migrates the tables, each step once, whichever process comes first."""
    with database.transaction():
        database.lock("schema")
        by_id = not database.shared and _is_by_id(database)
        if by_id:
            database.execute("ALTER TABLE message RENAME TO message_by_id")
        database.execute("CREATE TABLE IF NOT EXISTS migration (number BIGINT PRIMARY KEY, at TEXT)")
        done = {number for (number,) in database.execute("SELECT number FROM migration").fetchall()}
        for number, step in enumerate(MIGRATIONS, start=1):
            if number not in done:
                step(database)
                database.execute("INSERT INTO migration VALUES (?, ?)", (number, stamp(utc_now())))


def _is_by_id(database: Database) -> bool:
    """Whether the messages are those of the oldest version, whose key was the id alone."""
    columns = [row[1] for row in database.execute("PRAGMA table_info(message)").fetchall()]
    return bool(columns) and "copy" not in columns


def _messages(database: Database) -> None:
    _create(database, _MESSAGE_TABLES)
    if database.shared:
        return
    found = database.execute("SELECT name FROM sqlite_master WHERE name = 'message_by_id'").fetchone()
    if found is None:
        return
    database.execute(
        "INSERT INTO message"
        " SELECT device, id, 0, topic, epoch, seq, at, received_at, body FROM message_by_id"
    )
    database.execute("DROP TABLE message_by_id")
    for device, body in database.execute("SELECT device, body FROM message WHERE topic = 'gap'").fetchall():
        lost = lost_numbers(json.loads(body))
        if lost is not None:
            row = (device, lost.lane, lost.epoch, lost.first, lost.last, lost.why)
            database.execute(KEEP_LOST, row)


def _lease(database: Database) -> None:
    _create(database, LEASE_TABLES)


def _alerts(database: Database) -> None:
    """The newest state of each alert, also of those that are stored already."""
    _create(database, ALERT_TABLES)
    rows = database.execute(
        f"SELECT body, received_at FROM message WHERE topic = 'alert' AND {KINDS} ORDER BY rowid"  # noqa: S608
    )
    for text, received_at in rows.fetchall():
        try:
            header = MessageHeader.model_validate_json(text)
        except ValueError:
            continue  # an older version stored it
        found = alert_number(header, json_object(text.encode()) or {})
        if found is not None:
            number_epoch(database, header)
            upsert(database, found, received_at)


MIGRATIONS = (_messages, _lease, _alerts)
"""In their order; a step that was released is never changed."""


def _create(database: Database, tables: str) -> None:
    for statement in filter(str.strip, tables.split(";")):
        database.execute(statement)
