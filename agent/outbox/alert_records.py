"""What became of alerts, as the disk knows it: counts, and the latest messages with their receipts."""

from dataclasses import dataclass
from datetime import UTC, datetime

from agent.outbox.alert_storage import AlertStorage
from agent.outbox.losses import LostAlerts


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """Alerts that have no receipt yet: on disk, and in memory where the disk refuses; and lost ones."""

    on_disk: int
    in_memory: int
    lost: LostAlerts


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """One message about an alert; ``receipt_at`` is None where the centre has not confirmed it."""

    id: str
    body: bytes
    receipt_at: datetime | None = None


def stored_counts(alerts: AlertStorage) -> StoredCounts:
    """The counts of this instant; does not touch the disk."""
    disk, memory = alerts.store.count("alert"), alerts.memory.count("alert")
    if alerts.store.path is None:  # a copy in memory
        disk, memory = 0, disk + memory
    return StoredCounts(disk, memory, alerts.losses.alerts)


def latest_alerts(alerts: AlertStorage, limit: int) -> list[StoredAlert]:
    """The ``limit`` newest messages about alerts, the newest first. OSError where the disk fails."""
    found: list[StoredAlert] = []
    for store in (alerts.memory, alerts.store):
        rows = store.database.rows(
            "SELECT id, body, kept_at FROM ("
            " SELECT seq, id, body, NULL AS kept_at FROM owed WHERE lane = 'alert' UNION ALL"
            " SELECT seq, id, body, kept_at FROM kept WHERE lane = 'alert')"
            " ORDER BY seq DESC LIMIT ?",
            (limit - len(found),),
        )
        found += [
            StoredAlert(identity, bytes(body), None if at is None else datetime.fromtimestamp(at, UTC))
            for identity, body, at in rows
        ]
    return found[:limit]
