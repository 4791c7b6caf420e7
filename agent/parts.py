"""What a source and a rule are. Parts are told by their shape; each is a frozen model with one method."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from agent.observations import Observation, Value
from models.detection import Box

Emit: TypeAlias = Callable[[Value], None]
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
    severity: Severity
    text: str
    since: datetime
    source: str | None = None
    zone: str | None = None
    label: str | None = None
    count: int | None = None
    score: float | None = None
    box: Box | None = None
    point: Point | None = None
    need_ack: bool = False
    observed_s: float | None = None  # monotonic instant at which what it rests on was first seen


@dataclass(frozen=True, slots=True)
class Over:
    """What ``key`` named is no longer so."""

    key: str


Judge: TypeAlias = Callable[[Observation], Iterable[Finding | Over]]


class Rule(Protocol):
    """Turns observations into facts."""

    def start(self) -> Judge:
        """A fresh judge: a pure function of what it was shown, in order. It never looks at a clock."""
