"""The statements of a rule: a finding that holds, and a finding that has cleared."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Field

from agent.domain.durations import human_duration
from agent.domain.observations import Observation
from models.detection import Box


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the ground, WGS-84 degrees; ``how``: surveyed, gnss, ais, drone, ground_plane, ground_ray.

    For the last two ``error_m`` is the radius that contains the true place in 95 % of cases.
    """

    lat: float
    lon: float
    error_m: float | None
    how: str
    of: str | None = None
    """Whose place it is, where not the device's: ``drone 1``."""
    age_s: float | None = None
    """How long ago it was there, where not at the time of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A condition that holds. Stated as long as it does; ``key`` identifies it within its rule."""

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
    """Seconds from the captured frame or byte to the observation that the finding rests on."""
    since_s: float | None = None
    """``since`` on the monotonic clock."""
    lasted_s: float | None = None
    """Seconds since ``since``, where ``text`` contains them as `for_duration` writes them."""
    presences: Annotated[frozenset[int], Field(alias="who")] = frozenset()
    """The numbers of the presences that it is about; an evaluator never uses a number twice."""
    memo: dict[str, Any] | None = None
    """The state that a new evaluator of the rule needs to resume (`RulePart.resume`), as JSON; never sent."""

    def backdated(self, since: datetime, by_s: float) -> Self:
        """The finding with start ``since``, ``by_s`` seconds earlier than its evaluator knows; text too.

        Negative where the evaluator, changed meanwhile, finds that it began before the alert did.
        """
        text, lasted_s = self.text, self.lasted_s
        if lasted_s is not None:
            by_s = max(by_s, -lasted_s)
            text = text.replace(for_duration(lasted_s), for_duration(lasted_s + by_s), 1)
            lasted_s += by_s
        since_s = None if self.since_s is None else self.since_s - by_s
        return replace(self, since=since, since_s=since_s, text=text, lasted_s=lasted_s)


@dataclass(frozen=True, slots=True)
class Cleared:
    """The finding ``key`` no longer holds; with ``reason`` its alert ends at once, as nobody can tell."""

    key: str
    reason: str | None = None


def for_duration(seconds: float) -> str:
    """A duration as the text of a `Finding` contains it: ``for 45 s``."""
    return f"for {human_duration(seconds)}"


Evaluator: TypeAlias = Callable[[Observation], Iterable[Finding | Cleared]]
