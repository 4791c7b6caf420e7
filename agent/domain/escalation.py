"""What happens to an alert that nobody answers: raised again, louder, with a siren or a light."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.domain.durations import Duration

Severity: TypeAlias = Literal["info", "warning", "critical"]
REPEATS_BEFORE_BACKOFF = 5
"""So many times it is raised again at the same interval; then each interval is twice the one before."""
MAX_REPEAT_INTERVAL = timedelta(minutes=30)
"""The longest interval, unless ``repeat`` is longer."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From the least to the worst."""


class AlarmOutput(BaseModel):
    """An output of a sensor board, switched on for ``ttl`` each time that an alert is raised again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    name: str
    ttl: Duration = timedelta(seconds=30)


class EscalationSettings(BaseModel):
    """What happens while nobody answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeat: Duration | None = None
    """Raised again this often; as often as the first time, if it is not set."""
    times: int | None = Field(default=None, ge=1, le=1000)
    """Raised again so many times and no more, and the last one says so; if it is not set, until somebody
    answers, after `REPEATS_BEFORE_BACKOFF` times ever more seldom."""
    severity: Severity = "critical"
    """At least this severe, once it was raised again."""
    output: AlarmOutput | None = None
    fallbacks: bool = False
    """Told at broker.fallbacks too."""

    @field_validator("repeat")
    @classmethod
    def _not_all_the_time(cls, repeat: timedelta | None) -> timedelta | None:
        if repeat is not None and repeat < timedelta(seconds=1):
            raise ValueError("repeat is at least 1s")
        return repeat

    def after(self, wait: timedelta) -> "Escalation":
        """This, when nobody answered for ``wait``."""
        repeat = self.repeat or wait
        return Escalation(wait, repeat, self.times, self.severity, self.output, self.fallbacks)


@dataclass(frozen=True, slots=True)
class Escalation:
    """`EscalationSettings` with all that was left out: first ``after``, then every ``repeat``."""

    after: timedelta
    repeat: timedelta
    times: int | None
    severity: Severity
    output: AlarmOutput | None
    fallbacks: bool = False

    def wait(self, raised: int) -> timedelta | None:
        """How long it waits for an answer when it was raised again so many times; None: it was the last."""
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
        """How long nobody had answered when it was raised again for the ``raised``-th time."""
        return sum((self.wait(number) or timedelta(0) for number in range(raised)), timedelta(0))
