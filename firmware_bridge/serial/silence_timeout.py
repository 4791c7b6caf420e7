"""When a silent line is opened again. Pure."""

FIRST_PACKET_S = 15.0
"""The time for the first packet of a line that was just opened."""
MIN_TIMEOUT_S = 5.0
INTERVALS = 5


class SilenceTimeout:
    """A timeout since the last valid packet: ``configured_s``, or `INTERVALS` of the longest usual
    interval.
    """

    def __init__(self, opened_s: float, configured_s: float | None) -> None:
        self.configured_s = configured_s
        self._usual_s = 0.0
        self._any_valid = False
        self.since_s = opened_s

    def on_valid(self, now_s: float) -> None:
        """Records a valid packet."""
        if self._any_valid:
            self._usual_s = max(now_s - self.since_s, 0.98 * self._usual_s)
        self._any_valid, self.since_s = True, now_s

    def expired_s(self, now_s: float) -> float:
        """The time limit where it is exceeded; else 0."""
        limit_s = self._limit_s()
        return limit_s if now_s - self.since_s > limit_s else 0.0

    def expires_s(self) -> float:
        """When the time limit is exceeded without a further packet."""
        return self.since_s + self._limit_s()

    def _limit_s(self) -> float:
        usual_s = max(MIN_TIMEOUT_S, INTERVALS * self._usual_s) if self._any_valid else FIRST_PACKET_S
        return self.configured_s or usual_s
