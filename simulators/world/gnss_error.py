"""What a good GNSS receiver makes of the true position: a slow drift, noise, and its own estimate. Pure."""

import math
import random
from datetime import datetime, timedelta
from functools import lru_cache

from firmware_bridge.readings import Fix
from firmware_bridge.wgs84 import Plane
from simulators.world.tracks import Motion

ERROR_M = 2.5
"""The receiver's estimate of its horizontal error, 1 sigma."""
HEIGHT_M = 12.0


def fix_of(
    motion: Motion,
    began: datetime,
    second: float,
    *,
    seed: int = 0,
    heave_m: float = 0.0,
    error_m: float = ERROR_M,
) -> Fix:
    """The fix of a good receiver that is at ``motion`` at this second.

    It keeps to ``error_m``, its own estimate: of 2.5 m, 1.5 m an axis are drift, and 0.3 m noise.
    """
    noise = random.Random(seed * 1_000_003 + int(second * 10))
    poor = error_m / ERROR_M
    north_m = poor * (_wander_m(second, 2 * seed) + noise.gauss(0, 0.3))
    east_m = poor * (_wander_m(second, 2 * seed + 1) + noise.gauss(0, 0.3))
    lat, lon = Plane(*motion.position).position(east_m, north_m)
    return Fix(
        mode="3d",
        lat=lat,
        lon=lon,
        time=began + timedelta(seconds=round(second, 2)),
        alt_m=HEIGHT_M + heave_m + noise.gauss(0, 1),
        satellites=10 + noise.randrange(3),
        hdop=round(0.9 * poor, 1),
        error_m=error_m,
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
    return sum(1.2 * math.sin(math.tau * (second / period_s + phase)) for period_s, phase in _drift(seed))


@lru_cache(maxsize=8192)
def _drift(seed: int) -> tuple[tuple[float, float], ...]:
    """Period and phase of its parts."""
    phases = random.Random(seed)
    return tuple((period_s * phases.uniform(0.8, 1.2), phases.random()) for period_s in (90, 300, 1100))
