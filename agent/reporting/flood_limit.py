"""How much is told of what is named from the outside, whatever the number of names. Pure."""

from collections import OrderedDict
from collections.abc import Hashable

SILENT_S = 60.0
"""A regular that was not heard for so long leaves its place to another."""
OTHERS_PER_MINUTE = 60
COUNTED = 10_000
"""Names that were left out are counted up to here."""


class Allowance:
    """So many a minute; at most one minute's worth is saved."""

    def __init__(self) -> None:
        self._left: tuple[float, float] | None = None

    def left(self, now_s: float, per_minute: float) -> int:
        """How many may be told now."""
        left, at_s = self._left or (per_minute, now_s)
        left = min(per_minute, left + per_minute * max(0.0, now_s - at_s) / 60)
        self._left = (left, now_s)
        return int(left)

    def take(self, count: int = 1) -> None:
        """Call `left` before; may not be more than that."""
        if self._left is not None:
            self._left = (self._left[0] - count, self._left[1])


class FloodLimit:
    """Decides which names are told: those that came first, and of the others so many reports a minute."""

    def __init__(self, regulars: int) -> None:
        self._most = regulars
        self._regulars: OrderedDict[Hashable, float] = OrderedDict()
        """When each was heard last, the most silent first."""
        self._others = Allowance()
        self._left_out: set[Hashable] = set()

    def admits(self, name: Hashable, now_s: float, always: bool = False) -> bool:
        """Whether a report of ``name`` is told; ``always`` where an alert is about it."""
        if name in self._regulars or always or self._has_room(now_s):
            if name in self._regulars or len(self._regulars) < self._most:
                self._regulars[name] = now_s
                self._regulars.move_to_end(name)
            return True
        if self._others.left(now_s, OTHERS_PER_MINUTE):
            self._others.take()
            return True
        if len(self._left_out) < COUNTED:
            self._left_out.add(name)
        return False

    def _has_room(self, now_s: float) -> bool:
        if len(self._regulars) >= self._most and now_s - next(iter(self._regulars.values())) > SILENT_S:
            self._regulars.popitem(last=False)
        return len(self._regulars) < self._most

    def left_out(self) -> int:
        """Of how many names a report was left out since the last call, up to `COUNTED`."""
        count = len(self._left_out)
        self._left_out.clear()
        return count
