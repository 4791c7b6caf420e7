"""The vessels around the device: a vessel counts once two of its reports agree. Pure."""

import math
from collections import OrderedDict, deque
from collections.abc import Container
from dataclasses import dataclass, replace

from agent.positioning.closest_approach import Kinematics, kinematics_of
from firmware_bridge.readings import Vessel
from firmware_bridge.wgs84 import Plane

MAX_VESSELS = 2000
"""Vessels that are kept; beyond that the one silent for longest is dropped."""
REPORTS_KEPT = 4
MAX_REPORT_AGE_S = 900.0
"""An older report is no evidence of where a vessel can be."""
TOLERANCE_M, TOLERANCE_MPS = 150.0, 8.0
"""How far a vessel may be from its extrapolated position, and how much more for each second."""


@dataclass(frozen=True, slots=True)
class VesselTrack:
    """A vessel by its last plausible report."""

    vessel: Vessel
    motion: Kinematics


class VesselTraffic:
    """The tracks of all vessels in range, by MMSI.

    The checksum of an AIS sentence is weak. A report is plausible once it fits one of the last `REPORTS_KEPT`
    of the same vessel: a single report, or one with an impossible position, waits for another.
    """

    def __init__(self) -> None:
        self.tracks: dict[int, VesselTrack] = {}
        self._reports: OrderedDict[int, deque[Kinematics]] = OrderedDict()

    def add_report(self, vessel: Vessel, at_s: float, keep: Container[int] = ()) -> VesselTrack | None:
        """Takes a report. Returns the vessel's track if the report is plausible, otherwise None.

        Beyond `MAX_VESSELS` the vessel silent for longest is dropped, but none of ``keep``.
        """
        motion = kinematics_of(vessel, at_s)
        if motion is None:
            return None
        reports = self._reports.setdefault(vessel.mmsi, deque(maxlen=REPORTS_KEPT))
        self._reports.move_to_end(vessel.mmsi)
        plausible = any(_plausible(motion, before) for before in reports)
        reports.append(motion)
        if len(self._reports) > MAX_VESSELS:
            self.forget(next((mmsi for mmsi in self._reports if mmsi not in keep), vessel.mmsi))
        if not plausible:
            return None
        before = self.tracks.get(vessel.mmsi)
        if before is not None and vessel.name is None:  # a line that was reopened has lost the names
            vessel = replace(vessel, name=before.vessel.name, ship_type=before.vessel.ship_type)
        track = self.tracks[vessel.mmsi] = VesselTrack(vessel, motion)
        return track

    def forget(self, mmsi: int) -> None:
        """Drops a vessel and its reports."""
        self.tracks.pop(mmsi, None)
        self._reports.pop(mmsi, None)


def _plausible(now: Kinematics, before: Kinematics) -> bool:
    """Whether a vessel can have moved from the one report to the other."""
    apart_s = now.at_s - before.at_s
    if apart_s > MAX_REPORT_AGE_S:
        return False
    plane = Plane(before.lat, before.lon)
    expected, found = before.metres(plane, now.at_s), plane.metres(now.lat, now.lon)
    slack_mps = TOLERANCE_MPS + max(before.speed_mps, now.speed_mps) / 2
    return math.dist(expected, found) <= TOLERANCE_M + slack_mps * apart_s
