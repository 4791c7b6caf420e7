"""What a rule states: findings, and that one has cleared."""

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
    """Seconds since ``since`` where ``text`` says them, as `for_duration` writes them."""
    presences: Annotated[frozenset[int], Field(alias="who")] = frozenset()
    """The presences that it is about, by number; a number is given once in the life of a judge."""
    memo: dict[str, Any] | None = None
    """What a fresh judge of the rule needs to go on from here (`RulePart.resume`), as JSON; never told."""

    def backdated(self, since: datetime, longer_s: float) -> Self:
        """This, begun at ``since``, so much earlier than its judge knows; its text says so too."""
        text, lasted_s = self.text, self.lasted_s
        if lasted_s is not None and longer_s > 0:
            text = text.replace(for_duration(lasted_s), for_duration(lasted_s + longer_s), 1)
            lasted_s += longer_s
        since_s = None if self.since_s is None else self.since_s - max(0.0, longer_s)
        return replace(self, since=since, since_s=since_s, text=text, lasted_s=lasted_s)


@dataclass(frozen=True, slots=True)
class Cleared:
    """What ``key`` named is no longer so; or ``reason`` says why nobody can tell, and it ends at once."""

    key: str
    reason: str | None = None


def for_duration(seconds: float) -> str:
    """How long a fact has lasted, as it stands in the text of a `Finding`: ``for 45 s``."""
    return f"for {human_duration(seconds)}"


Evaluator: TypeAlias = Callable[[Observation], Iterable[Finding | Cleared]]
