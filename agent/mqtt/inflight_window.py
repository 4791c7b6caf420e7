"""How much may be in flight: so little that an alert waits at most half a second behind it.

Adapts to the time that acknowledgements take. Pure: time comes in with each call.
"""

COUNT = 64
"""Messages in flight; paho is slow above a hundred."""
ALERT_SLOTS = 4
"""Further places for alerts and results only."""
FIRST_BYTES, LEAST_BYTES, MOST_BYTES = 8 * 1024, 512, 256 * 1024
QUEUE_S = 0.5
"""The queueing delay that messages in flight may cause, beyond the time of an empty link."""


class Window:
    """One connection's window. ``receive_maximum``: what the broker's CONNACK allows."""

    def __init__(self, receive_maximum: int = 65_535) -> None:
        self.total = max(1, min(COUNT + ALERT_SLOTS, receive_maximum))
        self.count = max(1, min(COUNT, receive_maximum - 2))
        """Places for all lanes; alerts may go up to ``total``."""
        self.bytes = FIRST_BYTES
        self.usual_s: float | None = None
        """The usual time to an acknowledgement: an exponential average."""
        self._fastest_s = float("inf")
        self._narrowed_s = float("-inf")

    def learn(self, size: int, took_s: float, now_s: float, *, full: bool) -> None:
        """A message of ``size`` bytes was acknowledged after ``took_s``; ``full``: others waited for room."""
        self._fastest_s = min(self._fastest_s, took_s)
        self.usual_s = took_s if self.usual_s is None else self.usual_s + 0.2 * (took_s - self.usual_s)
        queued_s = took_s - self._fastest_s
        if queued_s > QUEUE_S:
            # Once for each filling of the link: messages in flight were sent under the wider window.
            if now_s - self._narrowed_s > took_s:
                self._narrowed_s = now_s
                self.bytes = max(LEAST_BYTES, int(self.bytes * max(0.5, QUEUE_S / queued_s)))
        elif full:
            self.bytes = min(MOST_BYTES, self.bytes + size)
