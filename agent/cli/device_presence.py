"""State and presence of one device, derived from its messages (docs/decisions/0028).

Only a last will is judged by its session. Any other message counts, whatever its session: a device with a new
storage card begins at session 1 again. A retained message is the last known state, aged by its own time
stamp; only a live message proves that the device is present.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

HEALTH_EVERY_S = 60.0
"""Used where ``birth`` gives no interval."""
SILENT_AFTER_INTERVALS = 2.5
"""A device is silent after this many health intervals without a live message."""


@dataclass
class DevicePresence:
    """The last known state of a device, and when it sent its last message."""

    first_seen_s: float
    """Time of the first message, by the monotonic clock."""
    last_live_s: float | None = None
    """Time of the last live message."""
    last_stamped_at: datetime | None = None
    """Newest time stamp of its messages; None while its clock is unsynchronised."""
    health_every_s: float = HEALTH_EVERY_S
    session: int | None = None
    """Session of the newest ``birth``."""
    born_at: datetime | None = None
    will: dict[str, Any] | None = None
    """The last will in force; None after any later message."""
    state: str = "?"
    reasons: list[str] = field(default_factory=list)
    position: str = ""
    parts: list[str] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    printed: str = ""
    """The state as last printed."""

    def is_older_connection(self, will: dict[str, Any]) -> bool:
        """Whether a last will belongs to a connection older than the newest ``birth``."""
        session = will.get("session")
        if self.session is None or not isinstance(session, int) or session == self.session:
            return False
        connected_at = parse_instant(will.get("connected_at"))
        if self.born_at is not None and connected_at is not None:
            return connected_at < self.born_at
        return session < self.session

    def silence_s(self, now_s: float, now: datetime) -> float:
        """Seconds since the last message, as far as known."""
        if self.last_live_s is not None:
            return now_s - self.last_live_s
        since_first_s = now_s - self.first_seen_s
        return (
            since_first_s
            if self.last_stamped_at is None
            else max(since_first_s, (now - self.last_stamped_at).total_seconds())
        )

    def describe(self, never_silent: bool, now_s: float, now: datetime) -> str:
        """The state, or since when the device is silent; ``never_silent`` for the centre."""
        silence_s = self.silence_s(now_s, now)
        if (
            never_silent
            or self.state in ("stopped", "offline")
            or silence_s <= SILENT_AFTER_INTERVALS * self.health_every_s
        ):
            return self.state
        since = now - timedelta(seconds=silence_s)
        return f"silent since {since:%H:%M}" if silence_s < 86_400 else f"silent since {since:%Y-%m-%d %H:%M}"


def parse_instant(value: object) -> datetime | None:
    """An ISO 8601 instant with a time zone, in UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
        return instant.astimezone(UTC) if instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
