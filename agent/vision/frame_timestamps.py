"""The time at which a frame was taken: from its arrival, and from reliable timestamps of the source. Pure.

A stream's clock has any origin, and some sources make timestamps up. They are used once the least difference
between arrival and timestamp is stable: it is the constant latency, and the rest is jitter.
"""

WINDOW_S = 5.0
MAX_DRIFT = 0.01
"""Seconds per second by which the source's clock may drift."""
MAX_LATENCY_S = 1.0
"""A larger latency is taken for a wrong clock."""
NEVER = float("inf")


class FrameClock:
    """Call `at_s` for each frame in order. ``driver``: timestamps are monotonic times (V4L2)."""

    def __init__(self, *, driver: bool = False) -> None:
        self._driver = driver
        self._trusted = False
        self._least = self._before = NEVER
        self._began_s = self._stamp_s = NEVER
        self._last_s = -NEVER

    def at_s(self, arrived_s: float, stamp_s: float) -> float:
        """Monotonic time of a frame that arrived at ``arrived_s`` with the source's timestamp ``stamp_s``."""
        taken_s = stamp_s if self._driver else arrived_s
        if not self._driver:
            self._learn(arrived_s, stamp_s)
            if self._trusted:
                taken_s = stamp_s + min(self._least, self._before)
        if not 0 <= arrived_s - taken_s <= MAX_LATENCY_S:
            taken_s = arrived_s
        self._last_s = max(self._last_s, taken_s)
        return self._last_s

    def _learn(self, arrived_s: float, stamp_s: float) -> None:
        if stamp_s <= self._stamp_s:  # the first frame, a clock that stands still, or a restart
            self._trusted, self._least, self._before, self._began_s = False, NEVER, NEVER, arrived_s
        elif arrived_s - self._began_s >= WINDOW_S:
            self._trusted = abs(self._least - self._before) <= MAX_DRIFT * WINDOW_S
            self._before, self._least, self._began_s = self._least, NEVER, arrived_s
        self._stamp_s = stamp_s
        self._least = min(self._least, arrived_s - stamp_s)
