"""One trial of a pushed configuration: the steps that prove it, and its time limit."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.config.model import Config

MIN_TRIAL_S = 20.0
"""A trial has at least this long, also where a newer push waits for its end."""


class BrokenSourceError(Exception):
    """A source that a push changed worked before, and does not work under the push."""


async def _no_probe(_within_s: float) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class TrialSteps:
    """What a trial needs from the agent."""

    apply: Callable[[Config], Awaitable[None]]
    """Runs a configuration."""
    prove: Callable[[], Awaitable[None]]
    """Returns once the centre is reached under the configuration that runs."""
    report: Callable[[], Awaitable[None]]
    """Sends ``config/reported``, after each change."""
    probe: Callable[[float], Awaitable[list[str]]] = _no_probe
    """Waits up to so many seconds for values of changed sources; returns the new ones without any.
    `BrokenSourceError` where a source that worked before gives nothing."""


class TrialLimit:
    """How long a trial may take: the time that the push grants, or less where a newer push waits. Counts
    from its creation; needs a running event loop."""

    def __init__(self, within_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._earliest_end_s = self._loop.time() + MIN_TRIAL_S
        self._end_s = self._loop.time() + within_s
        self._timeout: asyncio.Timeout | None = None
        self.superseded: str | None = None
        """Why the trial ends early."""

    def left_s(self) -> float:
        """Seconds until the end."""
        return self._end_s - self._loop.time()

    def timeout(self, at_least_s: float = 0.0) -> asyncio.Timeout:
        """A context that raises TimeoutError at the end; no sooner than ``at_least_s`` unless superseded."""
        end_s = self._end_s if self.superseded else max(self._end_s, self._loop.time() + at_least_s)
        self._timeout = asyncio.timeout_at(end_s)
        return self._timeout

    def supersede(self, revision: int) -> None:
        """A newer push came: the trial ends after `MIN_TRIAL_S` at most."""
        end_s = max(self._earliest_end_s, self._loop.time())
        if end_s >= self._end_s:
            return
        self._end_s = end_s
        self.superseded = f"revision {revision} arrived before it was proved"
        timeout = self._timeout
        if timeout is not None and not timeout.expired() and (timeout.when() or 0.0) > end_s:
            timeout.reschedule(end_s)
