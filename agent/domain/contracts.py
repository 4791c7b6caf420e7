"""What a rule is: its settings, what it refers to, its judge, and what a judge says."""

import asyncio
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, model_validator

from agent.domain.durations import Duration, spoken
from agent.domain.escalation import Escalate, Escalation, Severity
from agent.domain.inference_rate import RequiredRate
from agent.domain.observations import Observation, Value
from agent.domain.references import CameraReference, Channel, SourceReference
from agent.domain.schedule import Hours, Schedule
from models.detection import Box

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""Takes a value; may give a future that is done once what the value led to is safely kept."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where on the ground, WGS-84; ``how``: surveyed, gnss, ais, ground_plane, ground_ray.

    Of the last two ``error_m`` is the radius within which it truly is, 19 times of 20.
    """

    lat: float
    lon: float
    error_m: float | None
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something is so. Yielded as long as it is; ``key`` tells one occurrence from another within a rule."""

    key: str
    text: str
    since: datetime
    source: str | None = None
    zone: str | None = None
    label: str | None = None
    count: int | None = None
    score: float | None = None
    box: Box | None = None
    point: Point | None = None
    latency_s: float | None = None
    """From the frame or byte in hand to the observation that this finding rests on."""
    since_s: float | None = None
    """The monotonic instant of ``since``."""
    lasted_s: float | None = None
    """Seconds since ``since`` where ``text`` says them, as `lasts` writes them."""
    who: frozenset[int] = frozenset()
    """The presences that it is about, by number; a number is given once in the life of a judge."""
    memo: dict[str, Any] | None = None
    """What a fresh judge of the rule needs to go on from here (`RulePart.resume`), as JSON; never told."""

    def begun(self, since: datetime, longer_s: float) -> Self:
        """This, begun at ``since``, so much earlier than its judge knows; its text says so too."""
        text, lasted_s = self.text, self.lasted_s
        if lasted_s is not None and longer_s > 0:
            text = text.replace(lasts(lasted_s), lasts(lasted_s + longer_s), 1)
            lasted_s += longer_s
        since_s = None if self.since_s is None else self.since_s - max(0.0, longer_s)
        return replace(self, since=since, since_s=since_s, text=text, lasted_s=lasted_s)


@dataclass(frozen=True, slots=True)
class Cleared:
    """What ``key`` named is no longer so; or ``reason`` says why nobody can tell, and it ends at once."""

    key: str
    reason: str | None = None


def lasts(seconds: float) -> str:
    """How long a fact has lasted, as it stands in the text of a `Finding`: ``for 45 s``."""
    return f"for {spoken(seconds)}"


