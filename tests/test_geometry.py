"""Paths and polygons on a plane."""

import math

import pytest

from agent.domain.geometry import area, from_path, inside


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
