"""What a good GNSS receiver makes of the true position: a slow drift, noise, and its own estimate. Pure."""

import math
import random
from datetime import datetime, timedelta

from firmware_bridge.readings import Fix
from firmware_bridge.wgs84 import Plane
from simulators.world.tracks import Motion

ERROR_M = 2.5
"""The receiver's estimate of its horizontal error, 1 sigma."""
HEIGHT_M = 12.0


def fix_of(motion: Motion, began: datetime, second: float, *, seed: int = 0, heave_m: float = 0.0) -> Fix:
    """The fix of a good receiver that is at ``motion`` at this second; its drift is 1.5 m RMS an axis."""
    noise = random.Random(seed * 1_000_003 + int(second * 10))
    north_m = _wander_m(second, 2 * seed) + noise.gauss(0, 0.3)
    east_m = _wander_m(second, 2 * seed + 1) + noise.gauss(0, 0.3)
    lat, lon = Plane(*motion.position).position(east_m, north_m)
    return Fix(
        mode="3d",
        lat=lat,
        lon=lon,
        time=began + timedelta(seconds=round(second, 2)),
        alt_m=HEIGHT_M + heave_m + noise.gauss(0, 1),
        satellites=10 + noise.randrange(3),
        hdop=0.9,
        error_m=ERROR_M,
        speed_mps=max(0.0, motion.speed_mps + noise.gauss(0, 0.05)),
        course_deg=motion.course_deg,
    )


def circle_at(
    second: float, *, lat: float, lon: float, speed_mps: float = 0.0, radius_m: float = 400.0
) -> Motion:
    """On a circle that begins at a position and heads north; without speed it stays there."""
    angle = speed_mps * second / radius_m
    east, north = radius_m * (1 - math.cos(angle)), radius_m * math.sin(angle)
    return Motion(*Plane(lat, lon).position(east, north), speed_mps, math.degrees(angle) % 360)


def _wander_m(second: float, seed: int) -> float:
    """The slow drift of a receiver's error along one axis, 1.5 m RMS."""
    phases = random.Random(seed)
    return sum(
        1.2 * math.sin(2 * math.pi * (second / (period_s * phases.uniform(0.8, 1.2)) + phases.random()))
        for period_s in (90, 300, 1100)
    )
