"""Positions and metres on WGS-84, against a geodesic library's own positions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wgs84 import POLAR_RADIUS_M, Plane, distance_m, from_earth_centred


@pytest.mark.parametrize(
    ("origin", "azimuth_deg", "away_m", "there"),
    [  # of geographiclib 2.1, Geodesic.WGS84.Direct
        ((32.06, 118.79), 45, 1000, (32.066377, 118.797489)),
        ((32.06, 118.79), 200, 20000, (31.890492, 118.717695)),
        ((32.06, 118.79), 45, 50000, (32.378274, 119.165707)),
        ((0.0, 179.99), 45, 20000, (0.127897, -179.882959)),
        ((-45.0, 10.0), 200, 1000, (-45.008456, 9.995662)),
    ],
)
def test_metres_are_right_to_one_in_a_thousand(
    origin: tuple[float, float], azimuth_deg: float, away_m: float, there: tuple[float, float]
) -> None:
    east, north = Plane(*origin).metres(*there)
    assert math.hypot(east, north) == pytest.approx(away_m, rel=1e-3)
    assert math.degrees(math.atan2(east, north)) % 360 == pytest.approx(azimuth_deg, abs=0.5)
    assert distance_m(origin, there) == pytest.approx(away_m, rel=1e-3)


@given(st.floats(-80, 80), st.floats(-180, 180), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_there_and_back_is_the_same_way(lat: float, lon: float, up: float, right: float) -> None:
    there = (lat + up, (lon + right + 180) % 360 - 180)
    one, other = Plane(lat, lon).metres(*there), Plane(*there).metres(lat, lon)
    assert math.hypot(*one) == pytest.approx(math.hypot(*other), rel=0.02, abs=1e-3)
    assert distance_m((lat, lon), there) == pytest.approx(distance_m(there, (lat, lon)))


@given(st.floats(-80, 80), st.floats(-180, 180), st.floats(-20_000, 20_000), st.floats(-20_000, 20_000))
def test_a_plane_gives_positions_back(lat: float, lon: float, east: float, north: float) -> None:
    plane = Plane(lat, lon)
    there = plane.position(east, north)
    assert -180 <= there[1] <= 180
    assert plane.metres(*there) == (pytest.approx(east, abs=1e-3), pytest.approx(north, abs=1e-3))


@pytest.mark.parametrize(
    ("point", "position"),
    [  # of pyproj 3.7, EPSG:4978 to EPSG:4326
        ((-2_605_714.957, 4_741_738.074, 3_366_071.855), (32.06, 118.79)),
        ((4_448_972.450, 784_473.879, -4_487_362.551), (-45.0, 10.0)),
        ((0.0, -6_378_137.0, 0.0), (0.0, -90.0)),
        ((0.0, 0.0, POLAR_RADIUS_M), (90.0, 0.0)),
        ((0.0, 0.0, 0.0), None),
        ((7_000_000.0, 0.0, 0.0), None),
    ],
)
def test_a_point_from_the_centre_of_the_earth(
    point: tuple[float, float, float], position: tuple[float, float] | None
) -> None:
    assert from_earth_centred(*point) == (position and pytest.approx(position, abs=1e-7))
