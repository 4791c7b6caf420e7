"""A rate limit for each command name, so that a flood of one command leaves all others alone. Pure."""

from typing import Literal

BURST, PER_SECOND = 30.0, 0.5
"""Commands of one name that are carried out at once, and after that in each second."""


class RateLimiter:
    """A token bucket for each name: `BURST` at once, then `PER_SECOND`. Time comes in, in seconds."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and the instant of that level
        self._limited: set[str] = set()
        self.dropped = 0
        """Commands over the limit."""

    def admit(self, name: str, now_s: float) -> Literal["admitted", "first_dropped", "dropped"]:
        """Whether a command may be carried out; ``first_dropped`` for the first that may not."""
        tokens, since_s = self._buckets.get(name, (BURST, now_s))
        tokens = min(BURST, tokens + max(0.0, now_s - since_s) * PER_SECOND)
        if tokens >= 1:
            self._limited.discard(name)
            self._buckets[name] = tokens - 1, now_s
            return "admitted"
        self._buckets[name] = tokens, now_s
        self.dropped += 1
        first = name not in self._limited
        self._limited.add(name)
        return "first_dropped" if first else "dropped"
