"""A measured quantity is too high or too low, or changes too fast: shallow water, a river that rises."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration, human_duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.domain.references import Channel
from agent.rules.hold_timer import hold_timer
from firmware_bridge.readings import Reading

WAYS = ("above", "below", "rises", "falls")
Check: TypeAlias = Callable[[Reading, float, str | None], tuple[str | None, str]]
"""A reading, its monotonic instant and what was wrong before, to what is wrong now (None: nothing, `UNKNOWN`:
too little was heard to say) and in which words."""
UNKNOWN = "unknown"
PARTS = 60
"""So many parts of ``within`` are remembered, each with its lowest and highest value."""


class Threshold(SourceRule):
    """A finding while ``quantity`` of ``source`` has been over ``above`` or under ``below`` for ``hold``.

    Or while it has risen or fallen by so much ``within`` a time. Limits are in the reading's own unit. It is
    over once the value is back by ``hysteresis``, so that one that hovers at the limit is one alert. A source
    that falls silent decides nothing: that is `silence`.
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
            raise ValueError(f"with hysteresis {self.hysteresis:g} a change would never be over: lower it")
        low = self.below + self.hysteresis if self.below is not None else -math.inf
        high = self.above - self.hysteresis if self.above is not None else math.inf
        if low > high:
            raise ValueError("below and above leave no value that is fine: widen them, or lower hysteresis")
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
        held = {(key, way): hold_timer(self.hold) for key, _ in checks for way in WAYS}

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            value = observation.value
            if observation.source != self.source or not isinstance(value, Reading):
                return
            if value.quantity != self.quantity:
                return
            for key, check in checks:
                way, said = check(value, observation.mono_s, crossed.get(key))
                if way == UNKNOWN:
                    continue
                crossed[key] = way
                begun = [held[key, one](one == way, observation) for one in WAYS]
                since = next((one for one in begun if one is not None), None)
                if way is None:
                    yield Cleared(key)
                elif since is not None:
                    yield Finding(
                        key=key,
                        text=f"{self.quantity.replace('_', ' ')} {said}",
                        since=since[0],
                        since_s=since[1],
                        source=self.source,
                        memo={"way": way},
                    )

        return evaluate

    def _limits(self, reading: Reading, _now_s: float, crossed: str | None) -> tuple[str | None, str]:
        """Which limit is broken; the one that was broken before is only left by the hysteresis."""
        value, slack = reading.value, self.hysteresis
        said = f"{value:g} {reading.unit}"
        if self.above is not None and value > self.above - (slack if crossed == "above" else 0):
            return "above", f"{said}, above {self.above:g}"
        if self.below is not None and value < self.below + (slack if crossed == "below" else 0):
            return "below", f"{said}, below {self.below:g}"
        return None, ""

    def _changes(self, within_s: float) -> Check:
        """What it rose or fell by, from its lowest and highest value within the time."""
        past: deque[tuple[float, float, float]] = deque()  # begin of a part, lowest, highest
        first_s: float | None = None

        def check(reading: Reading, now_s: float, crossed: str | None) -> tuple[str | None, str]:
            nonlocal first_s
            first_s = now_s if first_s is None else first_s
            value, slack = reading.value, self.hysteresis
            while past and now_s - past[0][0] > within_s:
                past.popleft()
            if past and now_s - past[-1][0] < within_s / PARTS:
                begin, low, high = past.pop()
                past.append((begin, min(low, value), max(high, value)))
            else:
                past.append((now_s, value, value))
            rise, fall = value - min(part[1] for part in past), max(part[2] for part in past) - value
            said = f"{{:.3g}} {reading.unit} within {human_duration(within_s)}, now {value:g}"
            if self.rises_by is not None and rise >= self.rises_by - (slack if crossed == "rises" else 0):
                return "rises", f"rose by {said.format(rise)}"
            if self.falls_by is not None and fall >= self.falls_by - (slack if crossed == "falls" else 0):
                return "falls", f"fell by {said.format(fall)}"
            return (UNKNOWN if now_s - first_s < within_s else None), ""

        return check
