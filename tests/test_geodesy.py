"""Metres on the ground, against a geodesic library's own positions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.geodesy import Plane, area, from_path, inside


@pytest.mark.parametrize(
    ("origin", "azimuth_deg", "distance_m", "there"),
    [  # of geographiclib 2.1, Geodesic.WGS84.Direct
        ((32.06, 118.79), 45, 1000, (32.066377, 118.797489)),
        ((32.06, 118.79), 200, 20000, (31.890492, 118.717695)),
        ((32.06, 118.79), 45, 50000, (32.378274, 119.165707)),
        ((0.0, 179.99), 45, 20000, (0.127897, -179.882959)),
        ((-45.0, 10.0), 200, 1000, (-45.008456, 9.995662)),
    ],
)
def test_metres_are_right_to_one_in_a_thousand(
    origin: tuple[float, float], azimuth_deg: float, distance_m: float, there: tuple[float, float]
) -> None:
    east, north = Plane(*origin).metres(*there)
    assert math.hypot(east, north) == pytest.approx(distance_m, rel=1e-3)
    assert math.degrees(math.atan2(east, north)) % 360 == pytest.approx(azimuth_deg, abs=0.5)


@pytest.mark.parametrize(
    ("point", "path", "away"),
    [
        ((5, 3), [(0, 0), (10, 0)], 3),
        ((-3, 4), [(0, 0), (10, 0)], 5),
        ((13, 4), [(0, 0), (10, 0)], 5),
        ((10, 5), [(0, 0), (10, 0), (10, 10)], 0),
        ((3, 4), [(0, 0), (0, 0)], 5),
        ((3, 4), [(0, 0)], math.inf),
    ],
)
def test_how_far_from_a_path(
    point: tuple[float, float], path: list[tuple[float, float]], away: float
) -> None:
    assert from_path(point, path) == pytest.approx(away)


def test_a_square_encloses_what_it_should() -> None:
    square = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]
    assert area(square) == 100
    assert inside((5, 5), square)
    assert not inside((15, 5), square)


@given(st.floats(-80, 80), st.floats(-180, 180), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_there_and_back_is_the_same_way(lat: float, lon: float, up: float, right: float) -> None:
    there = (lat + up, (lon + right + 180) % 360 - 180)
    one, other = Plane(lat, lon).metres(*there), Plane(*there).metres(lat, lon)
    assert math.hypot(*one) == pytest.approx(math.hypot(*other), rel=0.02, abs=1e-3)
