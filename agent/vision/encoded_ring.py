"""The last seconds of a stream, encoded, so that any picture of them can be decoded later. Thread-safe."""

import threading
from collections import deque

from agent.vision.access_units import AccessUnit

MAX_CHAIN = 300
"""Pictures that are decoded at most to get one: 12 s at 25 per second."""


class EncodedRing:
    """Keeps ``keep_s`` seconds of access units and the key picture before them, and at most ``max_bytes``."""

    def __init__(self, keep_s: float, max_bytes: int) -> None:
        self._keep_s, self._max_bytes = keep_s, max_bytes
        self._groups: deque[list[AccessUnit]] = deque()
        """Each begins with a key picture."""
        self._lock = threading.Lock()
        self.bytes = 0
        self.newest_s = float("-inf")

    def add(self, unit: AccessUnit) -> None:
        """Adds the next unit. Those before the first key picture are dropped: nothing can decode them."""
        with self._lock:
            if unit.key:
                self._groups.append([unit])
            elif self._groups:
                self._groups[-1].append(unit)
            else:
                return
            self.bytes += len(unit.data)
            self.newest_s = unit.at_s
            while self._groups and (self.bytes > self._max_bytes or self._first_is_old()):
                self.bytes -= sum(len(one.data) for one in self._groups.popleft())

    def chain(self, at_s: float) -> tuple[AccessUnit, ...]:
        """The units to decode for the picture nearest to ``at_s`` (monotonic), which is the last of them.

        Empty where the ring is. Where more than `MAX_CHAIN` would be needed, another picture is taken.
        """
        with self._lock:
            near = [
                (abs(unit.at_s - at_s), group, number)
                for group in self._groups
                for number, unit in enumerate(group[:MAX_CHAIN])
            ]
            if not near:
                return ()
            _, group, number = min(near, key=lambda one: one[0])
            return tuple(group[: number + 1])

    def _first_is_old(self) -> bool:
        return len(self._groups) > 1 and self._groups[1][0].at_s < self.newest_s - self._keep_s
