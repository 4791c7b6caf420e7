"""The simulated world: nothing jumps, the same seed is the same world, and its distances are true."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from agent.domain.schedule import sun_deg
from agent.positioning.ray_cast import Angles, Pixel, Pose, locate
from agent.vision.tracker import Tracker
from firmware_bridge.wgs84 import Plane
from simulators.boat import instruments_at, traffic_at
from simulators.run_record import RunRecord
from simulators.world.camera_picture import point_in
from simulators.world.daylight import daylight, sun_elevation_deg
from simulators.world.gnss_error import fix_of
from simulators.world.mission import Mission
from simulators.world.path import Path as Way
from simulators.world.projection import ASPECT, Pinhole, Tilt
from simulators.world.river import make_ships, ship_messages, straight_line
from simulators.world.settings import Stop, TrackSettings, WorldSettings
from simulators.world.sightings import camera_view
from simulators.world.tracks import Motion, Track, make_track, read_line
from simulators.world.truth import keep_truth, truth_at
from simulators.world.waves import Waves
from simulators.world.world import PlacedDevice, World

HERE = (32.1, 118.7)
BEGAN = datetime(2026, 11, 28, 6, tzinfo=UTC)
ZONES = {
    "rail": [[0.4, 0.5], [0.6, 0.5], [0.6, 1.0], [0.4, 1.0]],
    "over": [[0.6, 0.5], [0.8, 0.5], [0.8, 1.0], [0.6, 1.0]],
}
CAMERA = {"kind": "camera", "url": "{camera}", "purpose": "a test", "zones": ZONES}


def haversine_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Apart from `firmware_bridge.wgs84`: on a sphere."""
    lat, lon, to_lat, to_lon = map(math.radians, (*one, *other))
    half = math.sin((to_lat - lat) / 2) ** 2
    half += math.cos(lat) * math.cos(to_lat) * math.sin((to_lon - lon) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def post(**more: Any) -> PlacedDevice:
    config = {"place": {"lat": HERE[0], "lon": HERE[1]}, "sources": {"cam1": CAMERA | more}}
    return PlacedDevice(config)


corners = st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40)), min_size=2, max_size=7).map(
    lambda points: [
        point for number, point in enumerate(points) if number == 0 or point != points[number - 1]
    ]
)


@settings(max_examples=30, deadline=None)
@given(
    corners.filter(lambda points: len(points) >= 2),
    st.floats(0.5, 30),
    st.floats(0.1, 5),
    st.floats(0, 300),
    st.booleans(),
)
def test_nothing_on_a_track_is_faster_than_its_speed_and_nothing_jumps(
    points: list[tuple[int, int]], speed: float, mps2: float, radius: float, returns: bool
) -> None:
    plane = Plane(*HERE)
    track = Track(
        [plane.position(50.0 * east, 50.0 * north) for east, north in points],
        speeds_mps=(speed,), starts_s=3, turn_radius_m=radius, mps2=mps2, returns=returns,
        stops=(Stop.model_validate({"at": 1, "for": "4s"}),),
    )  # fmt: skip
    ends_s = 3 + track.duration_s
    times = [ends_s * 1.5 * step / 400 for step in range(400)]
    for second, later in pairwise(times):
        moved = haversine_m(track.at(second).position, track.at(later).position)
        assert moved <= speed * (later - second) * 1.004 + 0.01  # the sphere is not the ellipsoid
        assert track.at(second).speed_mps <= speed + 1e-9
        nearly = track.at(second + 0.01)
        assert abs(nearly.speed_mps - track.at(second).speed_mps) <= mps2 * 0.01 + 1e-6
    assert track.at(0) == track.at(3)
    if not returns:
        assert track.at(ends_s + 100) == track.at(ends_s)
        assert (
            haversine_m(track.at(ends_s).position, plane.position(50.0 * points[-1][0], 50.0 * points[-1][1]))
            < 0.1
        )


