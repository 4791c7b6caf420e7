"""What the centre asked of sirens, lights and relays, and whether it has come to be. Pure.

An output is wanted until its time is over; the source that has it makes it so, however often it is
unplugged meanwhile. It is done when the board says that the output is as it was asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.commands.commands import OutputCommand
from agent.domain.observations import Observation
from firmware_bridge.readings import Switch

DONE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class _Open:
    """An order whose end is not told yet."""

    order: OutputCommand
    result: Mapping[str, Any]
    asked_s: float

    def until_s(self) -> float:
        """Until when it wants its output on."""
        return self.asked_s + self.order.ttl_s * self.order.on


class Actuators:
    """The orders in force, and those that the centre waits for."""

    def __init__(self) -> None:
        self._until_s: dict[tuple[str, str], float] = {}
        self._open: list[_Open] = []

    def take(
        self,
        order: OutputCommand,
        known: Mapping[str, Sequence[str]],
        result: Mapping[str, Any],
        now_s: float,
    ) -> None:
        """An order. ValueError where ``known``, the outputs of each source, has none such."""
        if order.output not in known.get(order.source, ()):
            names = ", ".join(f"{source} {name}" for source, outputs in known.items() for name in outputs)
            raise ValueError(f"no output {order.source} {order.output}; known: {names or 'none'}")
        one = _Open(order, result, now_s)
        self._until_s[order.source, order.output] = one.until_s()
        self._open.append(one)

    def wanted(self, source: str, now_s: float) -> dict[str, float]:
        """The outputs of ``source`` that are to be on, each with the seconds that it has left."""
        return {
            name: until_s - now_s
            for (owner, name), until_s in self._until_s.items()
            if owner == source and until_s > now_s
        }

    def on_observation(self, observation: Observation) -> list[dict[str, Any]]:
        """Results of orders that have come to be, by what the board says."""
        value = observation.value
        if not self._open or not isinstance(value, Switch):
            return []
        return self._settle(
            {**one.result, "state": "succeeded"}
            if (one.order.source, one.order.output, one.order.on)
            == (observation.source, value.name, value.on)
            else None
            for one in self._open
        )

    def tick(self, at: datetime, now_s: float) -> list[dict[str, Any]]:
        """Results of orders that have not come to be in time; nothing is switched on afterwards."""
        return self._settle(self._late(one, at, now_s) for one in self._open)

    def _late(self, one: _Open, at: datetime, now_s: float) -> dict[str, Any] | None:
        expired = one.order.expires is not None and one.order.expires < at
        if not expired and now_s - one.asked_s < DONE_WITHIN_S:
            return None
        where = one.order.source, one.order.output
        if self._until_s.get(where) == one.until_s():  # else a later order is in force
            del self._until_s[where]
        if expired:
            return {**one.result, "state": "expired"}
        why = f"{one.order.source} has not said within {DONE_WITHIN_S:g} s that it is done"
        if not one.order.on:
            why += "; an alert that nobody answered may keep it on"
        return {**one.result, "state": "failed", "reason": why}

    def _settle(self, ends: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
        """The results that are there; their orders are open no more."""
        results = list(ends)
        still_open = zip(self._open, results, strict=True)
        self._open = [one for one, result in still_open if result is None]
        return [result for result in results if result is not None]
