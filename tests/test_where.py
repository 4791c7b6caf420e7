"""The place of an alert: by surveyed points, or by what other sources say of the boat and the drone."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.domain.findings import Finding, Point
from agent.domain.observations import CameraState, Observation
from agent.positioning.camera_geolocation import MAX_POSE_AGE_S, CameraGeolocator
from agent.positioning.camera_mount import GroundSurvey, Mount
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import Fix, Reading
from firmware_bridge.wgs84 import metres_per_degree
from models.detection import Box
from tests.test_config import GOOD, told
from tests.test_ground import GRID, LAT, LON, marks, seen

START = datetime(2026, 11, 28, tzinfo=UTC)
EAST_M, NORTH_M = metres_per_degree(LAT)
POINTS = [{"x": mark.x, "y": mark.y, "lat": mark.lat, "lon": mark.lon} for mark in marks(GRID)]


def box_at(x: float, y: float, columns: int = 1920, rows: int = 1080) -> Box:
    """The box of a person whose foot is at a pixel."""
    return (x - 20) / columns, (y - 90) / rows, (x + 20) / columns, y / rows


def finding(box: Box | None, source: str = "cam1", **more: Any) -> Finding:
    return Finding(key="k", text="t", since=START, source=source, box=box, **more)


def hear(where: CameraGeolocator, source: str, second: float, value: Any) -> None:
    where.on_observation(Observation(source, START + timedelta(seconds=second), second, value))


def off(point: Point | None, east: float, north: float) -> float:
    assert point is not None
    return math.hypot((point.lon - LON) * EAST_M - east, (point.lat - LAT) * NORTH_M - north)


def surveyed(tmp_path: Path | None = None, **fields: Any) -> GroundSurvey:
    return GroundSurvey.model_validate({"picture": [1920, 1080], "points": POINTS} | fields)


def test_a_fixed_camera_knows_the_ground_by_its_points(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "x,y,lat,lon\n" + "\n".join(f"{p['x']},{p['y']},{p['lat']},{p['lon']}" for p in POINTS)
    )
    for points in (POINTS, tmp_path / "p.csv"):
        where = CameraGeolocator(lambda _: None)
        where.configure({"cam1": surveyed(points=points)}, {})
        point = where.with_point(finding(box_at(*seen(5, 40))), 0).point
        assert off(point, 5, 40) < 0.1
        assert point is not None
        assert point.how == "ground_plane"
        assert 0.5 < (point.error_m or 0) < 10
        assert where.troubles == []


@pytest.mark.parametrize(
    "told_",
    [
        finding(None),
        finding((0.4, 0.0, 0.5, 0.05)),
        finding(box_at(*seen(5, 40)), source="cam2"),
        finding(box_at(*seen(5, 40)), point=Point(1.0, 2.0, None, "gnss")),
    ],
    ids=["no box", "sky", "another camera", "has one"],
)
def test_what_has_no_place_or_its_own_is_left_alone(told_: Finding) -> None:
    where = CameraGeolocator(lambda _: None)
    where.configure({"cam1": surveyed()}, {})
    assert where.with_point(told_, 0) is told_


def test_poor_and_impossible_points_are_troubles(tmp_path: Path) -> None:
    bent = [dict(point) for point in POINTS]
    bent[4]["x"] += 60
    where = CameraGeolocator(lambda _: None)
    line = [{"x": 100 * n, "y": 100 * n, "lat": LAT + n / 1000, "lon": LON} for n in range(5)]
    where.configure(
        {"bent": surveyed(points=bent), "line": surveyed(points=line), "none": surveyed(points=tmp_path / "none.csv"), "good": surveyed()}, {}
    )  # fmt: skip
    assert len(where.troubles) == 3
    assert where.troubles[0].startswith("bent: ground: a poor fit: point 5 is ")
    assert "line: ground: no position can be computed: the surveyed points lie in a line" in where.troubles[1]
    assert "none.csv" in where.troubles[2]
    assert where.with_point(finding(box_at(*seen(5, 40)), source="line"), 0).point is None


BOW = Mount(fov_deg=60, height_m=5, pitch_deg=-20)
AHEAD_M = 5 / math.tan(math.radians(20))
MIDDLE: Box = (0.49, 0.4, 0.51, 0.5)


def boat(mount: Mount = BOW, place: Mapping[str, Any] | None = None) -> CameraGeolocator:
    at = {"lat": LAT, "lon": LON, "error_m": 2.0, "how": "gnss"} if place is None else place
    where = CameraGeolocator(lambda _: at or None)
    where.configure({}, {"bow": mount})
    hear(where, "bow", 0, CameraState(frames=1, skipped=0, width=1280, height=720))
    return where


def ahead(where: CameraGeolocator, at_s: float = 0.1) -> Point | None:
    return where.with_point(finding(MIDDLE, source="bow"), at_s).point


def test_a_boat_s_camera_looks_along_its_heading() -> None:
    where = boat()
    hear(where, "compass", 0, Reading(quantity="heading_true", value=90, unit="deg"))
    point = ahead(where)
    assert off(point, AHEAD_M, 0) < 0.01
    assert point is not None
    assert point.how == "ground_ray"
    assert 3 < (point.error_m or 0) < 20


def test_the_best_that_tells_the_heading_is_taken() -> None:
    where = boat()
    fix = Fix(mode="3d", lat=LAT, lon=LON, speed_mps=0.5, course_deg=10)
    hear(where, "gnss", 0, fix)
    assert ahead(where) is None  # drifting: no course
    hear(where, "gnss", 0, Fix(mode="3d", lat=LAT, lon=LON, speed_mps=5, course_deg=180))
    by_course = ahead(where)
    assert off(by_course, 0, -AHEAD_M) < 0.01
    hear(where, "compass", 0, Reading(quantity="heading_magnetic", value=267, unit="deg"))
    hear(where, "compass", 0, Reading(quantity="magnetic_variation", value=3, unit="deg"))
    assert off(ahead(where), -AHEAD_M, 0) < 0.01
    hear(where, "gyro", 0, Reading(quantity="heading_true", value=0, unit="deg"))
    assert off(ahead(where), 0, AHEAD_M) < 0.01
    where = boat(BOW.model_copy(update={"follows": "compass"}))
    hear(where, "gyro", 0, Reading(quantity="heading_true", value=0, unit="deg"))
    hear(where, "compass", 0, Reading(quantity="heading_magnetic", value=90, unit="deg"))
    assert off(ahead(where), AHEAD_M, 0) < 0.01


def test_pitch_and_roll_are_heeded_and_narrow_the_radius() -> None:
    where = boat()
    hear(where, "compass", 0, Reading(quantity="heading_true", value=0, unit="deg"))
    level = ahead(where)
    hear(where, "imu", 0, Reading(quantity="angle_pitch", value=-10, unit="deg"))
    hear(where, "imu", 0, Reading(quantity="angle_roll", value=0, unit="deg"))
    dipped = ahead(where)
    assert off(dipped, 0, 5 / math.tan(math.radians(30))) < 0.01
    assert level is not None
    assert dipped is not None
    assert (dipped.error_m or 0) < (level.error_m or 0)


def test_what_was_said_when_the_frame_was_taken_counts() -> None:
    where = boat()
    for second in range(4):
        hear(where, "compass", second, Reading(quantity="heading_true", value=second * 30, unit="deg"))
    assert (
        off(ahead(where, 1.1), AHEAD_M * math.sin(math.radians(30)), AHEAD_M * math.cos(math.radians(30)))
        < 0.01
    )
    assert ahead(where, 3 + MAX_POSE_AGE_S + 0.1) is None
    where = boat(BOW.model_copy(update={"delay": timedelta(seconds=1)}))
    for second in range(4):
        hear(where, "compass", second, Reading(quantity="heading_true", value=second * 90, unit="deg"))
    assert off(ahead(where, 3.1), 0, -AHEAD_M) < 0.01


def test_a_boat_that_does_not_know_where_it_is_places_nothing() -> None:
    where = boat(place={})
    hear(where, "compass", 0, Reading(quantity="heading_true", value=0, unit="deg"))
    assert ahead(where) is None


def test_a_mast_needs_no_compass() -> None:
    where = boat(
        BOW.model_copy(update={"heading_deg": 270.0}),
        {"lat": LAT, "lon": LON, "error_m": None, "how": "surveyed"},
    )
    hear(where, "radio", 0, DRONE)  # a drone nearby is not what it sits on
    assert off(ahead(where, 1e6), -AHEAD_M, 0) < 0.01


DRONE = Drone(
    system=1, lat=LAT, lon=LON, height_m=50, yaw_deg=90, pitch_deg=-5, roll_deg=0, speed_mps=0, error_m=1.5
)


def test_a_drone_s_camera_by_its_attitude_or_its_gimbal() -> None:
    where = boat(Mount(fov_deg=80, pitch_deg=-40), {})
    hear(where, "radio", 0, DRONE)
    assert off(ahead(where), 50, 0) < 0.01
    where = boat(Mount(fov_deg=80, gimbal=True), {})
    hear(where, "radio", 0, DRONE)
    assert ahead(where) is None  # it tells no gimbal
    hear(
        where,
        "radio",
        0.1,
        Drone(system=1, lat=LAT, lon=LON, height_m=50, gimbal_yaw_deg=180, gimbal_pitch_deg=-45),
    )
    assert off(ahead(where), 0, -50) < 0.01


@pytest.mark.parametrize("lacks", ["lat", "height_m", "yaw_deg"])
def test_a_drone_that_lacks_something_places_nothing(lacks: str) -> None:
    fields = {
        name: getattr(DRONE, name)
        for name in ("lat", "lon", "height_m", "yaw_deg", "pitch_deg", "roll_deg")
        if name != lacks
    }
    where = boat(Mount(fov_deg=80, pitch_deg=-40), {})
    hear(where, "radio", 0, Drone(system=1, **fields))
    assert ahead(where) is None
    hear(
        where,
        "radio",
        0,
        Drone(system=1, state="lost", lat=LAT, lon=LON, height_m=50, yaw_deg=0, pitch_deg=0, roll_deg=0),
    )
    assert ahead(where) is None


def test_a_poor_fit_is_a_note_of_check(tmp_path: Path) -> None:
    bent = [dict(point) for point in POINTS]
    bent[4]["x"] += 60
    for name, points, message in (
        ("bent", bent, "note: sources.cam1.ground: a poor fit: point 5 is "),
        ("four", [POINTS[n] for n in (0, 2, 6, 8)], "note: sources.cam1.ground: four points always fit"),
    ):
        file = tmp_path / f"{name}.yaml"
        file.write_text(with_camera(f"    ground: {{picture: [1920, 1080], points: {json.dumps(points)}}}"))
        done = CliRunner().invoke(cli, ["check", str(file)])
        assert done.exit_code == 0, done.output
        assert message in done.stderr


def with_camera(text: str) -> str:
    return GOOD.replace("    zones:\n", f"{text}\n    zones:\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("    ground: {picture: [1920, 1080], points: [{x: 1, y: 1, lat: 1, lon: 1}]}", "points"),
        ("    ground: {picture: [100, 100], points: [{x: 101, y: 1, lat: 1, lon: 1}, {x: 1, y: 1, lat: 1, lon: 1}, {x: 1, y: 2, lat: 1, lon: 1}, {x: 2, y: 1, lat: 1, lon: 1}]}",
         "the point 101, 1 lies outside picture [100, 100]"),
        ("    mount: {fov_deg: 60, height: 3}", "unknown key; did you mean 'height_m'?"),
        ("    mount: {fov_deg: 60, follows: gns}", "no source 'gns'; did you mean 'gnss'?"),
        ("    mount: {fov_deg: 60}\n    ground: {picture: [1920, 1080], points: p.csv}", "set one of them"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_configuration_is_named(text: str, message: str) -> None:
    assert any(message in line for line in told(with_camera(text)))
