"""Since when something is so without a break: what every rule with a hold time shares. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from agent.domain.observations import Observation

Since: TypeAlias = tuple[datetime, float]
"""An instant on both clocks: UTC, and monotonic seconds."""


def hold_timer(hold: timedelta) -> Callable[[bool, Observation], Since | None]:
    """Told at each observation whether something is so, it answers since when, once that is ``hold`` ago."""
    since: Since | None = None

    def so(is_so: bool, observation: Observation) -> Since | None:
        nonlocal since
        since = (since or (observation.at, observation.mono_s)) if is_so else None
        return since if since and observation.mono_s - since[1] >= hold.total_seconds() else None

    return so


def debounce(
    hold: timedelta, held: tuple[str, Since] | None = None
) -> Callable[[str | None, Observation], tuple[str, Since] | None]:
    """Told at each observation which of several things is so, or none, it answers with the steady one.

    One thing, or none, follows another only once it has been so for ``hold``. ``held`` is what is steady
    from the beginning.
    """
    begun: tuple[str | None, Since] | None = None

    def so(what: str | None, observation: Observation) -> tuple[str, Since] | None:
        nonlocal held, begun
        if begun is None or begun[0] != what:
            begun = (what, (observation.at, observation.mono_s))
        if held is not None and held[0] == what:
            return held
        if observation.mono_s - begun[1][1] >= hold.total_seconds():
            held = None if what is None else (what, begun[1])
        return held

    return so
