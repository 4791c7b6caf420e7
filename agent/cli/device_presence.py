"""Whether a device is there, from its messages."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

HEALTH_EVERY_S = 60.0
"""Where ``birth`` does not say it."""
SILENT_AFTER = 2.5
"""Health intervals without a live message after which a device is silent."""


@dataclass
class _Device:
    known_s: float
    """When it was first heard of, by the monotonic clock."""
    live_s: float | None = None
    """When its last live message came."""
    said_at: datetime | None = None
    """The newest time stamp of its messages; None where its clock can't be trusted."""
    health_every_s: float = HEALTH_EVERY_S
    session: int | None = None
    """Of the newest birth."""
    born_at: datetime | None = None
    will: dict[str, Any] | None = None
    """The last will that says it is offline, while nothing speaks against it."""
    state: str = "?"
    reasons: list[str] = field(default_factory=list)
    position: str = ""
    parts: list[str] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    told: str = ""
    """What the last printed line said of its state."""

    def outlived(self, will: dict[str, Any]) -> bool:
        """Whether a last will is of a connection before the newest birth."""
        session = will.get("session")
        if self.session is None or not isinstance(session, int) or session == self.session:
            return False
        connected_at = _instant(will.get("connected_at"))
        if self.born_at is not None and connected_at is not None:
            return connected_at < self.born_at
        return session < self.session

    def quiet_s(self, now_s: float, now: datetime) -> float:
        """How long it has said nothing, as far as is known."""
        if self.live_s is not None:
            return now_s - self.live_s
        here_s = now_s - self.known_s
        return here_s if self.said_at is None else max(here_s, (now - self.said_at).total_seconds())

    def standing(self, lasting: bool, now_s: float, now: datetime) -> str:
        """Its state, or since when it is silent."""
        quiet_s = self.quiet_s(now_s, now)
        if lasting or self.state in ("stopped", "offline") or quiet_s <= SILENT_AFTER * self.health_every_s:
            return self.state
        since = now - timedelta(seconds=quiet_s)
        return f"silent since {since:%H:%M}" if quiet_s < 86_400 else f"silent since {since:%Y-%m-%d %H:%M}"


def _instant(value: object) -> datetime | None:
    """An instant with its time zone; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
