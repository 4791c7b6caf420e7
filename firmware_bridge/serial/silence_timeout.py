"""How long a line may be silent before it is opened anew. Pure."""

FIRST_PACKET_S = 15.0
"""A line that was just opened has this long for its first packet."""
MIN_TIMEOUT_S = 5.0
INTERVALS = 5


class SilenceTimeout:
    """Counts from the last valid packet: ``configured_s``, or `INTERVALS` of the longest usual interval."""

    def __init__(self, opened_s: float, configured_s: float | None) -> None:
        self._configured_s = configured_s
        self._usual_s = 0.0
        self._heard = False
        self.since_s = opened_s

    def on_valid(self, now_s: float) -> None:
        """Something valid came."""
        if self._heard:
            self._usual_s = max(now_s - self.since_s, 0.98 * self._usual_s)
        self._heard, self.since_s = True, now_s

    def expired_s(self, now_s: float) -> float:
        """How long was waited in vain, where that is too long; else 0."""
        usual_s = max(MIN_TIMEOUT_S, INTERVALS * self._usual_s) if self._heard else FIRST_PACKET_S
        limit_s = self._configured_s or usual_s
        return limit_s if now_s - self.since_s > limit_s else 0.0
