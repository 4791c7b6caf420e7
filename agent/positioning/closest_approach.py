"""The closest point of approach (CPA) of two moving objects. Pure."""

import math
from dataclasses import dataclass

from agent.domain.findings import Point
from firmware_bridge.readings import Vessel
from firmware_bridge.wgs84 import Metres, Plane

LONG_RANGE = 27
"""This AIS message gives its position to 0.1 minutes: too coarse for a CPA."""
DSC_CALL = 0
"""Not an AIS message; its position is given to the minute."""


@dataclass(frozen=True, slots=True)
class Kinematics:
    """Position (degrees), speed and true course at a monotonic time."""

    lat: float
    lon: float
    speed_mps: float
    course_deg: float
    at_s: float

    def velocity(self) -> Metres:
        """Metres per second east and north."""
        course = math.radians(self.course_deg)
        return self.speed_mps * math.sin(course), self.speed_mps * math.cos(course)

    def metres(self, plane: Plane, now_s: float) -> Metres:
        """Metres east and north on ``plane`` at ``now_s``, at constant course and speed."""
        east, north = plane.metres(self.lat, self.lon)
        east_mps, north_mps = self.velocity()
        return east + east_mps * (now_s - self.at_s), north + north_mps * (now_s - self.at_s)


@dataclass(frozen=True, slots=True)
class Approach:
    """CPA ``closest_m`` and TCPA ``seconds``; present ``range_m`` at a true bearing."""

    closest_m: float
    seconds: float
    range_m: float
    bearing_deg: float


def closest_approach(
    own: Kinematics, other: Kinematics, now_s: float, within_s: float = math.inf
) -> Approach:
    """The approach of ``other`` to ``own`` within ``within_s`` from now, at constant course and speed."""
    plane = Plane(own.lat, own.lon)
    (own_east, own_north), (east, north) = own.metres(plane, now_s), other.metres(plane, now_s)
    east, north = east - own_east, north - own_north
    (own_e_mps, own_n_mps), (e_mps, n_mps) = own.velocity(), other.velocity()
    e_mps, n_mps = e_mps - own_e_mps, n_mps - own_n_mps
    speed2 = e_mps**2 + n_mps**2
    seconds = 0.0 if speed2 < 1e-9 else -(east * e_mps + north * n_mps) / speed2
    seconds = max(0.0, min(seconds, within_s))
    return Approach(
        closest_m=math.hypot(east + e_mps * seconds, north + n_mps * seconds),
        seconds=seconds,
        range_m=math.hypot(east, north),
        bearing_deg=math.degrees(math.atan2(east, north)) % 360,
    )


def kinematics_of(vessel: Vessel, at_s: float) -> Kinematics | None:
    """A vessel's kinematics; None where its report has no position, or too coarse a one."""
    if vessel.lat is None or vessel.lon is None or vessel.message in (LONG_RANGE, DSC_CALL):
        return None
    course = vessel.course_deg if vessel.course_deg is not None else vessel.heading_deg
    speed = vessel.speed_mps if vessel.speed_mps is not None and course is not None else 0.0
    return Kinematics(vessel.lat, vessel.lon, speed, course or 0.0, at_s)


def reported_point(vessel: Vessel, age_s: float) -> Point:
    """The place of a vessel's last report. Its error grows with the age: the vessel has moved meanwhile."""
    error_m = vessel.error_m
    if error_m is not None and vessel.speed_mps is not None:
        error_m = round(error_m + vessel.speed_mps * max(0.0, age_s), 1)
    return Point(vessel.lat or 0.0, vessel.lon or 0.0, error_m, "ais")


def vessel_name(vessel: Vessel) -> str:
    """A vessel for texts: name and MMSI, or the MMSI alone."""
    return f"vessel {vessel.mmsi}" if vessel.name is None else f"{vessel.name} ({vessel.mmsi})"
