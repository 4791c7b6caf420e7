"""How near two that move will come to each other, and which reports of a vessel are to be believed. Pure."""

import math
from dataclasses import dataclass

from firmware_bridge.readings import Vessel
from firmware_bridge.wgs84 import Metres, Plane

LONG_RANGE = 27
"""This AIS message gives its position to 0.1 minutes: too coarse to judge by."""
DSC_CALL = 0
"""No AIS message: it gives its position to the minute."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where something was at an instant of the monotonic clock, and how it moved; without a speed it lay."""

    lat: float
    lon: float
    speed_mps: float
    course_deg: float
    at_s: float

    def velocity(self) -> Metres:
        """Metres a second to the east and to the north."""
        course = math.radians(self.course_deg)
        return self.speed_mps * math.sin(course), self.speed_mps * math.cos(course)

    def metres(self, plane: Plane, now_s: float) -> Metres:
        """Where it is now on ``plane``, if it kept its course and speed."""
        east, north = plane.metres(self.lat, self.lon)
        east_mps, north_mps = self.velocity()
        return east + east_mps * (now_s - self.at_s), north + north_mps * (now_s - self.at_s)


@dataclass(frozen=True, slots=True)
class Approach:
    """The closest point of approach: ``closest_m`` in ``seconds``; now ``range_m`` at a true bearing."""

    closest_m: float
    seconds: float
    range_m: float
    bearing_deg: float


def approach(own: Motion, other: Motion, now_s: float, within_s: float = math.inf) -> Approach:
    """How near ``other`` comes to ``own`` from now on, within a time, if both keep course and speed."""
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


def motion_of(vessel: Vessel, at_s: float) -> Motion | None:
    """A vessel's motion where its report gives a position that is good enough to judge by."""
    if vessel.lat is None or vessel.lon is None or vessel.message in (LONG_RANGE, DSC_CALL):
        return None
    course = vessel.course_deg if vessel.course_deg is not None else vessel.heading_deg
    speed = vessel.speed_mps if vessel.speed_mps is not None and course is not None else 0.0
    return Motion(vessel.lat, vessel.lon, speed, course or 0.0, at_s)


def who(vessel: Vessel) -> str:
    """A vessel in words: its name where it is known, its number in any case."""
    return f"vessel {vessel.mmsi}" if vessel.name is None else f"{vessel.name} ({vessel.mmsi})"
