"""What a scenario expects: messages that must come, must never come, and events that must happen once."""

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.domain.durations import Duration, format_duration

Phase = Literal["new", "update", "end"]
Having = dict[str, Any]
"""Fields of the message by their path, such as ``alert.severity``. A text with ``*`` fits as a file pattern;
a value fits a list that contains it; ``null``: absent."""


class FrozenModel(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Matching(FrozenModel):
    """Messages of one device: the alerts of a rule, or a topic, in a time."""

    device: str | None = None
    alert: str | None = None
    """The rule of the alert."""
    topic: str | None = None
    """Below the device's."""
    having: Having = Field(default_factory=dict)
    between: tuple[Duration, Duration] | None = None
    """First and last instant, from the cause; by default the whole run after the cause."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.alert is None) == (self.topic is None):
            raise ValueError("names either an alert (its rule) or a topic")
        if self.between is not None and self.between[1] < self.between[0]:
            raise ValueError("between: the first instant is after the last")
        return self

    def what(self) -> str:
        """The messages, for people."""
        which = f"the alert {self.alert}" if self.alert else str(self.topic)
        fields = ", ".join(f"{key} = {value}" for key, value in self.having.items())
        return f"{self.device or 'any device'}: {which}" + (f" with {fields}" if fields else "")


class Expectation(Matching):
    """Something that must come.

    An alert: ``phases`` in order for one alert id; with ``count`` for exactly so many alerts of the rule.
    A topic: one message, or exactly ``count``; with ``position_within_m`` each one must be near the truth.
    """

    name: str | None = None
    phases: tuple[Phase, ...] = ("new",)
    within: Duration | None = None
    """From the cause to the last phase; without it, the rest of the run."""
    after: str | None = None
    """The cause: the name of an entry of the timeline. Default: the start of the run."""
    count: int | None = Field(default=None, ge=0, le=1_000_000)
    position_within_m: float | None = Field(default=None, gt=0, le=1_000_000)
    """An alert's point, or the position of each message, is this near to the truth at its instant."""
    of: str | None = None
    """Whose truth: a person, a vessel, a drone or a device; default: the device itself."""
    receipt: bool = False
    """The centre has committed each message, and the device has its receipt."""
    order_after: str | None = None
    """The name of an expectation that is met before this one."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.within is not None and self.between is not None:
            raise ValueError("within and between exclude each other")
        if not self.phases:
            raise ValueError("phases: name at least one of new, update, end")
        if self.topic is not None and "phases" in self.model_fields_set:
            raise ValueError("phases belong to an alert")
        if self.receipt and self.topic not in (None, "command/result", "gap"):
            raise ValueError(f"{self.topic} gets no receipt; only alerts, command/result and gap do")
        return self

    def describe(self) -> str:
        """The expectation in one line."""
        parts = [self.what()]
        if self.alert:
            parts.append(" then ".join(self.phases))
        if self.count is not None:
            parts.append(f"exactly {self.count}")
        if self.within is not None:
            parts.append(f"within {format_duration(self.within)} of {self.after or 'the start'}")
        elif self.between is not None:
            first, last = map(format_duration, self.between)
            parts.append(f"between {first} and {last} from {self.after or 'the start'}")
        elif self.after:
            parts.append(f"after {self.after}")
        if self.position_within_m is not None:
            parts.append(f"within {self.position_within_m:g} m of the truth")
        if self.receipt:
            parts.append("with receipt")
        if self.order_after:
            parts.append(f"later than '{self.order_after}'")
        return ", ".join(parts)

    @property
    def title(self) -> str:
        return self.name or self.describe()


class Never(Matching):
    """Something that must not come."""

    name: str | None = None

    def describe(self) -> str:
        when = "" if self.between is None else f" between {' and '.join(map(format_duration, self.between))}"
        return f"{self.what()} never comes{when}"

    @property
    def title(self) -> str:
        return self.name or self.describe()


class Sometimes(BaseModel):
    """An event of the run that must happen at least once: its fields, as `RunRecord.events` has them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    event: str

    def fields(self) -> dict[str, Any]:
        return {"event": self.event, **(self.model_extra or {})}

    @property
    def title(self) -> str:
        rest = ", ".join(f"{key} = {value}" for key, value in (self.model_extra or {}).items())
        return f"{self.event} happens" + (f" with {rest}" if rest else "")


def seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()
