"""What a fix may say at all, whatever came down the line."""

import math

from firmware_bridge.readings import Fix


def can_be(fix: Fix) -> None:
    """Every number of a fix lies where it can."""
    ranges = {
        "lat": (-90, 90), "lon": (-180, 180), "alt_m": (-1000, 100_000), "satellites": (0, 200),
        "satellites_seen": (0, 1000), "hdop": (0, 99), "error_m": (0, 100_000), "speed_mps": (0, 1100),
        "course_deg": (0, 360), "cn0_dbhz": (0, 99),
    }  # fmt: skip
    for name, (least, most) in ranges.items():
        number = getattr(fix, name)
        assert number is None or (math.isfinite(number) and least <= number <= most), (name, number)
    assert (fix.lat is None) == (fix.lon is None) == (fix.mode == "none")
