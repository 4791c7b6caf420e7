"""Lanes that wait: the broker refused a message of theirs, or had no subscriber for it.

Pure: the monotonic clock comes in with each call.
"""

from agent.domain.message import Lane


class LaneHolds:
    """``reasons`` says why a lane waits, in words for ``health``, until one of its messages passes."""

    def __init__(self) -> None:
        self.reasons: dict[Lane, str] = {}
        self._until_s: dict[Lane, float] = {}
        self._spread: set[Lane] = set()

    def hold(self, lane: Lane, reason: str, until_s: float) -> None:
        self.reasons[lane] = f"{lane}: {reason}"
        self._spread.discard(lane)
        self._until_s[lane] = until_s

    def shorten(self, lane: Lane, until_s: float) -> None:
        """The centre is back: a lane that waits ends its wait by then, spread over the fleet."""
        if lane in self._until_s:
            self._until_s[lane] = min(self._until_s[lane], until_s)
            self._spread.add(lane)

    def passed(self, lane: Lane) -> None:
        """The broker has taken a message of the lane."""
        self.reasons.pop(lane, None)

    def is_ready(self, lane: Lane, now_s: float) -> bool:
        return self._until_s.get(lane, 0) <= now_s

    def only_spread(self, lane: Lane) -> bool:
        """Whether the lane waits only to spread the load of a fleet: critical messages need not."""
        return lane in self._spread
