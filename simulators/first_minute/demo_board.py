"""What the page of the demo shows of the messages that the centre has committed. Pure but for its clock."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agent.runtime.sanitize import as_dict, as_list, printable

SHOWN = 30
RESCUE_RULE = "east-railing"


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An alert message. ``seconds``: from the frame or the byte to the commit at the centre."""

    alert_id: str
    rule: str
    phase: str
    severity: str
    text: str
    received_at: datetime
    seconds: float | None


@dataclass(slots=True)
class DemoBoard:
    """`take` gets each committed message."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lines: deque[AlertLine] = field(default_factory=lambda: deque(maxlen=SHOWN))
    """The newest first."""
    active: dict[str, AlertLine] = field(default_factory=dict)
    """By alert id."""
    state: str = "offline"
    reasons: list[str] = field(default_factory=list)
    rescue_began_at: datetime | None = None
    """When the present alert of the railing came; None while there is none."""
    pushed: str = ""
    """What became of the last push."""
    number: int = 0
    """Counts messages, so that a page knows when to draw anew."""
    _ids: set[str] = field(default_factory=set)

    @property
    def committed(self) -> int:
        """Alert messages that the centre has committed, each once."""
        return len(self._ids)

    def take(self, _device: str, topic: str, body: dict[str, Any]) -> None:
        """A committed message of the device."""
        self.number += 1
        if topic == "alert":
            self._take_alert(body)
        elif topic == "status":
            self.state = str(body.get("state"))
            self.reasons = [printable(reason) for reason in as_list(body.get("reasons"))]
        elif topic == "config/reported":
            reason = printable(body.get("reason") or "")
            if not self.pushed and body.get("state") == "applied":
                return  # the report of the start
            self.pushed = f"{body.get('state')}: {reason}" if reason else str(body.get("state"))

    def _take_alert(self, body: dict[str, Any]) -> None:
        if body.get("id") in self._ids:
            return
        self._ids.add(str(body.get("id")))
        alert = as_dict(body.get("alert"))
        received_at = self.now()
        line = AlertLine(
            alert_id=str(alert.get("alert_id")),
            rule=printable(alert.get("rule")),
            phase=str(alert.get("phase")),
            severity=str(alert.get("severity")),
            text=printable(alert.get("text")),
            received_at=received_at,
            seconds=_age_s(body, received_at),
        )
        self.lines.appendleft(line)
        if line.phase == "end":
            self.active.pop(line.alert_id, None)
        else:
            self.active[line.alert_id] = line
        if line.rule == RESCUE_RULE:
            if line.phase == "new":
                self.rescue_began_at = received_at
            elif line.phase == "end":
                self.rescue_began_at = None


def _age_s(body: dict[str, Any], received_at: datetime) -> float | None:
    """Seconds since the ``at`` of a message; None where it is malformed."""
    try:
        return (received_at - datetime.fromisoformat(str(body["at"]))).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
