"""The table of alerts: the newest message of each, by the order in which the device made them.

Messages arrive in any order where several workers receive them, so the order of arrival means nothing: a
later message of a device has a higher ``session``; within a session a later epoch, in the order in which
epochs became known; within an epoch a higher ``seq``. Blocking; each failure is an OSError.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.runtime.sanitize import as_dict
from centre.database import Database
from centre.message_header import MessageHeader

TABLES = """
CREATE TABLE IF NOT EXISTS epoch (device TEXT, epoch TEXT, number BIGINT, PRIMARY KEY (device, epoch));
CREATE TABLE IF NOT EXISTS alert (device TEXT, alert_id TEXT, session BIGINT, epoch_number BIGINT, seq BIGINT,
    phase TEXT, severity TEXT, message_id TEXT, at TEXT, received_at TEXT, PRIMARY KEY (device, alert_id));
CREATE INDEX IF NOT EXISTS alert_open ON alert (severity, at) WHERE phase NOT IN ('end', 'drill');
"""
MOST_ID = 64
MOST_WORD = 32
_UPSERT = """
INSERT INTO alert
VALUES (?, ?, ?, (SELECT number FROM epoch WHERE device = ? AND epoch = ?), ?, ?, ?, ?, ?, ?)
ON CONFLICT (device, alert_id) DO UPDATE SET session = excluded.session, epoch_number = excluded.epoch_number,
    seq = excluded.seq, phase = excluded.phase, severity = excluded.severity,
    message_id = excluded.message_id, at = excluded.at, received_at = excluded.received_at
WHERE (excluded.session, excluded.epoch_number, excluded.seq) > (alert.session, alert.epoch_number, alert.seq)
"""
_NUMBER_EPOCH = """
INSERT INTO epoch SELECT ?, ?, coalesce(max(number), 0) + 1 FROM epoch WHERE device = ? AND true
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class AlertNumber:
    """What a message of ``alert`` says of its alert."""

    header: MessageHeader
    alert_id: str
    phase: str
    severity: str


def alert_number(header: MessageHeader, body: Mapping[str, Any]) -> AlertNumber | None:
    """None where the message names no alert."""
    alert = as_dict(body.get("alert"))
    alert_id, phase, severity = (alert.get(name) for name in ("alert_id", "phase", "severity"))
    if not isinstance(alert_id, str) or not 0 < len(alert_id) <= MOST_ID:
        return None
    words = [one[:MOST_WORD] if isinstance(one, str) else "" for one in (phase, severity)]
    return AlertNumber(header, alert_id, *words)


def number_epoch(database: Database, header: MessageHeader) -> None:
    """Gives the epoch of a message its number, where it is new."""
    database.execute(_NUMBER_EPOCH, (header.device, header.epoch, header.device))


def upsert(database: Database, found: AlertNumber, received_at: str) -> None:
    """Takes the message where it is newer than what is known of the alert."""
    header = found.header
    row = (
        header.device, found.alert_id, header.session, header.device, header.epoch, header.seq, found.phase,
        found.severity, header.id, header.at, received_at,
    )  # fmt: skip
    database.execute(_UPSERT, row)
