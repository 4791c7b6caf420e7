"""When was a frame taken? From its arrival, and from the source's own clock where that can be trusted. Pure.

A stream's clock starts anywhere, and some sources make one up. It is believed once the least time between a
frame's stamp and its arrival stays the same: by that much all frames are late, and by the rest only some.
"""

WINDOW_S = 5.0
MOST_DRIFT = 0.01
"""Seconds a second by which a clock may run off against ours."""
MOST_LATE_S = 1.0
NEVER = float("inf")


class FrameClock:
    """``at_s`` it each frame in order. ``driver``: stamps are this machine's own monotonic clock (V4L2)."""

    def __init__(self, *, driver: bool = False) -> None:
        self._driver = driver
        self._trusted = False
        self._least = self._before = NEVER
        self._began_s = self._stamp_s = NEVER
        self._last_s = -NEVER

    def at_s(self, arrived_s: float, stamp_s: float) -> float:
        """Monotonic time of a frame that came at ``arrived_s`` with the source's own ``stamp_s``."""
        taken_s = stamp_s if self._driver else arrived_s
        if not self._driver:
            self._learn(arrived_s, stamp_s)
            if self._trusted:
                taken_s = stamp_s + min(self._least, self._before)
        if not 0 <= arrived_s - taken_s <= MOST_LATE_S:
            taken_s = arrived_s
        self._last_s = max(self._last_s, taken_s)
        return self._last_s

    def _learn(self, arrived_s: float, stamp_s: float) -> None:
        if stamp_s <= self._stamp_s:  # the first; or it stands still, or began anew
            self._trusted, self._least, self._before, self._began_s = False, NEVER, NEVER, arrived_s
        elif arrived_s - self._began_s >= WINDOW_S:
            self._trusted = abs(self._least - self._before) <= MOST_DRIFT * WINDOW_S
            self._before, self._least, self._began_s = self._least, NEVER, arrived_s
        self._stamp_s = stamp_s
        self._least = min(self._least, arrived_s - stamp_s)
