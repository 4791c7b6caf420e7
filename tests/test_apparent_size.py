"""The size of people in a zone, held against the projection of synthetic cameras and against geolocation."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.positioning.apparent_size import GroundView, ground_view, zone_view
from agent.positioning.camera_mount import GroundSurvey, Mount, SurveyedPoint
from agent.positioning.ray_cast import Angles, Pixel, Pose, locate
from firmware_bridge.wgs84 import metres_per_degree

LAT, LON = 32.1162, 118.7404
SIZE = 1280, 720


def camera(**keys: Any) -> Any:
    return SimpleNamespace(**({"ground": None, "mount": None, "crop": None} | keys))


def mounted(pitch: float, height: float = 6.0, fov: float = 70.0, roll: float = 0.0) -> Any:
    return camera(mount=Mount(fov_deg=fov, height_m=height, pitch_deg=pitch, roll_deg=roll, heading_deg=0))


def band(top: float, bottom: float) -> list[tuple[float, float]]:
    return [(0.2, top), (0.8, top), (0.8, bottom), (0.2, bottom)]


def surveyed(view: GroundView, noise: float = 0.0, picture: tuple[int, int] = SIZE) -> GroundSurvey:
    """A survey of the ground that ``view`` sees, with errors of ``noise`` pixels."""
    east_m, north_m = metres_per_degree(LAT)
    errors = np.random.default_rng(1)
    points = []
    for x in (0.1, 0.5, 0.9):
        for y in (0.55, 0.75, 0.95):
            foot = view.foot((x, y))
            assert foot is not None
            dx, dy = errors.normal(0, noise, 2) if noise else (0.0, 0.0)
            points.append(
                SurveyedPoint(
                    x=min(max(x * picture[0] + dx, 0), picture[0]),
                    y=min(max(y * picture[1] + dy, 0), picture[1]),
                    lat=LAT + foot[1] / north_m,
                    lon=LON + foot[0] / east_m,
                )
            )
    return GroundSurvey(picture=picture, points=tuple(points))


def view_of(one: Any, size: tuple[int, int] = SIZE) -> GroundView:
    view = ground_view(one, size)
    assert view is not None
    return view


MOUNTS = st.builds(
    mounted,
    pitch=st.floats(-80, -12),
    height=st.floats(2.5, 60),
    fov=st.floats(30, 100),
    roll=st.floats(-12, 12),
)
POINTS = st.tuples(st.floats(0.05, 0.95), st.floats(0.55, 0.95))


@settings(max_examples=40, deadline=None)
@given(MOUNTS, POINTS)
def test_the_foot_is_where_a_ray_meets_the_ground(one: Any, point: tuple[float, float]) -> None:
    view, mount = view_of(one), one.mount
    foot = view.foot(point)
    body = Angles(pitch_deg=mount.pitch_deg, roll_deg=mount.roll_deg)
    pose = Pose(
        lat=LAT,
        lon=LON,
        height_m=mount.height_m,
        body=body,
        position_sigma_m=0,
        height_sigma_m=0,
        sigma=Angles(),
    )
    place = locate(pose, Pixel(x=point[0], y=point[1]), mount.fov_deg, SIZE[0] / SIZE[1])
    if place is None or foot is None:
        assert place is None
        assert foot is None
        return
    east_m, north_m = metres_per_degree(LAT)
    expected = (place.lon - LON) * east_m, (place.lat - LAT) * north_m
    assert foot[:2] == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert view.pixel(foot) == pytest.approx((point[0] * SIZE[0], point[1] * SIZE[1]), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-70, -25), st.floats(2.5, 60), st.floats(30, 90), st.floats(-10, 10), POINTS,
)  # fmt: skip
def test_surveyed_points_give_the_size_that_the_camera_projects(
    pitch: float, height: float, fov: float, roll: float, point: tuple[float, float]
) -> None:
    true = view_of(mounted(pitch, height, fov, roll))
    if any(true.foot((x, 0.55)) is None for x in (0.1, 0.5, 0.9)):
        return
    view = view_of(camera(ground=surveyed(true, picture=(640, 360))))
    expected, found = true.person_px(point), view.person_px(point)
    assert expected is not None
    assert found == pytest.approx(expected, rel=0.01, abs=0.1)
    assert view.position[2] == pytest.approx(height, rel=0.01)


def test_errors_of_two_pixels_change_the_size_little() -> None:
    true = view_of(mounted(-30))
    view = view_of(camera(ground=surveyed(true, noise=2.0)))
    for y in (0.6, 0.7, 0.8, 0.9):
        expected = true.person_px((0.5, y))
        assert view.person_px((0.5, y)) == pytest.approx(expected, rel=0.15)


def test_a_person_at_a_known_distance() -> None:
    """Level camera at 1.7 m: the head is on the horizon, so the height is that of the foot below it."""
    one = mounted(0.0, height=1.8, fov=60)
    focal = 640 / math.tan(math.radians(30))
    foot_y = 0.5 + focal * 1.8 / 20 / 720  # 20 m away
    assert view_of(one).person_px((0.5, foot_y)) == pytest.approx(focal * 1.7 / 20)


def test_far_is_smaller_than_near_and_steep_is_told() -> None:
    view = zone_view(mounted(-30), band(0.4, 0.95), SIZE)
    assert view is not None
    assert 0 < view.far_px < view.near_px
    assert 0 < view.farthest_m < 50
    assert view.steepest_deg == pytest.approx(
        30 + math.degrees(math.atan(0.45 * 720 / (640 / math.tan(math.radians(35)))))
    )
    down = zone_view(mounted(-85), band(0.2, 0.9), SIZE)
    assert down is not None
    assert down.steepest_deg == pytest.approx(90, abs=0.1)


def test_from_straight_above_a_person_is_as_large_as_the_shoulders() -> None:
    view = zone_view(mounted(-90), band(0.3, 0.7), SIZE)
    assert view is not None
    focal = 640 / math.tan(math.radians(35))
    assert view.far_px == pytest.approx(focal * 0.45 / (6 - 1.7))


@pytest.mark.parametrize("zone", [band(0.1, 0.9), band(0.05, 0.2)])
def test_a_zone_that_reaches_the_horizon(zone: list[tuple[float, float]]) -> None:
    view = zone_view(mounted(-10), zone, SIZE)
    assert view is not None
    assert view.far_px == 0
    assert math.isinf(view.farthest_m)


@pytest.mark.parametrize(
    "one",
    [
        camera(),
        camera(mount=Mount(fov_deg=60)),
        camera(mount=Mount(fov_deg=60, height_m=5, gimbal=True)),
        camera(ground=GroundSurvey(picture=SIZE, points=tuple(SurveyedPoint(x=i, y=i, lat=LAT, lon=LON) for i in range(4)))),
    ],
)  # fmt: skip
def test_nothing_is_guessed_without_survey(one: Any) -> None:
    assert zone_view(one, band(0.5, 0.9), SIZE) is None


def test_points_that_mirror_the_ground_give_no_view() -> None:
    right = surveyed(view_of(mounted(-30)))
    assert isinstance(right.points, tuple)
    mirrored = tuple(point.model_copy(update={"lon": 2 * LON - point.lon}) for point in right.points)
    assert (
        zone_view(camera(ground=right.model_copy(update={"points": mirrored})), band(0.6, 0.9), SIZE) is None
    )


def test_the_crop_of_a_survey_moves_the_optical_centre() -> None:
    whole = view_of(mounted(-30))
    crop = (0.0, 0.5, 1.0, 1.0)
    points = surveyed(whole).points
    assert isinstance(points, tuple)
    lower = tuple(point.model_copy(update={"y": point.y - 360}) for point in points)
    view = view_of(camera(ground=GroundSurvey(picture=(1280, 360), points=lower), crop=crop), (1280, 360))
    assert view.person_px((0.5, 0.5)) == pytest.approx(whole.person_px((0.5, 0.75)), rel=1e-3)
