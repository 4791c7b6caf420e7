"""The alerts of all devices as a queue: what asks for a person first stands first. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime

from agent.runtime.sanitize import as_dict, as_list
from centre.map.queued_alert import QueuedAlert, listed_ids
from centre.map.stored_message import StoredMessage

MAX_ALERTS = 20_000
"""A device that raises alerts without end pushes out ended ones first, then its own."""
MAX_OF_A_DEVICE = 2_000
ALERT_ID = re.compile(r"[A-Za-z0-9_.:~-]{1,64}")
"""Anything else is not an id, but is counted as malformed."""


class AlertQueue:
    """Takes ``alert`` and ``alerts/active``, by commit. An alert that has an id is never dropped while open,
    unless its device has `MAX_OF_A_DEVICE`."""

    def __init__(self) -> None:
        self._alerts: dict[tuple[str, str], QueuedAlert] = {}
        self._of_device: dict[str, set[str]] = {}
        self._version = 0
        self.malformed = 0
        """Messages of ``alert`` without a usable id."""
        self.left_out = 0
        """Open alerts that were dropped for want of room."""

    def __len__(self) -> int:
        return len(self._alerts)

    @property
    def version(self) -> int:
        """Grows with each change of an alert."""
        return self._version

    def get(self, device: str, alert_id: str) -> QueuedAlert | None:
        return self._alerts.get((device, alert_id))

    def all(self) -> list[QueuedAlert]:
        """In the order of the queue."""
        return sorted(self._alerts.values(), key=QueuedAlert.order)

    def unfinished(self) -> list[QueuedAlert]:
        """Open and acknowledged ones, in the order of the queue."""
        return [alert for alert in self.all() if alert.state != "ended"]

    def alarms(self) -> list[QueuedAlert]:
        """Those that ask for a person now."""
        return [alert for alert in self.all() if alert.alarm]

    def of_device(self, device: str) -> list[QueuedAlert]:
        """The alerts of one device, in the order of the queue."""
        ids = self._of_device.get(device, set())
        return sorted((self._alerts[device, one] for one in ids), key=QueuedAlert.order)

    def between(self, begin: datetime, end: datetime) -> list[QueuedAlert]:
        """The alerts that began or were open in a time, the oldest first."""
        found = (
            alert
            for alert in self._alerts.values()
            if alert.began_at <= end and (alert.state != "ended" or alert.updated_at >= begin)
        )
        return sorted(found, key=lambda alert: (alert.began_at, alert.key))

    def apply(self, message: StoredMessage) -> list[QueuedAlert]:
        """Takes one message; gives the alerts that changed."""
        if message.topic == "alert":
            alert = self._alert(message, as_dict(message.body.get("alert")).get("alert_id"))
            if alert is None:
                self.malformed += 1
                return []
            alert.update(message)
            return self._changed([alert])
        if message.topic == "alerts/active":
            return self._changed(list(self._apply_list(message)))
        return []

    def touch(self, device: str, alert_id: str) -> None:
        """Something about an alert changed beside it, such as a note."""
        if (alert := self.get(device, alert_id)) is not None:
            self._changed([alert])

    def _apply_list(self, message: StoredMessage) -> Iterable[QueuedAlert]:
        """The list of a device is complete unless it counts more: what it lacks is over."""
        body, made_at = message.body, message.made_at
        for fields in map(as_dict, as_list(body.get("alerts"))):
            alert = self._alert(message, fields.get("alert_id"))
            if alert is None or alert.phase == "end" or (alert.phase and alert.updated_at > made_at):
                continue
            alert.listed = True
            alert.historical = alert.historical and message.historical
            alert.simulated = alert.simulated or message.simulated
            alert.read(fields)
            yield alert
        listed = listed_ids(body)
        if message.late_without_clock or body.get("count") != len(as_list(body.get("alerts"))):
            return
        for alert_id in self._of_device.get(message.device, set()) - listed:
            alert = self._alerts[message.device, alert_id]
            if alert.state != "ended" and alert.updated_at < made_at and not alert.is_newer(body):
                alert.listed = False
                yield alert

    def _alert(self, message: StoredMessage, alert_id: object) -> QueuedAlert | None:
        if not isinstance(alert_id, str) or not ALERT_ID.fullmatch(alert_id):
            return None
        alert = self._alerts.get((message.device, alert_id))
        if alert is None:
            alert = QueuedAlert(message.device, alert_id, message.received_at, message.made_at)
            self._alerts[alert.key] = alert
            self._of_device.setdefault(message.device, set()).add(alert_id)
            if len(self._of_device[message.device]) > MAX_OF_A_DEVICE:
                self._drop(self.of_device(message.device), besides=alert)
            elif len(self._alerts) > MAX_ALERTS:
                self._drop(self.all(), besides=alert)
        return alert

    def _drop(self, alerts: list[QueuedAlert], besides: QueuedAlert) -> None:
        """Drops the last twentieth of ``alerts``: sorting them for each new one would take too long."""
        for alert in alerts[-max(1, len(alerts) // 20) :]:
            if alert is not besides:
                self.left_out += alert.state != "ended"
                del self._alerts[alert.key]
                self._of_device[alert.device].discard(alert.alert_id)

    def _changed(self, alerts: list[QueuedAlert]) -> list[QueuedAlert]:
        for alert in alerts:
            self._version += 1
            alert.version = self._version
        return alerts
