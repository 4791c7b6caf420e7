"""How often a costly command may start: one at a time, with a pause, and so many in an hour. Pure."""

from collections import deque


class TurnLimit:
    """The turns of one command. Time comes in, in seconds on the monotonic clock."""

    def __init__(self, name: str, *, pause_s: float, per_hour: int) -> None:
        self._name, self._pause_s, self._per_hour = name, pause_s, per_hour
        self._begun_s: deque[float] = deque(maxlen=per_hour)
        self._busy = False

    def begin(self, now_s: float) -> None:
        """Takes a turn, until `end`. ValueError where one runs, or where they come too often."""
        if self._busy:
            raise ValueError(f"another {self._name} is running: one at a time")
        begun, wait_s = self._begun_s, 0.0
        if begun:
            wait_s = begun[-1] + self._pause_s - now_s
        if len(begun) == self._per_hour:
            wait_s = max(wait_s, begun[0] + 3600 - now_s)
        if wait_s > 0:
            raise ValueError(f"too many of {self._name}: try again in {max(1, round(wait_s))} s")
        begun.append(now_s)
        self._busy = True

    def end(self) -> None:
        """The turn is over."""
        self._busy = False
