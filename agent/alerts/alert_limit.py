"""The limit on alerts of rules whose keys come from outside (vessels, drones). Pure.

At most `MAX_ALERTS` alerts of a rule are active, besides those that have cleared and wait for an answer, and
at most as many begin within `WINDOW_S`. Findings beyond that are counted in one alert under `FURTHER`. So a
sender that forges a thousand beacons ends no alert and fills no link.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime

from agent.alerts.active_alert import ActiveAlert
from agent.alerts.alert import FURTHER, AlertPolicy
from agent.domain.findings import Finding

MAX_ALERTS, WINDOW_S = 50, 600.0
MAX_COUNTED = 10_000
"""Findings beyond the limit are counted up to this number."""


class AlertLimit:
    """For each rule: when its latest alerts began, and the keys that have no alert of their own."""

    def __init__(self) -> None:
        self._begun: dict[str, deque[float]] = {}
        self._further: dict[str, OrderedDict[str, float]] = {}  # by rule: key, and when it was last found

    def began(self, rule: str, now_s: float) -> None:
        """Counts a new alert of ``rule``."""
        self._begun.setdefault(rule, deque(maxlen=MAX_ALERTS)).append(now_s)

    def admits(self, rule: str, active: Iterable[ActiveAlert], now_s: float) -> bool:
        """Whether ``rule`` may begin another alert; ``active`` are its entries but the one for the rest."""
        begun = self._begun.get(rule)
        if begun and len(begun) >= MAX_ALERTS and now_s - begun[0] < WINDOW_S:
            return False
        entries = list(active)
        holding = sum(not entry.alert.cleared for entry in entries)
        return holding < MAX_ALERTS and len(entries) < 4 * MAX_ALERTS

    def counts(self, rule: str) -> bool:
        """Whether findings of ``rule`` are counted beyond the limit."""
        return rule in self._further

    def count(self, policy: AlertPolicy, finding: Finding, at: datetime, now_s: float) -> Finding | None:
        """Counts a finding beyond the limit; the finding for the rest, None if it was counted before."""
        further = self._further.setdefault(policy.rule, OrderedDict())
        known = finding.key in further
        further[finding.key] = now_s
        further.move_to_end(finding.key)
        if known:
            return None
        if len(further) > MAX_COUNTED:
            further.popitem(last=False)
        number = f"{len(further)}{' or more' if len(further) >= MAX_COUNTED else ''}"
        return Finding(
            key=FURTHER,
            text=f"{number} further {policy.flood_label}: too many at a time to tell each",
            since=min(finding.since, at),
            source=finding.source,
            count=len(further),
        )

    def uncount(self, rule: str, key: str) -> bool:
        """Removes a key from the rest; True where it was the last of its rule."""
        further = self._further.get(rule)
        if further is None or further.pop(key, None) is None:
            return False
        return self._emptied(rule)

    def expire(self, now_s: float) -> list[str]:
        """Removes keys not found for `WINDOW_S`; the rules that have none left."""
        emptied = []
        for rule, further in list(self._further.items()):
            while further and now_s - next(iter(further.values())) > WINDOW_S:
                further.popitem(last=False)
            if self._emptied(rule):
                emptied.append(rule)
        return emptied

    def forget_further(self, rule: str) -> None:
        """Forgets the keys beyond the limit: the rule starts anew."""
        self._further.pop(rule, None)

    def forget(self, rule: str) -> None:
        """Forgets a rule that was removed."""
        self._further.pop(rule, None)
        self._begun.pop(rule, None)

    def _emptied(self, rule: str) -> bool:
        if self._further[rule]:
            return False
        del self._further[rule]
        return True
