"""How fast the backlog of telemetry goes out: a token bucket. Pure: the monotonic clock comes in."""


class BacklogPacer:
    """At most ``per_s`` messages a second, after a first second's worth at once."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self.active = True
        """Whether the last messages that were sent are from before the connection."""
        self._per_s = per_s
        self._tokens = per_s
        self._filled_s = now_s

    def refill(self, now_s: float) -> None:
        self._tokens = min(max(1.0, self._per_s), self._tokens + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s

    def allowed(self, most: int, in_flight: int) -> int:
        """How many messages may be in flight, of the ``most`` that the window allows."""
        return min(most, in_flight + int(self._tokens)) if self.active else most

    def spend(self, historical: int) -> None:
        """So many of the messages that were just sent are from before the connection."""
        self._tokens -= historical
        self.active = historical > 0
