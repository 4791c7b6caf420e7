"""When an active alert is announced again: changes soon, the unchanged at growing intervals.

A rule may state the same finding each second for days (a silent source, a displaced post). Sent each time,
one alert would cost 0.4 MB per hour, and alerts are exempt from the byte budget. The device's own location is
reported in ``position``.
"""

import re
from dataclasses import dataclass
from typing import Self

from agent.alerts.alert import FURTHER, Alert, AnswerContent
from agent.domain.escalation import Severity
from agent.domain.findings import Point
from firmware_bridge.wgs84 import distance_m
from models.detection import Box

UPDATE_EVERY_S, MAX_INTERVAL_S = 10.0, 600.0
"""An unchanged alert is announced again after the first, then at doubled intervals up to the second. A new
text or place (`MOVED_M`) goes out after the first; a change of state after `CHANGE_AFTER_S`."""
CHANGE_AFTER_S = 1.0
MOVED_M = 10.0
"""A finding has moved if it is farther from its announced place than this and than the error of both."""


@dataclass(frozen=True, slots=True)
class Announced:
    """The parts of an announced alert that count as changes: ``at_once`` soon, the others later."""

    at_once: tuple[int | None, str | None, Severity, bool, AnswerContent | None]
    """Count, zone, severity, cleared, answer."""
    words: str
    place: Point | None
    box: Box | None

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """The text counts without its figures, as most texts contain a running duration."""
        finding = alert.finding
        words = re.sub(r"[\d.]+( ?(s|min|h|d)\b)?", "", alert.text)
        count = None if finding.key == FURTHER else finding.count  # a flood changes its count all the time
        answer = alert.acknowledged.content if alert.acknowledged else None
        at_once = (count, finding.zone, alert.severity, alert.cleared, answer)
        return cls(at_once, words, finding.point, finding.box)

    @property
    def cleared(self) -> bool:
        """Whether the alert was announced as cleared."""
        return self.at_once[3]

    def intervals(self, previous: Self | None, interval_s: float) -> tuple[float, float]:
        """Seconds until this may follow ``previous``, and the interval for the unchanged alert after it."""
        if previous is None or self.at_once != previous.at_once:
            return CHANGE_AFTER_S, UPDATE_EVERY_S
        if self.words != previous.words or self._moved_from(previous):
            return UPDATE_EVERY_S, UPDATE_EVERY_S
        return interval_s, min(2 * interval_s, MAX_INTERVAL_S)

    def _moved_from(self, previous: Self) -> bool:
        """On the ground; in the picture where no place on the ground is known."""
        if self.place is None and previous.place is None:
            return self.box is not None and (previous.box is None or _disjoint(previous.box, self.box))
        return _moved(previous.place, self.place)


def _disjoint(a: Box, b: Box) -> bool:
    """Whether two boxes do not overlap."""
    return a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def _moved(before: Point | None, now: Point | None) -> bool:
    """Whether the place has certainly changed."""
    if before is None or now is None:
        return now is not None
    off_m = distance_m((before.lat, before.lon), (now.lat, now.lon))
    return off_m > max(MOVED_M, before.error_m or 0.0, now.error_m or 0.0)