def test_a_track_stops_where_it_is_told_and_goes_round_its_corners() -> None:
    plane = Plane(*HERE)
    way = [plane.position(*metres) for metres in ((0, 0), (0, 400), (400, 400), (400, 0))]
    stop = Stop.model_validate({"at": 2, "for": "20s"})
    track = Track(way, speeds_mps=(10.0,), stops=(stop,), turn_radius_m=30, mps2=1.0)
    reached_s = track.reaches_s(2)
    assert haversine_m(track.at(reached_s).position, way[2]) < 0.1
    assert all(track.at(reached_s + wait_s).speed_mps < 0.05 for wait_s in (0, 5, 10, 19.9))
    assert track.at(reached_s + 25).speed_mps > 4
    before, after = track.at(reached_s - 1), track.at(reached_s + 22)
    assert (round(before.course_deg), round(after.course_deg)) == (90, 180)
    corner = track.at(track.reaches_s(1))
    assert corner.course_deg == pytest.approx(45, abs=0.5)
    assert corner.speed_mps == pytest.approx(math.sqrt(2 * 30), abs=0.1)  # as fast as the turn allows
    assert haversine_m(corner.position, way[1]) == pytest.approx(30 * (math.sqrt(2) - 1), abs=0.2)
    assert track.length_m == pytest.approx(1200 - 2 * 30 + math.pi / 2 * 30, abs=0.1)


def test_the_length_of_a_track_is_that_of_the_great_circle() -> None:
    one, other = (32.1, 118.7), (32.3, 118.9)
    assert Track([one, other]).length_m == pytest.approx(haversine_m(one, other), rel=0.003)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"waypoints": [[1, 2], [1, 2]]}, "same place"),
        ({"waypoints": [[1, 2], [1, 3]], "speed_mps": [1, 2]}, "2 speeds for 1 legs"),
        ({"waypoints": [[1, 2], [1, 3]], "stops": [{"at": 7, "for": "1s"}]}, "beyond the last"),
        ({"file": "tracks/nowhere.geojson"}, "no track file"),
        ({"waypoints": [[1, 2], [1, 3]], "file": "x"}, "either a file or waypoints"),
        ({"waypoints": [[118.7, 32.1], [1, 3]]}, "latitude, longitude"),
    ],
)
def test_a_track_that_is_none_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises((ValueError, OSError), match=says):
        make_track(TrackSettings.model_validate(wrong))


