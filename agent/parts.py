"""What a source and a rule are. Parts are told by their shape; each is a frozen model with one method."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict

from agent.durations import Duration
from agent.observations import Observation, Value
from models.detection import Box

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""Takes a value; may give a future that is done once what the value led to is safely kept."""
Severity: TypeAlias = Literal["info", "warning", "critical"]


class Source(Protocol):
    """Something that speaks."""

    async def run(self, emit: Emit) -> None:
        """Call ``emit(value)`` for all that the hardware says, until it stops saying it.

        Raises OSError when the world fails (unplugged, refused, timed out): the supervisor starts it again.
        Whatever changes while it runs is a local variable here, so that nothing survives a restart.
        """


@dataclass(frozen=True, slots=True)
class Point:
    """Where on the ground, WGS-84; ``how``: surveyed, gnss or ground_plane."""

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


@dataclass(frozen=True, slots=True)
class Over:
    """What ``key`` named is no longer so; or ``reason`` says why nobody can tell, and it ends at once."""

    key: str
    reason: str | None = None


Judge: TypeAlias = Callable[[Observation], Iterable[Finding | Over]]


class RulePart(BaseModel):
    """What every rule lets a technician set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity = "warning"
    need_ack: bool = False
    cool_down: Duration = timedelta(0)
    """How long the fact must be over before its alert ends; if it comes back sooner, it is the same alert."""


class Rule(Protocol):
    """Turns observations into facts."""

    def start(self) -> Judge:
        """A fresh judge: a pure function of what it was shown, in order. It never looks at a clock."""
