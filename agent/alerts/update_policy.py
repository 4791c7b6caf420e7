"""When an active alert is told again: what is news goes soon, what is the same ever more seldom.

A rule that speaks each tick for days (a silent source, a post that was moved) would else cost 0.4 MB an hour
and alert, and no byte budget holds back an alert. Where the device itself is stands in ``position``.
"""

import re
from dataclasses import dataclass
from typing import Self

from agent.alerts.alert import Alert, AnswerContent
from agent.domain.escalation import Severity
from agent.domain.findings import Point
from firmware_bridge.wgs84 import distance_m
from models.detection import Box

UPDATE_EVERY_S, UPDATE_AT_LAST_S = 10.0, 600.0
"""An active alert is told again after so long, then after twice as long, at last this often; as soon as the
first where it says something else or is elsewhere (`MOVED_M`), sooner (`CHANGE_AFTER_S`) where it changed."""
CHANGE_AFTER_S = 1.0
FURTHER = "further"
"""The key of the one alert for all that a rule finds beyond the limit of its alerts (`alert_book.MOST`)."""
MOVED_M = 10.0
"""What is farther than this, and than the error of both places, from where it was told is elsewhere."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What of an alert is news when it changes: at once, or (all but the first) a little later."""

    at_once: tuple[int | None, str | None, Severity, bool, AnswerContent | None]
    words: str
    place: Point | None
    box: Box | None

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """Of its text the words count without the figures: most say for how many seconds it has been so."""
        finding = alert.finding
        words = re.sub(r"[\d.]+( ?(s|min|h|d)\b)?", "", alert.text)
        count = None if finding.key == FURTHER else finding.count  # a flood changes it all the time
        said = alert.acknowledged.said if alert.acknowledged else None
        at_once = (count, finding.zone, alert.severity, alert.cleared, said)
        return cls(at_once, words, finding.point, finding.box)

    @property
    def cleared(self) -> bool:
        return self.at_once[3]

    def waits(self, before: Self | None, wait_s: float) -> tuple[float, float]:
        """After how many seconds this may follow ``before``, and how long the same then waits."""
        if before is None or self.at_once != before.at_once:
            return CHANGE_AFTER_S, UPDATE_EVERY_S
        if self.words != before.words or self._elsewhere(before):
            return UPDATE_EVERY_S, UPDATE_EVERY_S
        return wait_s, min(2 * wait_s, UPDATE_AT_LAST_S)

    def _elsewhere(self, before: Self) -> bool:
        """On the ground; in the picture where nobody knows the ground."""
        if self.place is None and before.place is None:
            return self.box is not None and (before.box is None or _apart(before.box, self.box))
        return _moved(before.place, self.place)


def _apart(one: Box, other: Box) -> bool:
    """Whether nothing of the one is in the other."""
    return one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def _moved(before: Point | None, now: Point | None) -> bool:
    """Whether it is certainly at another place now."""
    if before is None or now is None:
        return now is not None
    off_m = distance_m((before.lat, before.lon), (now.lat, now.lon))
    return off_m > max(MOVED_M, before.error_m or 0.0, now.error_m or 0.0)
