"""Limits on what is reported under names that come from outside, whatever their number. Pure."""

from collections import OrderedDict
from collections.abc import Hashable

SILENT_S = 60.0
"""A regular without a report for this long gives its place to another name."""
OTHERS_PER_MINUTE = 60
MAX_COUNTED = 10_000
"""Names that were left out are counted up to this number."""


class TokenBucket:
    """A rate per minute; at most one minute's worth is saved up. Time comes in, in seconds."""

    def __init__(self) -> None:
        self._level: tuple[float, float] | None = None  # tokens, and the instant of that level

    def available(self, now_s: float, per_minute: float) -> int:
        """The number of reports that may be sent now."""
        tokens, at_s = self._level or (per_minute, now_s)
        tokens = min(per_minute, tokens + per_minute * max(0.0, now_s - at_s) / 60)
        self._level = (tokens, now_s)
        return int(tokens)

    def consume(self, count: int = 1) -> None:
        """Takes ``count`` reports off what `available` returned just before; never more than that."""
        if self._level is not None:
            self._level = (self._level[0] - count, self._level[1])


class FloodLimit:
    """Admits the first names as regulars; all other names share a rate."""

    def __init__(self, max_regulars: int) -> None:
        self._max_regulars = max_regulars
        self._regulars: OrderedDict[Hashable, float] = OrderedDict()
        """The instant of the last report of each, the longest silent first."""
        self._others = TokenBucket()
        self._left_out: set[Hashable] = set()

    def admits(self, name: Hashable, now_s: float, always: bool = False) -> bool:
        """Whether a report of ``name`` may be sent; ``always`` for a name that an alert is about."""
        if name in self._regulars or always or self._has_room(now_s):
            if name in self._regulars or len(self._regulars) < self._max_regulars:
                self._regulars[name] = now_s
                self._regulars.move_to_end(name)
            return True
        if self._others.available(now_s, OTHERS_PER_MINUTE):
            self._others.consume()
            return True
        if len(self._left_out) < MAX_COUNTED:
            self._left_out.add(name)
        return False

    def _has_room(self, now_s: float) -> bool:
        full = len(self._regulars) >= self._max_regulars
        if full and now_s - next(iter(self._regulars.values())) > SILENT_S:
            self._regulars.popitem(last=False)
        return len(self._regulars) < self._max_regulars

    def pop_left_out(self) -> int:
        """The number of names left out since the last call, up to `MAX_COUNTED`."""
        count = len(self._left_out)
        self._left_out.clear()
        return count
