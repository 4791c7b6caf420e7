"""The silence of one alert, as it is stored with it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agent.domain.escalation import Severity


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence, with the severity that it was given for."""

    until: datetime
    until_s: float
    for_s: float
    reason: str
    severity: Severity

    def fields(self) -> dict[str, Any]:
        return {"until": self.until, "reason": self.reason}

    def on_clock(self, at: datetime, now_s: float) -> "Silence":
        """The silence of before a reboot, on the monotonic clock of this boot."""
        left_s = min(self.for_s, max(0.0, (self.until - at).total_seconds()))
        return replace(self, until_s=now_s + left_s)
