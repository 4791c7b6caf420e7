"""A limit on how often something is done, by waiting: nothing is refused, all of it comes later."""

import asyncio

from agent.host.clock import monotonic_s


class Pace:
    """``per_s`` turns a second, and up to ``burst`` at once."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._tokens, self._at_s = burst, monotonic_s()

    async def turn(self, weight: float = 1.0) -> None:
        """Returns when it is the caller's turn; ``weight``: how many turns it takes."""
        now_s = monotonic_s()
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s) - weight
        self._at_s = now_s
        if self._tokens < 0:
            try:
                await asyncio.sleep(-self._tokens / self._per_s)
            except asyncio.CancelledError:
                self._tokens += weight  # who gives up holds up nobody
                raise
