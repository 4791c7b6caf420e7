"""The newest word on each vessel around, so that AIS in a busy port does not fill the link. Pure."""

from collections import OrderedDict
from typing import TypeAlias

from agent.observations import Observation
from firmware_bridge.readings import Vessel

POSITION_EVERY_S = 60.0
STATIC_EVERY_S = 900.0
"""Name, size and destination seldom change, and the name is told with the position."""
DISTRESS_EVERY_S = 10.0
THIN = 5
"""So many times rarer where bytes are short; distress is not."""
MOST = 500
"""Words that wait to be told; beyond that the oldest is dropped."""

Key: TypeAlias = tuple[str, int, str]
"""Source, MMSI, and what it is about: a position, static data, a text or distress."""


class VesselBook:
    """Hears vessels; of each it gives the newest when that is due again."""

    def __init__(self) -> None:
        self._newest: OrderedDict[Key, Observation] = OrderedDict()
        self._told: OrderedDict[Key, float] = OrderedDict()

    def hear(self, vessel: Vessel, observation: Observation) -> None:
        if vessel.text is not None:
            about = vessel.text
        elif vessel.distress is not None:
            about = "distress"
        else:
            about = "static" if vessel.lat is None else "position"
        key = (observation.source, vessel.mmsi, about)
        self._newest[key] = observation
        self._newest.move_to_end(key)
        if len(self._newest) > MOST:
            self._newest.popitem(last=False)

    def due(self, now_s: float, thin: bool) -> list[Observation]:
        """What is to be told now, oldest first; it is told then."""
        due = [key for key in self._newest if now_s - self._told.get(key, -1e9) >= _every_s(key, thin)]
        for key in due:
            self._told[key] = now_s
            self._told.move_to_end(key)
        while len(self._told) > 4 * MOST:
            self._told.popitem(last=False)
        return [self._newest.pop(key) for key in due]


def _every_s(key: Key, thin: bool) -> float:
    if key[2] == "distress":
        return DISTRESS_EVERY_S
    return (STATIC_EVERY_S if key[2] == "static" else POSITION_EVERY_S) * (THIN if thin else 1)
