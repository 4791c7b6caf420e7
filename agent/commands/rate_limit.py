"""A rate limit for each command name, so that a flood of one command leaves all others alone. Pure."""

from typing import Literal

BURST, PER_SECOND = 30.0, 0.5
"""Commands of one name that are carried out at once, and after that in each second."""
PUSH_BURST, PUSHES_PER_SECOND = 200.0, 50.0
"""Pushes that are carried out, or refused with an answer, at once, and after that in each second."""


class RateLimiter:
    """A token bucket for each name: ``burst`` at once, then ``per_second``. Time comes in, in seconds."""

    def __init__(self, burst: float | None = None, per_second: float | None = None) -> None:
        """Without arguments the limits of a command."""
        self._burst = BURST if burst is None else burst
        self._per_second = PER_SECOND if per_second is None else per_second
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and the instant of that level
        self._limited: set[str] = set()
        self.dropped = 0
        """Commands over the limit."""

    def admit(self, name: str, now_s: float) -> Literal["admitted", "first_dropped", "dropped"]:
        """Whether a command may be carried out; ``first_dropped`` for the first that may not."""
        tokens, since_s = self._buckets.get(name, (self._burst, now_s))
        tokens = min(self._burst, tokens + max(0.0, now_s - since_s) * self._per_second)
        if tokens >= 1:
            self._limited.discard(name)
            self._buckets[name] = tokens - 1, now_s
            return "admitted"
        self._buckets[name] = tokens, now_s
        self.dropped += 1
        first = name not in self._limited
        self._limited.add(name)
        return "first_dropped" if first else "dropped"
