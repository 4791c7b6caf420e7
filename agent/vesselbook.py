"""The newest word on each vessel around, so that AIS in a busy port does not fill the link. Pure."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeAlias

from agent.observations import Observation
from agent.rules.approach import Motion, approach, motion_of
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


def motion_at(position: Mapping[str, Any] | None, now_s: float) -> Motion | None:
    """Our own motion, from the fields of ``position``; None where that is not known, poor or old."""
    if position is None or position.get("lat") is None or position.get("trust") != "good":
        return None
    course, speed = position.get("course_deg"), position.get("speed_mps")
    age_s = position.get("age_s") or 0.0
    moves = speed if course is not None and speed is not None else 0.0
    return Motion(position["lat"], position["lon"], moves, course or 0.0, now_s - age_s)


def approach_fields(own: Motion | None, seen: Observation, now_s: float) -> dict[str, Any]:
    """How near a vessel is, and will come if both keep course and speed; empty where that can't be said."""
    vessel = seen.value
    other = motion_of(vessel, seen.mono_s) if isinstance(vessel, Vessel) and not vessel.own else None
    if own is None or other is None:
        return {}
    found = approach(own, other, now_s)
    return {
        "range_m": round(found.range_m),
        "bearing_deg": round(found.bearing_deg),
        "cpa_m": round(found.closest_m),
        "cpa_s": round(found.seconds),
    }
