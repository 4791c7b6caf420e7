"""How many bytes an hour may be sent on a metered link: a token bucket. Pure: the monotonic clock comes in.

Unused budget counts for a while, so that a quiet hour allows a burst. Alerts, results, status and position
are counted but never held: telemetry waits when nothing is left, pictures when half of it is gone; with
`Budget.pictures_first` the other way round.
"""

SAVED_S = 600.0
"""The bucket holds the budget of so many seconds."""
METERED_BYTES_PER_HOUR = 2_000_000
"""The budget of a link that is configured as metered without a budget of its own."""


class Budget:
    """The budget that is left; unlimited without ``bytes_per_hour``."""

    def __init__(self, bytes_per_hour: int | None, now_s: float) -> None:
        self.bytes_per_hour = bytes_per_hour
        self._per_s = None if bytes_per_hour is None else bytes_per_hour / 3600
        self._most = (self._per_s or 0.0) * SAVED_S
        self._left = self._most
        self._at_s = now_s
        self.pictures_first = False

    def spend(self, size: int, now_s: float) -> None:
        """``size`` bytes were sent."""
        self._left = self._now(now_s) - size
        self._at_s = now_s

    def allows_resends(self, now_s: float) -> bool:
        return self._per_s is None or self._now(now_s) > 0

    def allows_telemetry(self, now_s: float) -> bool:
        return self._allows(now_s, first=not self.pictures_first)

    def allows_media(self, now_s: float) -> bool:
        return self._allows(now_s, first=self.pictures_first)

    def _allows(self, now_s: float, *, first: bool) -> bool:
        return self._per_s is None or self._now(now_s) > (0 if first else self._most / 2)

    def _now(self, now_s: float) -> float:
        return min(self._most, self._left + (now_s - self._at_s) * (self._per_s or 0.0))
