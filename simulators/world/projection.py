"""From the world to the picture of a camera: a pinhole over level ground. Pure.

Written apart from `agent.positioning`, which goes the other way.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

from firmware_bridge.wgs84 import Plane

ASPECT = 16 / 9
"""Width by height of simulated pictures."""
NEAREST_M = 0.5

Ray: TypeAlias = tuple[float, float, float]
"""Ahead, right, down."""
PicturePoint: TypeAlias = tuple[float, float]
"""From the left and from the top, as fractions of the picture; outside 0..1 beside it."""


@dataclass(frozen=True, slots=True)
class Tilt:
    """Yaw clockwise, pitch up, roll to the right; degrees."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    def unturned(self, ray: Ray) -> Ray:
        """A ray of the outer frame in the turned one."""
        ahead, right, down = ray
        sin, cos = math.sin(math.radians(self.yaw_deg)), math.cos(math.radians(self.yaw_deg))
        ahead, right = ahead * cos + right * sin, right * cos - ahead * sin
        sin, cos = math.sin(math.radians(self.pitch_deg)), math.cos(math.radians(self.pitch_deg))
        ahead, down = ahead * cos - down * sin, down * cos + ahead * sin
        sin, cos = math.sin(math.radians(self.roll_deg)), math.cos(math.radians(self.roll_deg))
        return ahead, right * cos + down * sin, down * cos - right * sin


@dataclass(frozen=True, slots=True)
class Pinhole:
    """A camera ``height_m`` above the reference level, at a position (WGS-84, degrees)."""

    lat: float
    lon: float
    height_m: float
    fov_deg: float
    body: Tilt
    mount: Tilt = Tilt()

    def height_of(self, tall_m: float, lat: float, lon: float) -> float:
        """About how tall something is in the picture, as a fraction of it, if it is in view."""
        away_m = max(NEAREST_M, math.hypot(*Plane(self.lat, self.lon).metres(lat, lon)))
        return tall_m / away_m / (2 * math.tan(math.radians(self.fov_deg) / 2) / ASPECT)

    def point(self, lat: float, lon: float, above_m: float = 0.0) -> PicturePoint | None:
        """Where a point appears that is ``above_m`` above the reference level; None behind the camera."""
        east, north = Plane(self.lat, self.lon).metres(lat, lon)
        ahead, right, down = self.mount.unturned(self.body.unturned((north, east, self.height_m - above_m)))
        if ahead < NEAREST_M:
            return None
        width = 2 * math.tan(math.radians(self.fov_deg) / 2)
        return 0.5 + right / ahead / width, 0.5 + down / ahead / (width / ASPECT)
