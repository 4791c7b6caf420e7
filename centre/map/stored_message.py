"""One message as the centre committed it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.cli.device_presence import MAX_CLOCK_LEAD
from agent.runtime.sanitize import as_dict, json_object
from centre.map.field_values import instant

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """``row`` orders all messages by commit. ``body`` is what a device sent: any JSON object."""

    row: int
    device: str
    topic: str
    received_at: datetime
    made_at: datetime
    """When the device made it: its own time stamp where its clock is synchronised, else the commit."""
    body: dict[str, Any]

    @property
    def historical(self) -> bool:
        return self.body.get("historical") is True

    @property
    def late_without_clock(self) -> bool:
        """Whether it is of the past, and nobody knows of when: `made_at` is that of the commit."""
        return self.historical and as_dict(self.body.get("clock")).get("source") == "unsynced"

    @property
    def simulated(self) -> bool:
        return self.body.get("simulated") is True

    @property
    def under_way(self) -> timedelta:
        """From the device to the commit."""
        return max(self.received_at - self.made_at, timedelta(0))


def parse_row(row: int, device: object, topic: object, received: object, text: object) -> StoredMessage:
    """A row of the database, whoever wrote it; an unreadable body is empty."""
    body = json_object(text.encode("utf-8", "replace")) if isinstance(text, str) else None
    body = body or {}
    received_at = instant(received) or EPOCH
    at = instant(body.get("at"))
    if at is None or as_dict(body.get("clock")).get("source") == "unsynced":
        at = received_at
    made_at = at if at <= received_at + MAX_CLOCK_LEAD else received_at
    return StoredMessage(row, str(device), str(topic), received_at, made_at, body)
