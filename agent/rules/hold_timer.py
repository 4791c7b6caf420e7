"""Hold time and debouncing: since when a condition has held without a break. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from agent.domain.observations import Observation

Since: TypeAlias = tuple[datetime, float]
"""An instant on both clocks: UTC, and monotonic seconds."""


def hold_timer(hold: timedelta) -> Callable[[bool, Observation], Since | None]:
    """A function of a condition and an observation: since when the condition holds, once for ``hold``."""
    since: Since | None = None

    def since_when(holds: bool, observation: Observation) -> Since | None:
        nonlocal since
        since = (since or (observation.at, observation.mono_s)) if holds else None
        return since if since and observation.mono_s - since[1] >= hold.total_seconds() else None

    return since_when


def debounce(
    hold: timedelta, held: tuple[str, Since] | None = None
) -> Callable[[str | None, Observation], tuple[str, Since] | None]:
    """A function of the present state (None: none) and an observation: the debounced state, and since when.

    A state, or none, replaces another only once it has lasted for ``hold``. ``held`` is the initial state.
    """
    begun: tuple[str | None, Since] | None = None

    def debounced(state: str | None, observation: Observation) -> tuple[str, Since] | None:
        nonlocal held, begun
        if begun is None or begun[0] != state:
            begun = (state, (observation.at, observation.mono_s))
        if held is not None and held[0] == state:
            return held
        if observation.mono_s - begun[1][1] >= hold.total_seconds():
            held = None if state is None else (state, begun[1])
        return held

    return debounced
