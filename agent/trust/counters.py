"""Counters against replay: an order counts only with a higher counter than the one before it. Pure.

A counter belongs to one key, one kind of order and one target, so a push that waited at the broker is not
overtaken by a command. No clock has to be right: the desk may count by its clock, the device only compares.
"""

import json
from collections.abc import Mapping

MAX_COUNTER = 2**53 - 1


def scope(key_id: str, kind: str, target: str) -> str:
    """The name under which the last counter is kept."""
    return f"{key_id} {kind} {target}"


class Counters:
    """The highest counter of each scope. Only keys of a roles document get one, so their number is bounded.
    None is dropped: a key that is listed again must not accept its old orders."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._held: dict[str, int] = {}
        """Of orders whose effect is still to come: no other commit may store these."""

    def highest(self, name: str) -> int:
        return self._highest.get(name, 0)

    def is_repeat(self, counters: Mapping[str, int]) -> bool:
        """Whether each counter equals the highest: the broker delivers the last order again."""
        return all(value == self.highest(name) for name, value in counters.items())

    def too_low(self, counters: Mapping[str, int]) -> tuple[str, int] | None:
        """The first scope whose counter is used up, and its highest; None where all are new."""
        return next(
            ((name, self.highest(name)) for name, value in counters.items() if value <= self.highest(name)),
            None,
        )

    def advance(self, counters: Mapping[str, int]) -> None:
        """Takes the counters of an order."""
        self.raise_to(counters)

    def hold(self, counters: Mapping[str, int]) -> None:
        """The effect of an order is still to come: until `settle` its counters are left out of dumps."""
        self._held |= counters

    def settle(self, counters: Mapping[str, int]) -> None:
        """The next commit has the effect of the order, too."""
        for name, value in counters.items():
            if self._held.get(name) == value:
                del self._held[name]

    def put_back(self, counters: Mapping[str, int]) -> None:
        """An order could not be stored: it may come again, unless a newer one was taken meanwhile."""
        self.settle(counters)
        for name, value in counters.items():
            if self.highest(name) == value:
                self._highest[name] = value - 1

    def __bool__(self) -> bool:
        return bool(self._highest)

    def dump(self) -> bytes:
        held = {name: value - 1 for name, value in self._held.items() if value == self.highest(name)}
        return json.dumps(self._highest | held).encode()

    def restore(self, data: bytes | None) -> None:
        """Takes over a dump; never lowers a counter. ValueError where it is damaged."""
        values = json.loads(data or b"{}")
        if not isinstance(values, dict) or not all(isinstance(value, int) for value in values.values()):
            raise ValueError("counters of orders: damaged")
        self.raise_to(values)

    def raise_to(self, values: Mapping[str, int]) -> None:
        """Counters from another store; never lowers one."""
        self._highest |= {name: max(value, self.highest(name)) for name, value in values.items()}
