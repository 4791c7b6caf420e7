"""How high the sun stands: day, dusk and night. Pure.

Formulas: NOAA Global Monitoring Laboratory, "General Solar Position Calculations" (fractional year, equation
of time, declination); good to some tenths of a degree.
"""

import math
from datetime import UTC, datetime
from typing import Literal

HORIZON_DEG, DUSK_DEG = -0.833, -6.0
"""The sun's upper edge at the horizon; the end of civil twilight."""


def sun_elevation_deg(at: datetime, lat: float, lon: float) -> float:
    """The elevation of the sun's centre above the horizon, without refraction."""
    utc = at.astimezone(UTC)
    hours = utc.hour + utc.minute / 60 + utc.second / 3600
    year = math.tau / 365.25 * (utc.timetuple().tm_yday - 1 + (hours - 12) / 24)
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * math.cos(year)
        - 0.032077 * math.sin(year)
        - 0.014615 * math.cos(2 * year)
        - 0.040849 * math.sin(2 * year)
    )
    declination = (
        0.006918
        - 0.399912 * math.cos(year)
        + 0.070257 * math.sin(year)
        - 0.006758 * math.cos(2 * year)
        + 0.000907 * math.sin(2 * year)
        - 0.002697 * math.cos(3 * year)
        + 0.00148 * math.sin(3 * year)
    )
    solar_min = hours * 60 + equation_min + 4 * lon
    hour_angle = math.radians(solar_min / 4 - 180)
    north = math.radians(lat)
    height = math.sin(north) * math.sin(declination) + math.cos(north) * math.cos(declination) * math.cos(
        hour_angle
    )
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))


def daylight(at: datetime, lat: float, lon: float) -> Literal["day", "dusk", "night"]:
    """Day, dusk (or dawn) or night at a place."""
    elevation = sun_elevation_deg(at, lat, lon)
    return "day" if elevation > HORIZON_DEG else "dusk" if elevation > DUSK_DEG else "night"
