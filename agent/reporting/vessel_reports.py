"""The newest word on each vessel around, so that AIS in a busy port does not fill the link. Pure."""

import math
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from agent.domain.observations import Observation
from agent.positioning.closest_approach import Motion, approach, motion_of
from agent.reporting.flood_limit import COUNTED, Allowance
from firmware_bridge.readings import Vessel

POSITION_EVERY_S = 60.0
STATIC_EVERY_S = 900.0
"""Name, size and destination seldom change, and the name is told with the position."""
DISTRESS_EVERY_S = 10.0
THIN = 5
"""So many times rarer where bytes are short; distress is not."""
PER_MINUTE = 240
"""So many reports a minute are told of a source, and as many urgent ones beside: whoever forges ten thousand
vessels fills no link with them, and displaces no call for help."""
MOST = 2000
"""Reports of a source that are remembered, and as many urgent ones."""
SILENT_S = 600.0
"""What was not heard for so long is the first to be forgotten."""
NEAR_M, NEAR_WITHIN_S = 1000.0, 600.0
"""Whoever comes so near within this time is told before the others."""

Key: TypeAlias = tuple[int, str]
"""MMSI, and what it is about: a position, static data, a text or distress."""


@dataclass(slots=True)
class _Kept:
    """The newest report under a key; ``waits`` until it is told."""

    newest: Observation
    first_s: float
    told_s: float = -math.inf
    waits: bool = True


class _Shelf:
    """The reports of one source that share an allowance."""

    def __init__(self, urgent: bool) -> None:
        self.urgent = urgent
        self.kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._untold: OrderedDict[Key, None] = OrderedDict()
        """Of those the keys of which nothing was told yet; in both the last heard is at the end."""
        self.allowance = Allowance()

    def put(self, key: Key, kept: _Kept) -> Key | None:
        """The key that is forgotten for it, of a report that waited."""
        self.kept[key] = kept
        self.kept.move_to_end(key)
        if kept.told_s == -math.inf:
            self._untold[key] = None
            self._untold.move_to_end(key)
        if len(self.kept) <= MOST:
            return None
        oldest, now_s = next(iter(self.kept)), kept.newest.mono_s
        if now_s - self.kept[oldest].newest.mono_s <= SILENT_S and len(self._untold) > 1:
            # who is heard again moves to the end, so that of those never told one goes that was heard once
            oldest = next(iter(self._untold))
        forgotten = self.take(oldest)
        return oldest if forgotten is not None and forgotten.waits else None

    def take(self, key: Key) -> _Kept | None:
        self._untold.pop(key, None)
        return self.kept.pop(key, None)

    def due(
        self, now_s: float, thin: bool, first: Callable[[Observation], bool]
    ) -> tuple[list[Key], list[Key]]:
        """What is told now, the longest heard first, and what is due and has no room.

        Half of the room goes to ``first`` and to who has been known for longest, half to who has waited for
        longest: neither those who were there before nor a newcomer can be kept out.
        """
        due = [
            key
            for key, its in self.kept.items()
            if its.waits and now_s - its.told_s >= _every_s(key, thin and not self.urgent)
        ]
        room = self.allowance.left(now_s, PER_MINUTE / (THIN if thin and not self.urgent else 1))
        if len(due) > room:
            known = sorted(due, key=lambda key: (not first(self.kept[key].newest), self.kept[key].first_s))
            told = set(known[: room - room // 2])
            waited = sorted(known[len(told) :], key=lambda key: self.kept[key].told_s)
            told.update(waited[: room // 2])
        else:
            told = set(due)
        self.allowance.take(len(told))
        for key in told:
            self.kept[key].told_s, self.kept[key].waits = now_s, False
            self._untold.pop(key, None)
        return [key for key in due if key in told], [key for key in due if key not in told]


class VesselReports:
    """Hears vessels; of each it gives the newest when that is due again, within what a source may cost.

    Urgent is who calls for help, who we are, and who an alert is about: these have an allowance of their own.
    """

    def __init__(self) -> None:
        self._shelves: dict[tuple[str, bool], _Shelf] = {}
        self._left_out: dict[str, set[int]] = {}

    def hear(self, vessel: Vessel, observation: Observation, alerted: Container[str] = ()) -> None:
        """``alerted``: the keys of active alerts, among them MMSI numbers."""
        if vessel.text is not None:
            about = vessel.text
        elif vessel.distress is not None:
            about = "distress"
        else:
            about = "static" if vessel.lat is None else "position"
        source, key = observation.source, (vessel.mmsi, about)
        calls = vessel.distress is not None and not vessel.test
        urgent = calls or bool(vessel.own) or str(vessel.mmsi) in alerted
        shelf, other = self._shelf(source, urgent), self._shelf(source, not urgent)
        kept = shelf.kept.get(key) or other.take(key)
        if kept is None:
            kept = _Kept(observation, observation.mono_s)
        kept.newest, kept.waits = observation, True
        forgotten = shelf.put(key, kept)
        if forgotten is not None:
            self._leave_out(source, forgotten)

    def due(
        self, now_s: float, thin: bool, own: Motion | None = None, alerted: Container[str] = ()
    ) -> list[Observation]:
        """What is to be told now, urgent ones first, then by when they were heard; it is told then."""
        found = []
        for (source, urgent), shelf in sorted(self._shelves.items(), key=lambda one: not one[0][1]):
            first = partial(_is_known, alerted) if urgent else partial(_comes_near, own, now_s)
            told, left = shelf.due(now_s, thin, first)
            found += [shelf.kept[key].newest for key in told]
            for key in left:
                self._leave_out(source, key)
        return found

    def left_out(self, source: str) -> int:
        """Of how many vessels a report was left out since the last call, up to `COUNTED`."""
        return len(self._left_out.pop(source, ()))

    def _shelf(self, source: str, urgent: bool) -> _Shelf:
        return self._shelves.setdefault((source, urgent), _Shelf(urgent))

    def _leave_out(self, source: str, key: Key) -> None:
        numbers = self._left_out.setdefault(source, set())
        if len(numbers) < COUNTED:
            numbers.add(key[0])


def _is_known(alerted: Container[str], seen: Observation) -> bool:
    vessel = seen.value
    return isinstance(vessel, Vessel) and (bool(vessel.own) or str(vessel.mmsi) in alerted)


def _comes_near(own: Motion | None, now_s: float, seen: Observation) -> bool:
    vessel = seen.value
    other = motion_of(vessel, seen.mono_s) if isinstance(vessel, Vessel) else None
    if own is None or other is None:
        return False
    return approach(own, other, now_s, NEAR_WITHIN_S).closest_m < NEAR_M


def _every_s(key: Key, thin: bool) -> float:
    if key[1] == "distress":
        return DISTRESS_EVERY_S
    return (STATIC_EVERY_S if key[1] == "static" else POSITION_EVERY_S) * (THIN if thin else 1)


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
