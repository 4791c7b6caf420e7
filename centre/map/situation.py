"""The situation: all forces and alerts, as of one moment. Pure; the time is an argument."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from centre.map.alert_queue import AlertQueue
from centre.map.forces import Forces
from centre.map.queued_alert import QueuedAlert
from centre.map.stored_message import EPOCH, StoredMessage

ALERT_TOPICS = frozenset({"alert", "alerts/active"})
FORCE_TOPICS = frozenset({"will", "status", "birth", "health", "position", "alerts/active"})


@dataclass(frozen=True, slots=True)
class Change:
    """What a batch of messages changed; the forces that changed are in `Forces.changed_since`."""

    forces: bool = False
    alerts: tuple[QueuedAlert, ...] = ()
    new_alarms: tuple[QueuedAlert, ...] = ()
    """Alerts that ask for a person since this batch: the sound."""
    results: tuple[StoredMessage, ...] = ()
    """``command/result``."""


Listener: TypeAlias = Callable[[Change], None]


@dataclass(slots=True, eq=False)
class Situation:
    """Takes messages in the order of their commit."""

    forces: Forces = field(default_factory=Forces)
    alerts: AlertQueue = field(default_factory=AlertQueue)
    row: int = 0
    """The number of the last message applied."""
    at: datetime = EPOCH
    """When that was committed."""

    def apply(self, messages: Iterable[StoredMessage]) -> Change:
        """Takes a batch; says what it changed."""
        changed: dict[tuple[str, str], QueuedAlert] = {}
        results: list[StoredMessage] = []
        forces = False
        for message in messages:
            self.row = max(self.row, message.row)
            self.at = max(self.at, message.received_at)
            topic = message.topic
            if topic in FORCE_TOPICS or topic.startswith("telemetry/"):
                forces = self.forces.apply(message) is not None or forces
            if topic in ALERT_TOPICS:
                changed |= {alert.key: alert for alert in self.alerts.apply(message)}
            elif topic == "command/result":
                results.append(message)
        new_alarms = tuple(alert for alert in changed.values() if alert.alarm and not alert.announced)
        for alert in changed.values():
            alert.announced = alert.alarm
        return Change(forces, tuple(changed.values()), new_alarms, tuple(results))
