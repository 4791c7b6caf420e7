"""How long alerts took, step by step, from the frame or byte to the broker's acknowledgement.

    frame_to_detection     in the source: waiting for its turn, inference, tracking
    detection_to_finding   in the rule, of a new alert: a dwell is meant to take its time, so this is no part
                           of the sum
    finding_to_outbox      until it is safe on the disk, or handed out from memory where the disk hangs
    outbox_to_sent         until it is on the wire; an outage of the link is in here
    sent_to_acknowledged   until the broker has it

Pure: the monotonic clock comes in with each call.
"""

import statistics
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

REMEMBERED = 200
"""Alerts that a rule's percentiles are made of."""
UNDER_WAY = 2_000
RULE_STEP = "detection_to_finding"


@dataclass(slots=True)
class _Alert:
    rule: str
    found_s: float
    steps: dict[str, float]
    kept_s: float | None = None


@dataclass(slots=True)
class _Rule:
    totals: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    steps: dict[str, deque[float]] = field(default_factory=dict)


class LatencyLedger:
    """The ledger: one entry for each alert under way, and what each rule's last alerts took."""

    def __init__(self) -> None:
        self._under_way: OrderedDict[str, _Alert] = OrderedDict()
        self._rules: dict[str, _Rule] = {}

    def on_alert(self, message_id: str, rule: str, steps: Mapping[str, float], now_s: float) -> None:
        """An alert was made; ``steps`` (ms) are those before it."""
        self._under_way[message_id] = _Alert(rule, now_s, dict(steps))
        while len(self._under_way) > UNDER_WAY:
            self._under_way.popitem(last=False)

    def on_stored(self, message_id: str, now_s: float) -> None:
        """It is safe on the disk, or is handed out: whichever is heard of first."""
        alert = self._under_way.get(message_id)
        if alert is not None and alert.kept_s is None:
            alert.kept_s = now_s
            alert.steps["finding_to_outbox"] = (now_s - alert.found_s) * 1000

    def on_send(self, message_id: str, now_s: float) -> dict[str, float]:
        """It is about to be sent: what it can say of itself beside what was known when it was made; ms.

        It may be so before anybody says that it is kept: the disk hangs, or the link was the quicker.
        """
        self.on_stored(message_id, now_s)
        alert = self._under_way.get(message_id)
        if alert is None:
            return {}
        return {"finding_to_outbox": round(alert.steps["finding_to_outbox"], 1)}

    def acknowledged(self, message_id: str, sent_s: float, now_s: float) -> None:
        """The broker has it. One from before a restart is not known here, and not counted."""
        alert = self._under_way.pop(message_id, None)
        if alert is None or alert.kept_s is None:
            return
        alert.steps["outbox_to_sent"] = max(0.0, sent_s - alert.kept_s) * 1000
        alert.steps["sent_to_acknowledged"] = (now_s - sent_s) * 1000
        rule = self._rules.setdefault(alert.rule, _Rule())
        rule.totals.append(sum(ms for step, ms in alert.steps.items() if step != RULE_STEP))
        for step, ms in alert.steps.items():
            rule.steps.setdefault(step, deque(maxlen=REMEMBERED)).append(ms)

    def keep_rules(self, names: frozenset[str]) -> None:
        """Forgets rules that are no more."""
        self._rules = {name: rule for name, rule in self._rules.items() if name in names}

    def fields(self) -> dict[str, Any]:
        """Of each rule: how many alerts, p50 and p95 of their sum, p50 of each step; ms."""
        return {
            name: {
                "alerts": len(rule.totals),
                "p50": _percentile(rule.totals, 50),
                "p95": _percentile(rule.totals, 95),
                "steps": {step: _percentile(taken, 50) for step, taken in rule.steps.items()},
            }
            for name, rule in sorted(self._rules.items())
        }

    def troubles(self, budget_s: float) -> Iterator[str]:
        """Rules whose alerts take longer than they may."""
        for name, rule in sorted(self._rules.items()):
            if _percentile(rule.totals, 95) > budget_s * 1000:
                yield f"alerts of {name} take longer than {budget_s:g} s (p95)"


def _percentile(values: deque[float], share: int) -> float:
    if len(values) == 1:
        return round(values[0], 1)
    return round(statistics.quantiles(values, n=100, method="inclusive")[share - 1], 1)