Evaluator: TypeAlias = Callable[[Observation], Iterable[Finding | Cleared]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the rest of the configuration knows that a rule may need; WGS-84."""

    timezone: str = "UTC"
    holidays: frozenset[date] = frozenset()
    post: str | None = None
    lat: float | None = None
    lon: float | None = None
    duty: Schedule | None = None
    route: Path | None = None
    looks: Mapping[str, tuple[RequiredRate, ...]] = field(default_factory=dict)
    """By camera: how often the rules on it need it to be looked at."""


ACK_WITHIN = timedelta(seconds=60)


class RulePart(BaseModel):
    """What every rule lets a technician set, and what the agent asks of it.

    A kind of rule names its keys as it likes: what configuration, alerts and cards need of them it returns
    from `source_references`, `camera_reference`, `patience` and `notes`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    crowd: ClassVar[str | None] = None
    """What its keys name, in the plural, where they come from the outside and nothing limits their number."""

    schedule: Hours | None = None
    """When it judges; always, if it is not set."""
    severity: Severity = "warning"
    need_ack: bool = False
    ack_within: Duration | None = None
    """Where `need_ack` is true somebody has to answer within this (`ACK_WITHIN`, if it is not set); the alert
    does not end before, even if what it tells is over."""
    escalate: Escalate | None = None
    cool_down: Duration = timedelta(0)
    """How long the fact must be over before its alert ends; if it comes back sooner, it is the same alert."""

    @property
    def patience(self) -> timedelta:
        """How long a fresh judge may need to find again what is so: the sum of the rule's own waits."""
        return timedelta(0)

    def source_references(self) -> tuple[SourceReference, ...]:
        """The sources that the rule listens to, cameras excepted."""
        return ()

    def camera_reference(self) -> CameraReference | None:
        """The camera that the rule judges by; None for a rule on no camera."""
        return None

    def notes(self) -> Iterator[str]:
        """What is valid in its settings, but hardly meant."""
        yield from ()

    @abstractmethod
    def start(self) -> Evaluator:
        """A fresh judge: a pure function of what it was shown, in order. It never looks at a clock.

        It yields nothing about a key until it knows: an `Cleared` from a judge that has not seen enough would
        end an alert whose fact goes on.
        """

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:  # noqa: ARG002  rules with a memory need it
        """A fresh judge after a restart or a change of the rule; ``active`` is what was so then, by key.

        A rule that remembers more than it sees again (hysteresis, a usual level, a place) takes that up here.
        The ``since_s`` of ``active`` are of the present monotonic clock.
        """
        return self.start()

    def begin(self, active: Mapping[str, Finding] = MappingProxyType({})) -> Evaluator:
        """`start` or `resume`, told only while the schedule is open: what the agent runs."""
        judge = self.resume(active) if active else self.start()
        return judge if self.schedule is None else only_while(self.schedule, judge, active)

    @model_validator(mode="after")
    def _answers_are_needed(self) -> Self:
        if self.ack_within is not None and not self.need_ack:
            raise ValueError("ack_within needs need_ack: true")
        if self.escalate is not None and not self.need_ack:
            raise ValueError("escalate needs need_ack: true")
        if self.ack_within is not None and self.ack_within < timedelta(seconds=1):
            raise ValueError("ack_within is at least 1s")
        return self

    def escalation(self) -> Escalation | None:
        """What happens to an alert that nobody answers; None where nobody has to."""
        if not self.need_ack:
            return None
        return (self.escalate or Escalate()).after(self.ack_within or ACK_WITHIN)

    def settled(self, around: Site) -> Self:
        """This rule with what it takes from elsewhere. ValueError says what is missing there."""
        if self.schedule is None:
            return self
        return self.model_copy(update={"schedule": here(self.schedule, around)})


class SourceRule(RulePart):
    """A rule on what one ``source`` tells."""

    hears: ClassVar[str | None] = None
    """The kind of value that its source must tell, such as ``fix``; None where any will do."""

    source: str

    @property
    def channel(self) -> Channel | None:
        """The one quantity or switch that the rule is about."""
        return None

    def source_references(self) -> tuple[SourceReference, ...]:
        kinds = () if self.hears is None else (self.hears,)
        return (SourceReference("source", self.source, kinds, self.channel),)


def here(schedule: Schedule, around: Site) -> Schedule:
    """The schedule as it is read at the device's place. ValueError where it needs to know more."""
    if schedule.needs_sun() and around.lat is None:
        raise ValueError(
            f"{schedule.text!r} needs to know where the sun rises: set place.lat and place.lon,"
            " or write hours such as 18:00-06:00"
        )
    return schedule.at(around.timezone, around.holidays, around.lat, around.lon)


def only_while(schedule: Schedule, judge: Evaluator, active: Iterable[str] = ()) -> Evaluator:
    """``judge``, heard only in the hours of ``schedule``.

    It sees everything at all times, so that what began before the hours is told when they begin, with its
    true beginning. What still is so when they end is over then, and its end says why.
    """
    so: dict[str, Finding] = {}
    inherited = set(active)  # told before this judge began, and not yet found again
    minute, was_open, newest_s = -1, False, -math.inf

    def judge_in_hours(observation: Observation) -> Iterable[Finding | Cleared]:
        nonlocal minute, was_open, newest_s
        before, this_minute = was_open, int(observation.at.timestamp() // 60)
        if this_minute != minute and observation.mono_s >= newest_s:  # a frame comes later than it was taken
            minute, was_open = this_minute, schedule.open(observation.at)
        newest_s = max(newest_s, observation.mono_s)
        if before and not was_open:
            yield from [Cleared(key, f"outside its hours ({schedule.text})") for key in so]
        if inherited and not was_open:
            yield from [Cleared(key, f"outside its hours ({schedule.text})") for key in sorted(inherited)]
            inherited.clear()
        for fact in judge(observation):
            inherited.discard(fact.key)
            if isinstance(fact, Finding):
                so[fact.key] = fact
            else:
                so.pop(fact.key, None)
            if was_open and (before or isinstance(fact, Cleared)):
                yield fact
        if was_open and not before:
            yield from list(so.values())

    return judge_in_hours
