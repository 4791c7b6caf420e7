"""Whose frame is looked at next."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

NEVER = float("inf")
OTHERS = 4
SOONER = 0.7
"""A camera with critical rules goes first from this share of the time on that it may go without a look."""


class Place(Protocol):
    """What decides whose turn it is: a seat."""

    camera: str
    taken_s: float

    def ready_s(self) -> float:
        """Since when it waits, `NEVER` where it does not."""


Waiting = TypeVar("Waiting", bound=Place)


class Turns:
    """Whose frame is next: the one that has waited longest. Where that is too late for a camera with critical
    rules, that one goes before, but each `OTHERS`-th turn is for those that wait besides."""

    def __init__(self) -> None:
        self.urgent: dict[str, float] = {}
        """By camera: how long, in seconds, it may go without a look."""
        self._row = 0

    def next(self, places: Sequence[Waiting], now_s: float) -> Waiting:
        """The place whose turn it is; if its `ready_s` is still to come, nobody's is yet."""
        first = min(places, key=lambda one: one.ready_s())
        late = self._late(places, now_s)
        return late if late is not None and self._row < OTHERS - 1 else first

    def took(self, places: Sequence[Waiting], one: Waiting, now_s: float) -> None:
        """It had its turn, at ``now_s``: others may have waited for it."""
        others = any(other is not one and other.ready_s() <= now_s for other in places)
        self._row = self._row + 1 if others and one is self._late(places, now_s, one) else 0
        one.taken_s = now_s

    def _late(self, places: Sequence[Waiting], now_s: float, took: Waiting | None = None) -> Waiting | None:
        late = [
            (one.taken_s + self.urgent[one.camera] * SOONER, number)
            for number, one in enumerate(places)
            if one.camera in self.urgent and (one is took or one.ready_s() <= now_s)
        ]
        due_s, number = min(late, default=(NEVER, 0))
        return places[number] if due_s <= now_s else None
