"""A drone's mission: take-off, legs, return when the battery is low, landing. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from firmware_bridge.drone_readings import Drone
from firmware_bridge.wgs84 import Metres, Plane
from simulators.world.tracks import Motion

SIDE_M = 200.0
SQUARE: tuple[Metres, ...] = ((0.0, 0.0), (0.0, SIDE_M), (SIDE_M, SIDE_M), (SIDE_M, 0.0))
"""East and north of home, flown again and again."""
LOW_PCT, FULL_PCT = 25.0, 60.0
GIMBAL_PITCH_DEG, GIMBAL_YAW_DEG = -45.0, 10.0
"""Where its camera points: below the horizon, and to the right of its nose."""
SEA_M = 18.0
"""Home's height above the sea."""


@dataclass(frozen=True)
class Mission:
    """A mission from a home; ``corners``: east and north of it in metres, the first is home itself."""

    lat: float
    lon: float
    corners: Sequence[Metres] = SQUARE
    takes_off_s: float = 2.0
    climb_mps: float = 5.0
    cruise_mps: float = 12.0
    height_m: float = 60.0
    pct_per_s: float = 1.0
    """Of the battery, while it flies."""

    @property
    def up_s(self) -> float:
        """How long it climbs."""
        return self.height_m / self.climb_mps

    @property
    def low_s(self) -> float:
        """When the battery is low, and it returns."""
        return self.takes_off_s + (FULL_PCT - LOW_PCT) / self.pct_per_s

    @cached_property
    def back_s(self) -> float:
        """How long it returns."""
        return math.dist((0, 0), self._leg(self.low_s)) / self.cruise_mps

    @property
    def landed_s(self) -> float:
        return self.low_s + self.back_s + self.up_s

    def motion(self, second: float) -> Motion:
        """Its true position, speed and course."""
        drone = self.at(second)
        assert drone.lat is not None  # noqa: S101  a simulated drone has a position
        assert drone.lon is not None  # noqa: S101
        return Motion(drone.lat, drone.lon, drone.speed_mps or 0.0, drone.course_deg or 0.0)

    def at(self, second: float, system: int = 1) -> Drone:
        """Its true state."""
        flying_s = max(0.0, min(second, self.landed_s) - self.takes_off_s)
        pct = FULL_PCT - self.pct_per_s * flying_s
        left_m = self.climb_mps * (self.landed_s - second)
        height_m = max(0.0, min(self.height_m, self.climb_mps * flying_s, left_m))
        (east, north), ahead = self._place(second), self._place(second + 0.1)
        moves = math.dist((east, north), ahead) > 0.01
        course = math.degrees(math.atan2(ahead[0] - east, ahead[1] - north)) % 360 if moves else 0.0
        lat, lon = Plane(self.lat, self.lon).position(east, north)
        return Drone(
            system=system,
            mode=self._mode(second),
            armed=self.takes_off_s <= second < self.landed_s,
            lat=lat,
            lon=lon,
            alt_m=SEA_M + height_m,
            height_m=height_m,
            speed_mps=self.cruise_mps if moves else 0.0,
            course_deg=course,
            yaw_deg=course,
            pitch_deg=-8.0 if moves else 0.0,
            battery_pct=math.ceil(pct),
            battery_v=14.0 + 0.028 * pct,
            home_lat=self.lat,
            home_lon=self.lon,
        )

    def _mode(self, second: float) -> str:
        if second < self.takes_off_s + self.up_s:
            return "LOITER" if second < self.takes_off_s else "GUIDED"
        if second < self.low_s:
            return "AUTO"
        return "RTL" if second < self.low_s + self.back_s else "LAND"

    def _place(self, second: float) -> Metres:
        if second < self.low_s:
            return self._leg(second)
        share = max(0.0, 1 - (second - self.low_s) / self.back_s) if self.back_s else 0.0
        east, north = self._leg(self.low_s)
        return east * share, north * share

    def _leg(self, second: float) -> Metres:
        """Where it is along the corners."""
        along_m = max(0.0, second - self.takes_off_s - self.up_s) * self.cruise_mps
        ends = [*self.corners[1:], self.corners[0]]
        lengths = [math.dist(one, other) for one, other in zip(self.corners, ends, strict=True)]
        along_m %= sum(lengths)
        for start, end, length in zip(self.corners, ends, lengths, strict=True):
            if along_m < length:
                share = along_m / length
                return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
            along_m -= length
        return self.corners[0]
