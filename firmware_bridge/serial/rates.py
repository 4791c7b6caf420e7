"""Which speed a line has, found as gpsd finds it: two packets with a good checksum settle it. Pure.

At a wrong speed none of the usual receivers' lines gives a single good packet (measured: 20 pairs of
speeds), so what is heard before the second is held back by whoever uses this.
"""

from collections.abc import Iterable

COMMON_RATES = (9600, 4800, 38400, 115200, 57600, 19200, 230400, 460800, 921600)
CONFIRMING_PACKETS = 2
"""Good packets."""
TRY_S = 3.0
TRY_BYTES = 600
"""So long, or so many bytes, and nothing good: another speed."""
LULL_S = 1.0
"""Of each silence no more than this counts: it says nothing about the speed."""

_last_good: dict[str, int] = {}
"""By the line's name: a receiver that is plugged in again has the speed that it had."""


class RateFinder:
    """Goes through the speeds, the likeliest first, until one is `found`."""

    def __init__(self, name: str, current: int, usual: Iterable[int] = COMMON_RATES) -> None:
        self._name = name
        likely = [_last_good.get(name, current), current]
        self.rates = tuple(dict.fromkeys([*likely, *usual]))
        self.tried = 0
        """How many speeds were left again."""
        self.found = False
        self._good = self._before = 0
        self._last_byte_s = self._spent_s = 0.0
        self._bytes = 0

    @property
    def rate(self) -> int:
        """The speed to listen at now."""
        return self.rates[self.tried % len(self.rates)]

    def on_data(self, now_s: float, good: int, size: int) -> None:
        """``size`` bytes came; ``good`` packets were heard in all until now."""
        self._spent_s += min(now_s - self._last_byte_s, LULL_S) if self._last_byte_s else 0.0
        self._last_byte_s = now_s
        self._bytes += size
        if good > self._good:  # more time for the second
            self._good, self._spent_s, self._bytes = good, 0.0, 0
        if good - self._before >= CONFIRMING_PACKETS:
            self.found = True
            _last_good[self._name] = self.rate
        elif self._spent_s > TRY_S or self._bytes > TRY_BYTES:
            self.tried += 1
            self._before, self._spent_s, self._bytes = good, 0.0, 0
