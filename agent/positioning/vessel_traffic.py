"""Which reports of vessels hold."""

import math
from collections import OrderedDict, deque
from collections.abc import Container
from dataclasses import dataclass, replace

from agent.positioning.closest_approach import Motion, motion_of
from firmware_bridge.readings import Vessel
from firmware_bridge.wgs84 import Plane

MOST = 2000
"""Vessels that are kept in mind, the last heard."""
REPORTS = 4
LONGEST_S = 900.0
"""An older report says nothing about where a vessel can be."""
OFF_M, OFF_MPS = 150.0, 8.0
"""So far from where it should be by now may a vessel be that is still the same, and so much more a second."""


@dataclass(frozen=True, slots=True)
class Track:
    """A vessel by its last report that is believed."""

    vessel: Vessel
    motion: Motion


class Traffic:
    """The vessels around.

    The checksum of a sentence is weak: a report is believed once it fits one of the last few of the same
    sender, so that one which stands alone, or puts a vessel where it can't have got to, waits for another.
    """

    def __init__(self) -> None:
        self.tracks: dict[int, Track] = {}
        self._reports: OrderedDict[int, deque[Motion]] = OrderedDict()

    def hear(self, vessel: Vessel, at_s: float, keep: Container[int] = ()) -> Track | None:
        """Takes a report; the vessel's track, if it is to be believed. Where there are too many, the one that
        was not heard for longest is forgotten, but none of ``keep``."""
        motion = motion_of(vessel, at_s)
        if motion is None:
            return None
        reports = self._reports.setdefault(vessel.mmsi, deque(maxlen=REPORTS))
        self._reports.move_to_end(vessel.mmsi)
        believed = any(_fits(motion, before) for before in reports)
        reports.append(motion)
        if len(self._reports) > MOST:
            self.forget(next((mmsi for mmsi in self._reports if mmsi not in keep), vessel.mmsi))
        if not believed:
            return None
        before = self.tracks.get(vessel.mmsi)
        if before is not None and vessel.name is None:  # a line that was opened anew has forgotten names
            vessel = replace(vessel, name=before.vessel.name, ship_type=before.vessel.ship_type)
        track = self.tracks[vessel.mmsi] = Track(vessel, motion)
        return track

    def forget(self, mmsi: int) -> None:
        self.tracks.pop(mmsi, None)
        self._reports.pop(mmsi, None)


def _fits(now: Motion, before: Motion) -> bool:
    """Whether who was there can be here, whatever it did in between."""
    apart_s = now.at_s - before.at_s
    if apart_s > LONGEST_S:
        return False
    plane = Plane(before.lat, before.lon)
    expected, found = before.metres(plane, now.at_s), plane.metres(now.lat, now.lon)
    slack_mps = OFF_MPS + max(before.speed_mps, now.speed_mps) / 2
    return math.dist(expected, found) <= OFF_M + slack_mps * apart_s
