"""The sentences that a GNSS receiver sends for a `Fix`, for simulators and tests. Pure."""

import math
from datetime import timedelta

from firmware_bridge.epoch import Satellite
from firmware_bridge.nmea.sentence import format_position, seal
from firmware_bridge.readings import Fix
from firmware_bridge.units import KNOT_MPS


def encode(fix: Fix, sky: tuple[Satellite, ...] = (), *, leap: bool = False) -> bytes:
    """A receiver's epoch for ``fix``: RMC, GGA, GSA, and GST and GSV where there is data.

    With ``leap`` midnight is second 60 of the day before.
    """
    clock = day = ""
    if fix.time is not None:
        at = fix.time - timedelta(seconds=leap)
        second = at.second + leap
        clock, day = f"{at:%H%M}{second:02d}.{at.microsecond // 10000:02d}", f"{at:%d%m%y}"
    known = fix.mode != "none" and fix.lat is not None and fix.lon is not None
    where = format_position(fix.lat or 0.0, fix.lon or 0.0) if known else ",,,"
    speed = "" if fix.speed_mps is None else f"{fix.speed_mps / KNOT_MPS:.3f}"
    course = "" if fix.course_deg is None else f"{fix.course_deg:.2f}"
    hdop = "" if fix.hdop is None else f"{fix.hdop:.2f}"
    altitude = "" if fix.alt_m is None else f"{fix.alt_m:.2f}"
    dimension = {"none": 1, "2d": 2, "3d": 3}[fix.mode]
    bodies = [
        f"GNRMC,{clock},{'A' if known else 'V'},{where},{speed},{course},{day},,,{'A' if known else 'N'}",
        f"GNGGA,{clock},{where},{int(known)},{fix.satellites or 0:02d},{hdop},{altitude},M,,M,,",
    ]
    talkers = sorted({one.talker for one in sky})
    for talker in talkers or ["GN"]:
        used = [f"{one.number:02d}" for one in sky if one.talker == talker and one.used][:12]
        bodies.append(f"GNGSA,A,{dimension},{','.join(used + [''] * (12 - len(used)))},,{hdop},")
    if fix.error_m is not None and known:
        sigma = f"{fix.error_m / math.sqrt(2):.2f}"
        bodies.append(f"GNGST,{clock},,,,,{sigma},{sigma},")
    for talker in talkers:
        bodies += _sky(talker, [one for one in sky if one.talker == talker])
    return b"".join(map(seal, bodies))


def _sky(talker: str, seen: list[Satellite]) -> list[str]:
    satellites = [
        f"{one.number:02d},{one.elevation_deg:02d},{one.azimuth_deg:03d},"
        + ("" if one.cn0_dbhz is None else f"{one.cn0_dbhz:02d}")
        for one in seen
    ]
    parts = [",".join(satellites[start : start + 4]) for start in range(0, len(satellites), 4)]
    return [f"{talker}GSV,{len(parts)},{at + 1},{len(seen):02d},{part}" for at, part in enumerate(parts)]
