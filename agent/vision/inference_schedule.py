"""The order in which cameras get an inference: longest wait first, unless critical rules would be late."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

NEVER = float("inf")
URGENT_TURNS = 4
"""Each n-th turn is for the longest wait, also while cameras with critical rules are late."""
URGENT_SHARE = 0.7
"""A camera with critical rules takes precedence after this share of its maximum interval."""


class Schedulable(Protocol):
    """A camera that waits for its turn."""

    camera: str
    scheduled_s: float
    """When it had its last turn (monotonic)."""

    def ready_s(self) -> float:
        """Since when its frame waits; a future time while it may not run yet, `NEVER` without a frame."""


SchedulableT = TypeVar("SchedulableT", bound=Schedulable)


class InferenceSchedule:
    """Selects the next camera. Not thread-safe: the pool calls it under its lock."""

    def __init__(self) -> None:
        self.max_interval_s: dict[str, float] = {}
        """Maximum time between inferences of each camera that has critical rules."""
        self._urgent_in_a_row = 0

    def next(self, slots: Sequence[SchedulableT], now_s: float) -> SchedulableT:
        """The camera whose turn it is. Where its `ready_s` is in the future, nobody is ready yet."""
        first = min(slots, key=lambda slot: slot.ready_s())
        late = self._late(slots, now_s)
        return late if late is not None and self._urgent_in_a_row < URGENT_TURNS - 1 else first

    def start_turn(self, slots: Sequence[SchedulableT], slot: SchedulableT, now_s: float) -> None:
        """Records that ``slot`` got its turn at ``now_s``, and whether others had to wait for it."""
        others_wait = any(other is not slot and other.ready_s() <= now_s for other in slots)
        urgent = others_wait and slot is self._late(slots, now_s, slot)
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if urgent else 0
        slot.scheduled_s = now_s

    def _late(
        self, slots: Sequence[SchedulableT], now_s: float, current: SchedulableT | None = None
    ) -> SchedulableT | None:
        """The ready camera with critical rules that is most overdue; ``current`` counts as ready."""
        due = [
            (slot.scheduled_s + self.max_interval_s[slot.camera] * URGENT_SHARE, number)
            for number, slot in enumerate(slots)
            if slot.camera in self.max_interval_s and (slot is current or slot.ready_s() <= now_s)
        ]
        due_s, number = min(due, default=(NEVER, 0))
        return slots[number] if due_s <= now_s else None
