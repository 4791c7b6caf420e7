"""Escalation of an unanswered alert: raised again, more severe, with a siren or a light."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.domain.durations import Duration

Severity: TypeAlias = Literal["info", "warning", "critical"]
REPEATS_BEFORE_BACKOFF = 5
"""An alert is raised again so often at the same interval; then each interval doubles."""
MAX_REPEAT_INTERVAL = timedelta(minutes=30)
"""The longest interval between repeats, unless ``repeat`` is longer."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From least to most severe."""


class AlarmOutput(BaseModel):
    """An output of a sensor board that is switched on for ``ttl`` at each repeat of an alert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    name: str
    ttl: Duration = timedelta(seconds=30)


class EscalationSettings(BaseModel):
    """How an alert escalates while it is unanswered, as configured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeat: Duration | None = None
    """Interval of the repeats; the time to the first one, if not set."""
    times: int | None = Field(default=None, ge=1, le=1000)
    """The number of repeats; the last one says that it is the last. If not set, the alert is repeated until
    answered, at growing intervals after `REPEATS_BEFORE_BACKOFF`."""
    severity: Severity = "critical"
    """The least severity of a repeat."""
    output: AlarmOutput | None = None
    fallbacks: bool = False
    """Whether repeats also go to ``broker.fallbacks``."""

    @field_validator("repeat")
    @classmethod
    def _repeat_has_a_minimum(cls, repeat: timedelta | None) -> timedelta | None:
        if repeat is not None and repeat < timedelta(seconds=1):
            raise ValueError("repeat is at least 1s")
        return repeat

    def after(self, wait: timedelta) -> "Escalation":
        """The escalation that starts after ``wait`` without an answer."""
        repeat = self.repeat or wait
        return Escalation(wait, repeat, self.times, self.severity, self.output, self.fallbacks)


@dataclass(frozen=True, slots=True)
class Escalation:
    """`EscalationSettings` with defaults filled in: first ``after``, then every ``repeat``."""

    after: timedelta
    repeat: timedelta
    times: int | None
    severity: Severity
    output: AlarmOutput | None
    fallbacks: bool = False

    def wait(self, raised: int) -> timedelta | None:
        """The wait for an answer after ``raised`` repeats; None after the last one."""
        if self.times is not None:
            if raised >= self.times:
                return None
            return self.repeat if raised else self.after
        if raised < REPEATS_BEFORE_BACKOFF:
            return self.repeat if raised else self.after
        doublings = min(raised - REPEATS_BEFORE_BACKOFF + 1, 16)
        longer: timedelta = self.repeat * 2**doublings
        return min(longer, max(self.repeat, MAX_REPEAT_INTERVAL))

    def waited(self, raised: int) -> timedelta:
        """The total time without an answer at the ``raised``-th repeat."""
        return sum((self.wait(number) or timedelta(0) for number in range(raised)), timedelta(0))
