"""What is true at second *t*: pure functions of a seed."""

import math
import random
from datetime import datetime, timedelta

from firmware_bridge.readings import Fix


def receiver_at(
    began: datetime, second: float, *, lat: float, lon: float, seed: int = 0, speed_mps: float = 0.0
) -> Fix:
    """What a good receiver says: on a circle at ``speed_mps``, or standing, with 2 m of noise."""
    noise = random.Random(seed * 1_000_003 + int(second * 10))
    radius_m = 400.0
    angle = speed_mps * second / radius_m
    north_m = radius_m * math.sin(angle) + noise.gauss(0, 2)
    east_m = radius_m * (1 - math.cos(angle)) + noise.gauss(0, 2)
    return Fix(
        mode="3d",
        lat=lat + north_m / 111_320,
        lon=lon + east_m / (111_320 * math.cos(math.radians(lat))),
        time=began + timedelta(seconds=round(second, 2)),
        alt_m=12.0 + noise.gauss(0, 1),
        satellites=10 + noise.randrange(3),
        hdop=0.9,
        speed_mps=max(0.0, speed_mps + noise.gauss(0, 0.1)),
        course_deg=math.degrees(angle) % 360,
    )


def board_at(second: float, seed: int = 0) -> dict[int, int]:
    """What a sensor board measures: temperature, humidity, supply, in the wire's integers."""
    noise = random.Random(seed * 1_000_003 + int(second))
    return {
        0: 1850 + int(150 * math.sin(second / 600)) + noise.randrange(-8, 9),
        1: 640 + noise.randrange(-5, 6),
        2: 12_300 + noise.randrange(-40, 41),
        3: 420 + noise.randrange(-20, 21),
    }
