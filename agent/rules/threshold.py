"""A measured quantity is too high or too low: shallow water, a hot cabinet, a low battery."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from agent.durations import Duration
from agent.observations import Observation
from agent.parts import Finding, Judge, Over, RulePart
from firmware_bridge.readings import Reading


class Threshold(RulePart):
    """A finding while ``quantity`` of ``source`` has been over ``above`` or under ``below`` for ``hold``.

    Limits are in the reading's own unit. It is over once the value is back by ``hysteresis``, so that one
    that hovers at the limit is one alert. A source that falls silent decides nothing: that is `silence`.
    """

    hears: ClassVar[str | None] = "reading"

    kind: Literal["threshold"] = "threshold"
    source: str
    quantity: str
    above: float | None = Field(default=None, allow_inf_nan=False)
    below: float | None = Field(default=None, allow_inf_nan=False)
    hysteresis: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    hold: Duration = timedelta(0)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("a threshold needs above, below, or both")
        low = self.below + self.hysteresis if self.below is not None else -math.inf
        high = self.above - self.hysteresis if self.above is not None else math.inf
        if low > high:
            raise ValueError("below and above leave no value that is fine: widen them, or lower hysteresis")
        return self

    def start(self) -> Judge:
        since: tuple[datetime, float] | None = None
        crossed: str | None = None

        def broken(value: float) -> str | None:
            """Which limit is broken; the one that was broken before is only left by the hysteresis."""
            slack = self.hysteresis
            if self.above is not None and value > self.above - (slack if crossed == "above" else 0):
                return "above"
            if self.below is not None and value < self.below + (slack if crossed == "below" else 0):
                return "below"
            return None

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            nonlocal since, crossed
            value = observation.value
            if observation.source != self.source or not isinstance(value, Reading):
                return
            if value.quantity != self.quantity:
                return
            before, crossed = crossed, broken(value.value)
            if crossed is None:
                since = None
                yield Over(self.quantity)
                return
            if since is None or crossed != before:
                since = (observation.at, observation.mono_s)
            if observation.mono_s - since[1] >= self.hold.total_seconds():
                limit = self.above if crossed == "above" else self.below
                name = self.quantity.replace("_", " ")
                yield Finding(
                    key=self.quantity,
                    text=f"{name} {value.value:g} {value.unit}, {crossed} {limit:g}",
                    since=since[0],
                    since_s=since[1],
                    source=self.source,
                )

        return judge
