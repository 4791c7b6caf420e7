"""Positions on the WGS-84 ellipsoid, and the metres between them. Imports nothing of ours.

This module is part of the hardware bridge because decoders need it: `agent` may import `firmware_bridge`,
never the reverse.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

EQUATORIAL_RADIUS_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
POLAR_RADIUS_M = EQUATORIAL_RADIUS_M * (1 - FLATTENING)
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)

Position: TypeAlias = tuple[float, float]
"""Latitude and longitude in degrees."""
Metres: TypeAlias = tuple[float, float]
"""East and north."""


def metres_per_degree(lat: float) -> Metres:
    """The length of a degree of longitude and of a degree of latitude at ``lat``."""
    bend = 1 - ECCENTRICITY_SQUARED * math.sin(math.radians(lat)) ** 2
    north = math.radians(EQUATORIAL_RADIUS_M * (1 - ECCENTRICITY_SQUARED) / bend**1.5)
    return math.radians(EQUATORIAL_RADIUS_M / math.sqrt(bend)) * math.cos(math.radians(lat)), north


@dataclass(frozen=True, slots=True)
class Plane:
    """The plane that touches the Earth at a position: good to 1 in 1000 over some tens of kilometres."""

    lat: float
    lon: float

    def metres(self, lat: float, lon: float) -> Metres:
        """East and north of the plane's origin."""
        east_m, north_m = metres_per_degree(self.lat)
        return ((lon - self.lon + 180) % 360 - 180) * east_m, (lat - self.lat) * north_m

    def position(self, east: float, north: float) -> Position:
        """The position at this distance in metres from the plane's origin."""
        east_m, north_m = metres_per_degree(self.lat)
        lon = self.lon + east / east_m
        return self.lat + north / north_m, lon - 360 * round(lon / 360)


def distance_m(first: Position, other: Position) -> float:
    """The distance between two positions: good to 1 in 1000 over some tens of kilometres."""
    east_m, north_m = metres_per_degree((first[0] + other[0]) / 2)
    return math.hypot(((other[1] - first[1] + 180) % 360 - 180) * east_m, (other[0] - first[0]) * north_m)


def from_earth_centred(x: float, y: float, z: float) -> Position | None:
    """The position of a point near the surface in Earth-centred, Earth-fixed metres, by Bowring; None for one
    far from the surface."""
    across = math.hypot(x, y)
    if not 6_300_000 < math.hypot(across, z) < 6_500_000:
        return None
    a, b = EQUATORIAL_RADIUS_M, POLAR_RADIUS_M
    angle = math.atan2(z * a, across * b)
    north = z + (a * a - b * b) / b * math.sin(angle) ** 3
    lat = math.atan2(north, across - (a * a - b * b) / a * math.cos(angle) ** 3)
    return round(math.degrees(lat), 8), round(math.degrees(math.atan2(y, x)), 8)
