"""What the sensors of a board measure. Pure."""

import math
import random


def measurements_at(second: float, seed: int = 0) -> dict[int, int]:
    """The measurements of a sensor board: temperature, humidity, supply, in the wire's integers."""
    noise = random.Random(seed * 1_000_003 + int(second))
    return {
        0: 1850 + int(150 * math.sin(second / 600)) + noise.randrange(-8, 9),
        1: 640 + noise.randrange(-5, 6),
        2: 12_300 + noise.randrange(-40, 41),
        3: 420 + noise.randrange(-20, 21),
    }
