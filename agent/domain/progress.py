"""How far a rule is, and why it holds back: for people who look at it. Asked only while somebody looks.

An evaluator carries the function that tells it as an attribute, so that its calls cost nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from agent.domain.findings import Evaluator

State: TypeAlias = Literal["met", "holding", "not_met", "blind", "off_schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """``code`` names the reason in one word, for translations; ``have`` and ``need`` are in ``unit``."""

    state: State
    code: str
    text: str
    track: int | None = None
    have: float | None = None
    need: float | None = None
    unit: str | None = None


ProgressOf: TypeAlias = Callable[[datetime, float], Iterable[Progress]]
"""The progress of an evaluator at an instant on both clocks; changes nothing."""
MET = Progress(state="met", code="met", text="met")


def with_progress(evaluator: Evaluator, progress: ProgressOf) -> Evaluator:
    """``evaluator`` itself, a function, which now tells its progress."""
    vars(evaluator)["progress"] = progress
    return evaluator


def progress_of(evaluator: Evaluator, at: datetime, now_s: float) -> list[Progress]:
    """The progress of an evaluator; empty where it tells none."""
    tell: ProgressOf | None = vars(evaluator).get("progress")
    return [] if tell is None else list(tell(at, now_s))


def lasting(code: str, what: str, have: float, need: float, unit: str = "s") -> Progress:
    """The progress of a condition that must last or grow: ``dwell 3.2 of 8.0 s``."""
    state: State = "met" if have >= need else "holding"
    text = f"{what} {have:.1f} of {need:.1f} {unit}"
    return Progress(state=state, code=code, text=text, have=round(have, 2), need=need, unit=unit)


def not_met(code: str, text: str, have: float | None = None, need: float | None = None) -> Progress:
    """A condition that does not hold, such as ``score 0.36 < 0.40``."""
    return Progress(state="not_met", code=code, text=text, have=have, need=need)
