"""Active alerts as JSON, for a restart."""

from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from agent.alerts.active_alert import ActiveAlert
from agent.alerts.alert import Alert
from agent.domain.findings import Finding


@dataclass(frozen=True, slots=True)
class SavedAlerts:
    """What is written down: monotonic instants count for the same ``boot`` only."""

    boot: str
    entries: list[ActiveAlert]


SAVED = TypeAdapter(SavedAlerts)


def on_this_clock(alert: Alert, at: datetime, now_s: float) -> Finding:
    """The finding of an alert that was active before a reboot, with its beginning on this monotonic clock."""
    finding = alert.finding
    if finding.since_s is None:
        return finding
    lasted_s = (max(at, alert.at) - finding.since).total_seconds()
    return replace(finding, since_s=now_s - max(0.0, lasted_s))
