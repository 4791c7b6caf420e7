"""The simulated truth at second *t*: pure functions of a seed."""

import math
import random
from datetime import datetime, timedelta

from firmware_bridge.readings import Fix
from firmware_bridge.wgs84 import Plane


def fix_at(
    began: datetime, second: float, *, lat: float, lon: float, seed: int = 0, speed_mps: float = 0.0
) -> Fix:
    """The fix of a good receiver: on a circle at ``speed_mps``, or stationary; with an error of some
    metres.
    """
    noise = random.Random(seed * 1_000_003 + int(second * 10))
    radius_m = 400.0
    angle = speed_mps * second / radius_m
    north_m = radius_m * math.sin(angle) + _wander_m(second, 2 * seed) + noise.gauss(0, 0.3)
    east_m = radius_m * (1 - math.cos(angle)) + _wander_m(second, 2 * seed + 1) + noise.gauss(0, 0.3)
    fix_lat, fix_lon = Plane(lat, lon).position(east_m, north_m)
    return Fix(
        mode="3d",
        lat=fix_lat,
        lon=fix_lon,
        time=began + timedelta(seconds=round(second, 2)),
        alt_m=12.0 + noise.gauss(0, 1),
        satellites=10 + noise.randrange(3),
        hdop=0.9,
        error_m=2.5,
        speed_mps=max(0.0, speed_mps + noise.gauss(0, 0.05)),
        course_deg=math.degrees(angle) % 360,
    )


def _wander_m(second: float, seed: int) -> float:
    """The slow drift of a receiver's error along one axis, 1.5 m RMS."""
    phases = random.Random(seed)
    return sum(
        1.2 * math.sin(2 * math.pi * (second / (period_s * phases.uniform(0.8, 1.2)) + phases.random()))
        for period_s in (90, 300, 1100)
    )


def measurements_at(second: float, seed: int = 0) -> dict[int, int]:
    """The measurements of a sensor board: temperature, humidity, supply, in the wire's integers."""
    noise = random.Random(seed * 1_000_003 + int(second))
    return {
        0: 1850 + int(150 * math.sin(second / 600)) + noise.randrange(-8, 9),
        1: 640 + noise.randrange(-5, 6),
        2: 12_300 + noise.randrange(-40, 41),
        3: 420 + noise.randrange(-20, 21),
    }
