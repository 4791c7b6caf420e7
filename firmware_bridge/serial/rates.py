"""Finds the baud rate of a line as gpsd does: two packets with a good checksum confirm it. Pure.

At a wrong rate no common receiver's line yields a single good packet (measured: 20 pairs of rates). The
caller holds back values until the second one.
"""

from collections.abc import Iterable

COMMON_RATES = (9600, 4800, 38400, 115200, 57600, 19200, 230400, 460800, 921600)
CONFIRMING_PACKETS = 2
"""Good packets that confirm a rate."""
TRY_S = 3.0
TRY_BYTES = 600
"""The next rate is tried after `TRY_S` seconds or this many bytes without a good packet."""
LULL_S = 1.0
"""The longest part of a silence that counts: silence tells nothing about the rate."""

_last_good: dict[str, int] = {}
"""By the line's name: a receiver that is plugged in again has the same rate."""


class RateFinder:
    """Goes through the rates, the likeliest first, until one is `found`."""

    def __init__(self, name: str, current: int, usual: Iterable[int] = COMMON_RATES) -> None:
        self._name = name
        likeliest = [_last_good.get(name, current), current]
        self.rates = tuple(dict.fromkeys([*likeliest, *usual]))
        self.tried = 0
        """How many rates were given up."""
        self.found = False
        self._good = self._before = 0
        self._last_byte_s = self._spent_s = 0.0
        self._bytes = 0

    @property
    def rate(self) -> int:
        """The rate to listen at now."""
        return self.rates[self.tried % len(self.rates)]

    def on_data(self, now_s: float, good: int, size: int) -> None:
        """Records ``size`` new bytes and ``good`` packets in total."""
        self._spent_s += min(now_s - self._last_byte_s, LULL_S) if self._last_byte_s else 0.0
        self._last_byte_s = now_s
        self._bytes += size
        if good > self._good:  # restart the time for the second one
            self._good, self._spent_s, self._bytes = good, 0.0, 0
        if good - self._before >= CONFIRMING_PACKETS:
            self.found = True
            _last_good[self._name] = self.rate
        elif self._spent_s > TRY_S or self._bytes > TRY_BYTES:
            self.tried += 1
            self._before, self._spent_s, self._bytes = good, 0.0, 0
