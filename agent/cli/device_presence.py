"""State and presence of one device, derived from its messages (docs/decisions/0028).

Only a last will is judged by its session. Any other message counts, whatever its session: a device with a new
storage card begins at session 1 again. A retained message is the last known state, aged by its own time
stamp; only a live message proves that the device is present.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.runtime.sanitize import as_dict, as_list, printable

HEALTH_EVERY_S = 60.0
"""Used where ``birth`` gives no interval."""
SILENT_AFTER_INTERVALS = 2.5
"""A device is silent after this many health intervals without a live message."""
MAX_CLOCK_LEAD = timedelta(minutes=1)
"""A time stamp further in the future is not trusted."""
SEVERITIES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
"""Most severe first, with colours."""


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
    simulated: bool = False
    """Whether its last message came from a simulation."""

    def update(
        self, topic: str, body: dict[str, Any], *, retained: bool, now_s: float, now: datetime
    ) -> bool:
        """Takes one message. False for an outdated last will, which changes nothing."""
        is_will = topic == "status" and body.get("state") == "offline"
        if is_will and self.is_older_connection(body):
            return False
        self.simulated = body.get("simulated") is True
        if not is_will:
            self._update_last_seen(body, retained, now_s, now)
        if topic == "status":
            self.state = printable(body.get("state"))
            self.reasons = list(map(printable, as_list(body.get("reasons"))))
            self.will = body if is_will else None
        elif topic == "birth":
            self._update_birth(body, retained)
        elif topic == "health":
            parts = map(as_dict, as_list(body.get("parts")))
            self.parts = [_describe_part(part) for part in parts if _has_problem(part)]
        elif topic == "position" and (position := _describe_position(body)):
            self.position = position
        elif topic == "alerts/active":
            self.alerts = sorted(map(as_dict, as_list(body.get("alerts"))), key=_urgency)
        return True

    def _update_last_seen(self, body: dict[str, Any], retained: bool, now_s: float, now: datetime) -> None:
        """Records the time of a message. A live message revokes an earlier last will."""
        at = parse_instant(body.get("at"))
        synchronised = as_dict(body.get("clock")).get("source") != "unsynced"
        if at is not None and synchronised and at <= now + MAX_CLOCK_LEAD:
            self.last_stamped_at = max(at, self.last_stamped_at or at)
        if not retained:
            self.last_live_s = now_s
            if self.will is not None:
                self._revoke_will()

    def _update_birth(self, body: dict[str, Any], retained: bool) -> None:
        born_at = parse_instant(body.get("at"))
        if retained and self.born_at is not None and (born_at is None or born_at < self.born_at):
            return
        session = body.get("session")
        self.session = session if isinstance(session, int) else None
        self.born_at = born_at
        every_s = as_dict(body.get("reporting")).get("health_every_s")
        if isinstance(every_s, int | float) and 1 <= every_s <= 86_400:
            self.health_every_s = float(every_s)
        if self.state == "?" or (self.will is not None and self.is_older_connection(self.will)):
            self._revoke_will()

    def _revoke_will(self) -> None:
        self.will, self.state, self.reasons = None, "online", []

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


def _urgency(alert: dict[str, Any]) -> tuple[int, str]:
    """Most severe first, then the oldest."""
    order = list(SEVERITIES)
    severity = alert.get("severity")
    place = order.index(severity) if isinstance(severity, str) and severity in order else len(order)
    return place, str(alert.get("since", ""))


def _has_problem(part: dict[str, Any]) -> bool:
    """Whether the part is not running, sends no data, or sends invalid data."""
    return part.get("running") == "waiting" or part.get("speaking") is False or part.get("valid") is False


def _describe_part(part: dict[str, Any]) -> str:
    """The state of a part, in a few words."""
    states = [printable(part.get("running"))]
    states += ["silent"] if part.get("speaking") is False else []
    states += ["damaged"] if part.get("valid") is False else []
    return f"{printable(part.get('part'))}: {', '.join(states)}"


def _describe_position(body: dict[str, Any]) -> str:
    """Latitude, longitude and mode; empty without a position."""
    lat, lon = body.get("lat"), body.get("lon")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return ""
    return f"{lat:.5f} {lon:.5f} {printable(body.get('mode', ''))}"