def test_a_file_brings_its_speed_and_the_scenario_has_the_last_word(tmp_path: Path) -> None:
    line = '{"type": "LineString", "coordinates": [[118.7, 32.1], [118.71, 32.1]]}'
    text = f'{{"type": "Feature", "properties": {{"speed_mps": 3, "name": "x"}}, "geometry": {line}}}'
    (tmp_path / "way.geojson").write_text(text)
    slow = make_track(TrackSettings(file="way.geojson"), tmp_path)
    fast = make_track(TrackSettings(file="way.geojson", speed_mps=9), tmp_path)
    assert (slow.top_speed_mps, fast.top_speed_mps) == (3, 9)
    (tmp_path / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(ValueError, match="no GeoJSON with a LineString"):
        read_line(tmp_path / "none.geojson")


def test_a_way_passes_its_waypoints_in_order() -> None:
    way = Way([(0, 0), (100, 0), (100, 100), (0, 100)], 20, sharp={2})
    assert way.waypoints_m == sorted(way.waypoints_m)
    east, north, _ = way.at(way.waypoints_m[2])
    assert (east, north) == pytest.approx((100, 100))
    assert way.at(-5) == way.at(0)
    assert way.at(1e6)[:2] == pytest.approx((0, 100))


@pytest.mark.parametrize("height", [0.0, 0.3, 1.5])
def test_waves_have_their_height(height: float) -> None:
    sea = Waves(height, 3)
    heaves = [sea.heave_m(second / 5) for second in range(20_000)]
    rms = math.sqrt(sum(heave**2 for heave in heaves) / len(heaves))
    assert 4 * rms == pytest.approx(height, rel=0.1)
    assert max(map(abs, heaves)) <= sea.greatest_heave_m
    assert sea.roll_deg(7.0) == Waves(height, 3).roll_deg(7.0)


@pytest.mark.parametrize("lat", [-50.0, 0.0, 32.1, 60.0])
def test_the_sun_stands_where_another_formula_has_it(lat: float) -> None:
    for hours in range(0, 24 * 365, 41):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
        assert sun_elevation_deg(at, lat, 118.7) == pytest.approx(sun_deg(at, lat, 118.7), abs=0.6)


def test_the_evening_gets_dark() -> None:
    evening = datetime.fromisoformat("2022-11-28T16:00:00+08:00")
    said = [daylight(evening + timedelta(minutes=20 * step), *HERE) for step in range(12)]
    assert said == sorted(said, key=("day", "dusk", "night").index)
    assert set(said) == {"day", "dusk", "night"}
    assert daylight(datetime.fromisoformat("2022-11-28T19:40:00+08:00"), *HERE) == "night"


def test_ships_send_as_class_and_speed_ask() -> None:
    ships = make_ships(straight_line(*HERE, 60), 14, seed=3)
    sent = [(second, vessel) for second in range(120) for vessel in ship_messages(ships, second)]
    reports = [
        second for second, vessel in sent if vessel.mmsi == ships[0].report.mmsi and vessel.message == 1
    ]
    assert {later - earlier for earlier, later in pairwise(reports)} <= {6, 10}
    assert {vessel.message for _, vessel in sent} >= {1, 18}
    for ship in ships:
        steps = [
            haversine_m(ship.at(second).position, ship.at(second + 1).position)
            for second in range(0, 4000, 7)
        ]
        assert max(steps) <= ship.track.top_speed_mps * 1.004
    assert make_ships(straight_line(*HERE, 60), 14, seed=3)[5].at(99) == ships[5].at(99)
    assert make_ships(straight_line(*HERE, 60), 14, seed=4)[5].at(99) != ships[5].at(99)


def test_a_boat_says_where_its_track_has_it() -> None:
    track = {"waypoints": [[32.1, 118.7], [32.1, 118.71], [32.11, 118.71]], "speed_mps": 9}
    told = {"tracks": {"way": track}, "river_traffic": {"vessels": 3}}
    world = World(WorldSettings.model_validate(told), 1, {"boat": PlacedDevice({}, moves="way")})
    for second in (0, 50, 150):
        motion = world.motion("boat", second)
        heard = traffic_at(second, BEGAN, lat=0, lon=0, motion=motion, world=world)
        own = next(one for one in heard if one.own)
        assert (own.lat, own.lon, own.speed_mps) == pytest.approx((*motion.position, motion.speed_mps))
        assert {one.mmsi for one in heard} <= {own.mmsi, *(ship.report.mmsi for ship in world.ships)}
    read = {one.quantity: one.value for one in instruments_at(50, motion=world.motion("boat", 50))}
    assert read["heading_true"] == pytest.approx(90, abs=0.1)
    assert read["speed_through_water"] == pytest.approx(9, abs=0.2)


@pytest.mark.parametrize("error_m", [1.0, 2.5, 12.0])
def test_a_receiver_keeps_to_the_error_that_it_reports(error_m: float) -> None:
    far = [
        haversine_m((fix.lat or 0, fix.lon or 0), HERE)
        for fix in (fix_of(Motion(*HERE), BEGAN, 7.0 * step, seed=5, error_m=error_m) for step in range(800))
    ]
    assert math.sqrt(sum(one**2 for one in far) / len(far)) == pytest.approx(error_m, rel=0.3)
    assert max(far) < 3 * error_m


def test_incidents_are_in_the_truth_where_the_scenario_asks_for_them() -> None:
    told = {"lat": 32.1, "lon": 118.7, "river_traffic": {"vessels": 0, "incidents": True}}
    world = World(WorldSettings.model_validate(told), 2)
    kinds = {one.kind for one in world.objects(40)}
    assert kinds == {"vessel", "beacon", "buoy", "shore_station"}
    assert not list(World(WorldSettings(), 2).objects(40))


def test_the_camera_of_a_drone_looks_from_where_it_flies() -> None:
    mount = {"fov_deg": 78, "gimbal": True, "follows": "radio"}
    sources = {"radio": {"kind": "mavlink"}, "cam1": CAMERA | {"mount": mount}}
    station = PlacedDevice({"place": {"lat": HERE[0], "lon": HERE[1]}, "sources": sources})
    flying = Mission(*HERE).at(20)
    assert flying.yaw_deg == pytest.approx(0, abs=1)
    # 60 m high, 45 degrees down, 10 degrees to the right: 60 m ahead
    ahead = Plane(flying.lat or 0, flying.lon or 0).position(
        60 * math.sin(math.radians(10)), 60 * math.cos(math.radians(10))
    )
    person = {"path": [ahead, Plane(*ahead).position(0, 1)], "comes": "19s"}
    world = World(WorldSettings.model_validate({"people": [person]}), 0, {"station": station})
    box = camera_view(world, "station", "cam1").objects(19.9999)[0].box
    assert ((box[0] + box[2]) / 2, box[3]) == pytest.approx((0.5, 0.5), abs=0.02)
    assert not camera_view(world, "station", "cam1").objects(1)


def test_a_drone_comes_home() -> None:
    mission = Mission(*HERE)
    speeds = [
        haversine_m(mission.motion(tenth / 10).position, mission.motion(tenth / 10 + 0.1).position) * 10
        for tenth in range(round(mission.landed_s) * 10)
    ]
    assert max(speeds) <= mission.cruise_mps * 1.004
    assert mission.motion(mission.landed_s).position == pytest.approx(HERE)


def test_the_picture_is_where_the_agent_looks_for_it() -> None:
    """The projection and the agent's ray casting are written apart, and agree."""
    for body, mount in (
        (Tilt(40, 2, 3), Tilt(10, -8, -2)),
        (Tilt(200), Tilt(-30, -20)),
        (Tilt(359, -3, 5), Tilt()),
    ):
        hole = Pinhole(*HERE, 12.0, 70.0, body, mount)
        for x, y in ((0.3, 0.8), (0.5, 0.7), (0.9, 0.95)):
            pose = Pose(
                lat=HERE[0], lon=HERE[1], height_m=12.0, body=angles(body), mount=angles(mount),
                position_sigma_m=0, height_sigma_m=0, sigma=Angles(),
            )  # fmt: skip
            ground = locate(pose, Pixel(x=x, y=y), 70.0, ASPECT)
            assert ground is not None
            assert hole.point(ground.lat, ground.lon) == pytest.approx((x, y), abs=1e-3)


def angles(tilt: Tilt) -> Angles:
    return Angles(yaw_deg=tilt.yaw_deg, pitch_deg=tilt.pitch_deg, roll_deg=tilt.roll_deg)


NIGHT = {"at": "2022-11-28T19:40:00+08:00"}
RESCUE = {
    "zone": "rail", "camera": "cam1", "comes": "5s", "climbs": "20s", "beyond": "over", "in_water": "60s",
}  # fmt: skip


@pytest.mark.parametrize("more", [{}, NIGHT, NIGHT | {"rain": 1.0}])
def test_the_agents_tracker_follows_a_person_over_the_railing(more: dict[str, Any]) -> None:
    world = World(WorldSettings.model_validate({"people": [RESCUE], **more}), 1, {"post": post()})
    view, tracker = camera_view(world, "post", "cam1"), Tracker(0.4)
    seen: dict[int, list[Any]] = {}
    for tick in range(5 * 70):
        frame = view.frame(tick / 5)
        assert all(0 <= side <= 1 for found in frame.detections for side in found.box)
        for found in tracker.track(frame.detections, tick / 5):
            seen.setdefault(tick // 5, []).append(found)
    assert {found.track for at_s in range(12, 60) for found in seen.get(at_s, [])} == {1}  # one and the same
    assert all(seen.get(at_s) for at_s in range(12, 60))
    assert not [at_s for at_s in (*range(5), *range(63, 70)) if seen.get(at_s)]
    foot = [(box[0] + box[2]) / 2 for box in (seen[18][0].box, seen[40][0].box)]
    assert foot == pytest.approx([0.5, 0.7], abs=0.03)


def test_night_and_rain_cost_detections_and_the_unlit_night_nearly_all() -> None:
    def found(**more: Any) -> float:
        world = World(WorldSettings.model_validate({"people": [RESCUE], **more}), 1, {"post": post()})
        view = camera_view(world, "post", "cam1")
        frames = [view.frame(20 + tick / 10) for tick in range(300)]
        return sum(one.score >= 0.4 for frame in frames for one in frame.detections) / len(frames)

    day, night, rain, dark = found(), found(**NIGHT), found(**NIGHT, rain=1.0), found(**NIGHT, lit=False)
    assert day > night > rain > dark
    assert day > 0.97
    assert dark < 0.3


def test_a_person_behind_another_is_hidden() -> None:
    people = [RESCUE, RESCUE | {"name": "other"}]
    world = World(WorldSettings.model_validate({"people": people}), 1, {"post": post()})
    view = camera_view(world, "post", "cam1")
    near = [one.box[3] for one in view.objects(30)]
    assert len(near) == 2
    # both stand on one spot: none is nearer, so none hides the other
    assert len(view.frame(30.2).detections) == 2


def test_a_person_with_a_path_is_in_the_picture_of_a_camera_with_a_mount() -> None:
    plane = Plane(*HERE)
    path = [plane.position(-5, 30), plane.position(0, 25)]
    person = {"path": path, "comes": "2s", "climbs": "15s", "beyond": plane.position(2, 25)}
    mount = {"fov_deg": 70, "height_m": 6, "pitch_deg": -10, "heading_deg": 0}
    world = World(WorldSettings.model_validate({"people": [person]}), 1, {"post": post(mount=mount)})
    (before,) = camera_view(world, "post", "cam1").objects(14)
    (after,) = camera_view(world, "post", "cam1").objects(17)
    assert (before.box[0] + before.box[2]) / 2 == pytest.approx(0.5, abs=0.01)
    assert (after.box[0] + after.box[2]) / 2 > 0.53
    assert camera_view(world, "post", "cam1").objects(1) == []


@pytest.mark.parametrize(
    ("person", "says"),
    [
        (RESCUE | {"camera": "cam9"}, "no device has it"),
        (RESCUE | {"zone": "bridge"}, "no zone 'bridge'; known: rail, over"),
        (RESCUE | {"climbs": "6s"}, "arrives at 9.0 s"),
        (RESCUE | {"climbs": "80s"}, "in this order of time"),
        (RESCUE | {"beyond": [32.1, 118.7]}, "beyond is a position where path is given"),
        (RESCUE | {"aboard": {"track": "boat", "at": "70s"}}, "unknown track 'boat'"),
        (RESCUE | {"path": [[32.1, 118.7], [32.2, 118.7]]}, "either a path, or a zone"),
    ],
)
def test_a_person_who_fits_nothing_is_refused(person: dict[str, Any], says: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=says):
        World(WorldSettings.model_validate({"people": [person]}), 0, {"post": post()})


def test_a_point_in_a_zone_is_in_it() -> None:
    bent = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.2), (0.2, 0.2), (0.2, 0.9), (0.1, 0.9)]
    x, y = point_in(bent)
    assert x < 0.2 or y < 0.2


