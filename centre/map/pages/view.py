"""What one page looks at: its filter, its choice, and whether it shows the past. Pure."""

from dataclasses import dataclass, field
from datetime import datetime

from centre.map.forces import Filter
from centre.map.queued_alert import QueuedAlert
from centre.map.situation import Situation

MOST_READ = 20_000
"""Alerts of which a page remembers that they were read."""


@dataclass(slots=True, eq=False)
class View:
    """``live`` is the situation that all pages share."""

    live: Situation
    past: Situation | None = None
    past_at: datetime | None = None
    filter: Filter = field(default_factory=Filter)
    states: frozenset[str] = frozenset()
    """Links, and ``stale``; empty: all."""
    alert: tuple[str, str] | None = None
    device: str | None = None
    ended: bool = False
    """Whether the queue shows ended alerts too."""
    read: set[tuple[str, str]] = field(default_factory=set)
    chosen: set[str] = field(default_factory=set)
    """Devices that are to be called out."""

    @property
    def situation(self) -> Situation:
        return self.live if self.past is None else self.past

    def instant(self, now: datetime) -> datetime:
        """The time that is shown."""
        return now if self.past_at is None else self.past_at

    def queue(self) -> list[QueuedAlert]:
        """The alerts of the queue: those of devices that the filter admits."""
        situation = self.situation
        alerts = situation.alerts.all() if self.ended else situation.alerts.unfinished()
        if self.filter == Filter():
            return alerts
        found = []
        for alert in alerts:
            force = situation.forces.get(alert.device)
            if force is None or self.filter.admits(force):  # an alert of an unknown device is never hidden
                found.append(alert)
        return found

    def selected(self) -> QueuedAlert | None:
        return None if self.alert is None else self.situation.alerts.get(*self.alert)

    def select_alert(self, key: tuple[str, str]) -> None:
        """Selects an alert, which is read from then on."""
        if len(self.read) < MOST_READ:
            self.read.add(key)
        self.alert, self.device = key, None
        self.chosen.clear()

    def step(self, way: int) -> tuple[str, str] | None:
        """The alert before or after the selected one in the queue."""
        keys = [alert.key for alert in self.queue()]
        if not keys:
            return None
        if self.alert not in keys:
            return keys[0]
        return keys[min(max(keys.index(self.alert) + way, 0), len(keys) - 1)]
