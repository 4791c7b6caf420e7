"""A measured quantity is too high, too low, or changes too fast: shallow water, a rising river."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration, human_duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.domain.progress import Progress, lasting, not_met, with_progress
from agent.domain.references import Channel
from agent.rules.hold_timer import hold_timer
from firmware_bridge.readings import Reading

VIOLATIONS = ("above", "below", "rises", "falls")
Check: TypeAlias = Callable[[Reading, float, str | None], tuple[str | None, str]]
"""From a reading, its monotonic time and the violation before, to the violation now (None: none, `UNKNOWN`:
too few readings yet) and its text."""
UNKNOWN = "unknown"
BUCKETS = 60
"""``within`` is divided into so many buckets, each with its lowest and highest value."""


class Threshold(SourceRule):
    """A finding while ``quantity`` of ``source`` has been over ``above`` or under ``below`` for ``hold``.

    Or while it has risen or fallen by so much ``within`` a time. Limits are in the unit of the reading. The
    finding clears once the value is back by ``hysteresis``. A silent source changes nothing: that is the rule
    `silence`.
    """

    value_kind: ClassVar[str | None] = "reading"

    kind: Literal["threshold"] = "threshold"
    quantity: str
    above: float | None = Field(default=None, allow_inf_nan=False)
    below: float | None = Field(default=None, allow_inf_nan=False)
    rises_by: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    falls_by: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    within: Duration | None = Field(default=None, gt=timedelta(0))
    hysteresis: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    hold: Duration = timedelta(0)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        changes = [change for change in (self.rises_by, self.falls_by) if change is not None]
        if self.above is None and self.below is None and not changes:
            raise ValueError("a threshold needs above, below, rises_by or falls_by")
        if bool(changes) != (self.within is not None):
            raise ValueError("rises_by and falls_by go with within, such as rises_by: 0.5, within: 10m")
        if any(change <= self.hysteresis for change in changes):
            raise ValueError(f"with hysteresis {self.hysteresis:g} a change would never clear: lower it")
        low = self.below + self.hysteresis if self.below is not None else -math.inf
        high = self.above - self.hysteresis if self.above is not None else math.inf
        if low > high:
            raise ValueError("below and above leave no normal value: widen them, or lower hysteresis")
        return self

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold + (self.within or timedelta(0))

    @property
    def channel(self) -> Channel:
        return Channel("quantity", "reading", self.quantity)

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        checks: list[tuple[str, Check]] = []
        if self.above is not None or self.below is not None:
            checks.append((self.quantity, self._limits))
        if self.within is not None:
            checks.append((f"{self.quantity} change", self._changes(self.within.total_seconds())))
        crossed: dict[str, str | None] = {
            key: finding.memo["way"] for key, finding in active.items() if finding.memo is not None
        }
        held = {(key, way): hold_timer(self.hold) for key, _ in checks for way in VIOLATIONS}

        latest: Reading | None = None
        begun_s: dict[str, float] = {}

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal latest
            value = observation.value
            if observation.source != self.source or not isinstance(value, Reading):
                return
            if value.quantity != self.quantity:
                return
            latest = value
            for key, check in checks:
                violation, text = check(value, observation.mono_s, crossed.get(key))
                if violation == UNKNOWN:
                    continue
                crossed[key] = violation
                if violation is None:
                    begun_s.pop(key, None)
                else:
                    begun_s.setdefault(key, observation.mono_s)
                starts = [held[key, name](name == violation, observation) for name in VIOLATIONS]
                since = next((start for start in starts if start is not None), None)
                if violation is None:
                    yield Cleared(key)
                elif since is not None:
                    yield Finding(
                        key=key,
                        text=f"{self.quantity.replace('_', ' ')} {text}",
                        since=since[0],
                        since_s=since[1],
                        source=self.source,
                        memo={"way": violation},
                    )

        def tell(_at: datetime, now_s: float) -> Iterable[Progress]:
            if latest is not None:
                yield self._progress(latest, now_s, min(begun_s.values(), default=None))

        return with_progress(evaluate, tell)

    def _progress(self, reading: Reading, now_s: float, begun_s: float | None) -> Progress:
        """How far the rule is with a reading that has violated a limit since ``begun_s``."""
        measured = f"{reading.value:g} {reading.unit}".strip()
        limits = {
            "above": self.above,
            "below": self.below,
            "rise of": self.rises_by,
            "fall of": self.falls_by,
        }
        known = {way: limit for way, limit in limits.items() if limit is not None}
        if begun_s is not None and self.hold:
            return lasting("hold", f"{measured}, for", now_s - begun_s, self.hold.total_seconds())
        text = f"{measured}; {', '.join(f'{way} {limit:g}' for way, limit in known.items())}"
        progress = not_met("limit", text, reading.value, next(iter(known.values())))
        return replace(progress, state="not_met" if begun_s is None else "met", unit=reading.unit)

    def _limits(self, reading: Reading, _now_s: float, crossed: str | None) -> tuple[str | None, str]:
        """The limit that is violated; one violated before clears by the hysteresis only."""
        value, slack = reading.value, self.hysteresis
        measured = f"{value:g} {reading.unit}"
        if self.above is not None and value > self.above - (slack if crossed == "above" else 0):
            return "above", f"{measured}, above {self.above:g}"
        if self.below is not None and value < self.below + (slack if crossed == "below" else 0):
            return "below", f"{measured}, below {self.below:g}"
        return None, ""

    def _changes(self, within_s: float) -> Check:
        """The check of rise and fall, from the lowest and highest value within the time."""
        past: deque[tuple[float, float, float]] = deque()  # start of a bucket, lowest, highest
        first_s: float | None = None

        def check(reading: Reading, now_s: float, crossed: str | None) -> tuple[str | None, str]:
            nonlocal first_s
            first_s = now_s if first_s is None else first_s
            value, slack = reading.value, self.hysteresis
            while past and now_s - past[0][0] > within_s:
                past.popleft()
            if past and now_s - past[-1][0] < within_s / BUCKETS:
                begin, low, high = past.pop()
                past.append((begin, min(low, value), max(high, value)))
            else:
                past.append((now_s, value, value))
            rise, fall = value - min(bucket[1] for bucket in past), max(bucket[2] for bucket in past) - value
            change = f"{{:.3g}} {reading.unit} within {human_duration(within_s)}, now {value:g}"
            if self.rises_by is not None and rise >= self.rises_by - (slack if crossed == "rises" else 0):
                return "rises", f"rose by {change.format(rise)}"
            if self.falls_by is not None and fall >= self.falls_by - (slack if crossed == "falls" else 0):
                return "falls", f"fell by {change.format(fall)}"
            return (UNKNOWN if now_s - first_s < within_s else None), ""

        return check