def test_the_truth_is_written_each_second_with_its_events_in_order() -> None:
    track = {"waypoints": [[32.1, 118.7], [32.1, 118.701]], "speed_mps": 9, "starts": "2500ms"}
    told = {"tracks": {"boat": track}, "people": [RESCUE], "river_traffic": {"vessels": 2}}
    boat = PlacedDevice({"sources": {"radio": {"kind": "mavlink"}}}, moves="boat")
    world = World(WorldSettings.model_validate(told), 5, {"post": post(), "boat-1": boat})
    record, now = RunRecord(lambda: 0.0), [0.0]

    async def sleep_until(second: float) -> None:
        now[0] = max(now[0], second)
        if second > 30:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_truth(world, record, sleep_until))
    times = [fact["t"] for fact in record.truth]
    assert times == sorted(times)
    assert len([one for one in record.truth if one.get("device") == "post"]) == 1
    assert len([one for one in record.truth if one.get("device") == "boat-1" and "lat" in one]) == 31
    events = [(fact["t"], fact["event"]) for fact in record.truth if "event" in fact]
    assert events[0] == (2.5, "track_begins")
    assert (20.0, "person_beyond_railing") in events
    objects = {(one["object"], one["kind"]) for one in truth_at(world, 10) if "object" in one}
    assert objects >= {("man", "person"), ("413700001", "vessel"), ("boat-1.drone", "drone")}
    assert list(truth_at(world, 12)) == list(truth_at(World(world.settings, 5, world.devices), 12))


def test_unknown_tracks_of_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="'way', which is no track"):
        World(devices={"boat": PlacedDevice({}, moves="way")})


def test_the_world_of_the_manual_is_valid() -> None:
    text = (Path(__file__).parents[1] / "docs" / "simulation.md").read_text()
    example = text.partition("```yaml\nworld:")[2].partition("```")[0]
    told = YAML(typ="safe").load("world:" + example)["world"]
    assert WorldSettings.model_validate(told).people[1].aboard is not None
