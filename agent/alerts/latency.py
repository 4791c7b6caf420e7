"""The latency of alerts, step by step, from the frame or byte to the acknowledgement of the broker.

    frame_to_detection     in the source: queueing, inference, tracking
    detection_to_finding   in the rule, for a new alert; not in the sum, as a dwell takes its time on purpose
    finding_to_outbox      until it is on disk, or sent from memory where the disk hangs
    second_look            until its second look is over, where it waits for one
    outbox_to_sent         until it is on the wire; includes an outage of the link
    sent_to_acknowledged   until the broker acknowledges it

Pure: the monotonic time is an argument.
"""

import statistics
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SAMPLES = 200
"""The percentiles of a rule are of so many of its latest alerts."""
TROUBLE_LASTS_S = 600.0
"""An alert that was late counts as a trouble for this long: a rule may have one alert in a year."""
MAX_PENDING = 2_000
RULE_STEP = "detection_to_finding"


@dataclass(slots=True)
class _PendingAlert:
    rule: str
    raised_s: float
    steps: dict[str, float]
    stored_s: float | None = None
    released_s: float | None = None
    """When its second look was over."""


@dataclass(slots=True)
class _RuleLatency:
    totals: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    acknowledged_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    """The monotonic instant of each total."""
    steps: dict[str, deque[float]] = field(default_factory=dict)


class LatencyLedger:
    """Alerts on their way to the broker, and the latency of the latest alerts of each rule."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, _PendingAlert] = OrderedDict()
        self._rules: dict[str, _RuleLatency] = {}
        self._fields: dict[str, Any] | None = None
        """Of `fields`, until an alert changes them: they are asked for each second."""
        self.acknowledgements: dict[str, Callable[[float], None]] = {}
        """By message id: called with the instant (monotonic) at which the broker acknowledges it."""

    def on_alert(self, message_id: str, rule: str, steps: Mapping[str, float], now_s: float) -> None:
        """An alert was raised; ``steps`` are the earlier ones, in ms."""
        self._pending[message_id] = _PendingAlert(rule, now_s, dict(steps))
        while len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    def on_stored(self, message_id: str, now_s: float) -> None:
        """The alert is on disk, or is sent from memory: whichever is first."""
        alert = self._pending.get(message_id)
        if alert is not None and alert.stored_s is None:
            alert.stored_s = now_s
            alert.steps["finding_to_outbox"] = (now_s - alert.raised_s) * 1000

    def on_released(self, message_id: str, now_s: float) -> None:
        """The alert is held for its second look no more."""
        self.on_stored(message_id, now_s)
        alert = self._pending.get(message_id)
        if alert is not None and alert.stored_s is not None and alert.released_s is None:
            alert.released_s = now_s
            alert.steps["second_look"] = (now_s - alert.stored_s) * 1000

    def on_send(self, message_id: str, now_s: float) -> dict[str, float]:
        """The alert is about to be sent: the steps to add to its message, in ms.

        This may come before `on_stored`, where the disk hangs or the link is faster.
        """
        self.on_stored(message_id, now_s)
        alert = self._pending.get(message_id)
        if alert is None:
            return {}
        known = ("finding_to_outbox", "second_look")
        return {step: round(alert.steps[step], 1) for step in known if step in alert.steps}

    def acknowledged(self, message_id: str, sent_s: float, now_s: float) -> None:
        """The broker has the alert. One from before a restart is unknown here and not counted."""
        if callback := self.acknowledgements.get(message_id):
            callback(now_s)
        alert = self._pending.pop(message_id, None)
        if alert is None or alert.stored_s is None:
            return
        ready_s = alert.stored_s if alert.released_s is None else alert.released_s
        alert.steps["outbox_to_sent"] = max(0.0, sent_s - ready_s) * 1000
        alert.steps["sent_to_acknowledged"] = (now_s - sent_s) * 1000
        self._fields = None
        rule = self._rules.setdefault(alert.rule, _RuleLatency())
        rule.totals.append(sum(ms for step, ms in alert.steps.items() if step != RULE_STEP))
        rule.acknowledged_s.append(now_s)
        for step, ms in alert.steps.items():
            rule.steps.setdefault(step, deque(maxlen=SAMPLES)).append(ms)

    def keep_rules(self, names: frozenset[str]) -> None:
        """Forgets rules that are not in ``names``."""
        self._fields = None
        self._rules = {name: rule for name, rule in self._rules.items() if name in names}

    def fields(self) -> dict[str, Any]:
        """For each rule: number of alerts, p50 and p95 of the sum, p50 of each step, in ms."""
        if self._fields is None:
            self._fields = self._calculate()
        return self._fields

    def _calculate(self) -> dict[str, Any]:
        return {
            name: {
                "alerts": len(rule.totals),
                "p50": _percentile(rule.totals, 50),
                "p95": _percentile(rule.totals, 95),
                "steps": {step: _percentile(taken, 50) for step, taken in rule.steps.items()},
            }
            for name, rule in sorted(self._rules.items())
        }

    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """For each rule and step, and for their ``total``: p50 and p99 in ms, of the latest ``n`` alerts."""
        return {
            name: {
                step: {"p50": _percentile(taken, 50), "p99": _percentile(taken, 99), "n": len(taken)}
                for step, taken in {**rule.steps, "total": rule.totals}.items()
            }
            for name, rule in sorted(self._rules.items())
        }

    def troubles(self, budget_s: float, now_s: float) -> Iterator[str]:
        """One line for each rule whose alerts of the last `TROUBLE_LASTS_S` exceed ``budget_s`` (p95)."""
        for name, rule in sorted(self._rules.items()):
            since_s = now_s - TROUBLE_LASTS_S
            timed = zip(rule.totals, rule.acknowledged_s, strict=True)
            latest = deque(total for total, acknowledged_s in timed if acknowledged_s >= since_s)
            if latest and max(latest) > budget_s * 1000 and _percentile(latest, 95) > budget_s * 1000:
                yield f"alerts of {name} take longer than {budget_s:g} s (p95)"


def _percentile(values: deque[float], share: int) -> float:
    if len(values) == 1:
        return round(values[0], 1)
    return round(statistics.quantiles(values, n=100, method="inclusive")[share - 1], 1)
