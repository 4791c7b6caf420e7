"""The nearest forces: boats along the river, drones straight, people on foot; and who is left out, and why."""

from typing import Any

import pytest

from centre.map.alert_queue import AlertQueue
from centre.map.forces import Forces
from centre.map.map_lines import NamedLine
from centre.map.nearest import Nearest, nearest
from centre.map.queued_alert import QueuedAlert
from centre.map.settings import MapSettings
from centre.map.waterway import Waterway
from firmware_bridge.wgs84 import Plane
from tests.map_rows import BIRTH, Rows, later

PLANE = Plane(33.0, 170.0)
BEND = NamedLine(
    "Quill", tuple(PLANE.position(*point) for point in ((0, 0), (0, 2000), (1000, 2000), (1000, 0)))
)
"""A river like an upside-down U: 5,000 m from end to end, which are 1,000 m apart."""
ARM = NamedLine("Arm", tuple(PLANE.position(*point) for point in ((3000, 2030), (1000, 2030))))
"""It flows into the corner of the bend."""
LAKE = NamedLine("Lake", tuple(PLANE.position(*point) for point in ((9000, 0), (9500, 0))))
WATER = Waterway([BEND, ARM, LAKE])


def at(east_m: float, north_m: float) -> dict[str, float]:
    lat, lon = PLANE.position(east_m, north_m)
    return {"lat": lat, "lon": lon}


def alert(east_m: float, north_m: float, **point: Any) -> QueuedAlert:
    queue = AlertQueue()
    queue.apply(Rows().alert(0, device="post-0", point={**at(east_m, north_m), "how": "surveyed", **point}))
    return queue.all()[0]


def fleet(**devices: Any) -> Forces:
    """Devices by name: kind, east, north, and further fields of the position."""
    forces, rows = Forces(), Rows()
    for name, (kind, east_m, north_m, *more) in devices.items():
        device = name.replace("_", "-")
        fields = {"mode": "3d", "trust": "good", "age_s": 0, "stale_after_s": 15} | (more[0] if more else {})
        forces.apply(rows("birth", 0, device=device, **BIRTH | {"kind": kind}))
        forces.apply(rows("status", 0, device=device, state=fields.pop("state", "online")))
        forces.apply(rows("position", 0, device=device, **at(east_m, north_m), **fields))
    return forces


def find(
    alert: QueuedAlert, forces: Forces, now_s: float = 1, water: Waterway = WATER, **given: Any
) -> Nearest:
    return nearest(alert, forces.all(), MapSettings(), water, later(now_s), **given)


@pytest.mark.parametrize(
    ("start", "goal", "expected_m"),
    [
        ((0, 0), (1000, 0), 5000),
        ((0, 500), (0, 1500), 1000),
        ((0, 1500), (500, 2000), 1000),
        ((3000, 2030), (1000, 1000), 3030),
        ((3000, 2030), (0, 0), 5030),
        ((0, 0), (9000, 0), float("inf")),
        ((0, 0), (0, 0), 0),
    ],
)
def test_ways_on_the_water(start: tuple[float, float], goal: tuple[float, float], expected_m: float) -> None:
    ends = [WATER.landing(PLANE.position(*point)) for point in (start, goal)]
    assert WATER.way_m(ends[0], ends[1], WATER.distances(ends[1])) == pytest.approx(expected_m, abs=5)


def test_a_boat_on_the_same_arm_is_before_one_that_is_nearer_in_a_straight_line() -> None:
    forces = fleet(far=("patrol_boat", 1000, 1500), near=("patrol_boat", 0, 100))
    found = find(alert(1000, 0), forces)
    assert [(one.force.device, round(one.way_m, -2)) for one in found.ranked] == [
        ("far", 1500),
        ("near", 4900),
    ]
    straight = find(alert(1000, 0), forces, water=Waterway([]))
    assert [one.force.device for one in straight.ranked] == ["near", "far"]


def test_a_drone_flies_and_people_walk() -> None:
    forces = fleet(
        drone=("drone_ground_station", 900, 0),
        walker=("watch_point", 200, 0),
        car=("checkpoint_camera", 0, 800),
    )
    found = find(alert(0, 0), forces)
    assert [(one.force.device, one.by, round(one.eta_s)) for one in found.ranked] == [
        ("drone", "air", 90), ("walker", "foot", 159), ("car", "road", 170),
    ]  # fmt: skip


LEFT_OUT = [
    ("silent", ("patrol_boat", 0, 100), 200, "silent for 200 s"),
    ("stale", ("patrol_boat", 0, 100), 60, "position is 60 s old"),
    (
        "doubtful",
        ("patrol_boat", 0, 100, {"trust": "low", "why": "jumped"}),
        1,
        "position is doubtful: jumped",
    ),
    ("stopped", ("patrol_boat", 0, 100, {"state": "stopped"}), 1, "stopped"),
    ("on another water", ("patrol_boat", 9000, 0), 1, "no water leads there"),
    ("ashore", ("patrol_boat", 5000, -4000), 1, "from a river that the map knows"),
]


@pytest.mark.parametrize(
    ("device", "now_s", "why"), [one[1:] for one in LEFT_OUT], ids=[one[0] for one in LEFT_OUT]
)
def test_who_is_left_out_and_why(device: Any, now_s: float, why: str) -> None:
    found = find(alert(0, 0), fleet(boat=device), now_s)
    assert found.ranked == ()
    assert why in found.left_out[0].why


def test_a_boat_is_no_help_far_from_the_water() -> None:
    found = find(alert(-900, 0), fleet(boat=("patrol_boat", 0, 0)))
    assert found.left_out[0].why == "the alert is 900 m from the water"


def test_the_minutes_count_from_the_alert() -> None:
    forces = fleet(
        there=("watch_point", 20, 0), boat=("patrol_boat", 0, 1000), drone=("drone_ground_station", 5000, 0)
    )
    marks = find(alert(0, 0), forces, now_s=15).marks
    assert [(mark.minutes, mark.left_s, mark.there, mark.should) for mark in marks] == [
        (1, 45, ("there",), ("there",)),
        (3, 165, ("there",), ("there", "boat")),
        (5, 285, ("there",), ("there", "boat")),
    ]
    assert find(alert(0, 0), forces, now_s=100).marks[0].should == ()


def test_an_alert_without_a_place_is_at_its_device_or_nowhere() -> None:
    queue = AlertQueue()
    queue.apply(Rows().alert(0, device="post-0"))
    forces = fleet(post_0=("metro_post", 500, 0), boat=("patrol_boat", 0, 0))
    assert find(queue.all()[0], forces).ranked[0].force.device == "post-0"
    assert find(queue.all()[0], fleet(boat=("patrol_boat", 0, 0))).place is None


def test_a_long_list_is_cut_without_losing_who_is_soonest() -> None:
    forces = fleet(**{f"w{number:03}": ("watch_point", 100 + 10 * number, 0) for number in range(200)})
    found = find(alert(0, 0), forces, most=5)
    assert [one.force.device for one in found.ranked] == [f"w{number:03}" for number in range(5)]
    assert len(found.marks[2].should) > 5


def test_a_drone_in_the_air_is_nearer_than_its_station() -> None:
    forces, rows = fleet(drone=("drone_ground_station", 3000, 0), boat=("patrol_boat", 0, 900)), Rows()
    values = [
        {"kind": "drone", "system": 1, "armed": True, "height_m": 60, **at(300, 0)},
        {"kind": "drone", "system": 2, "armed": False, "height_m": 0, **at(10, 0)},
        {"kind": "drone", "system": 3, "armed": True, "state": "lost", **at(10, 0)},
        {"kind": "drone", "system": "4", "lat": None},
        "hostile",
    ]
    forces.apply(rows("telemetry/mav", 0, device="drone", values=values))
    [drone, boat] = find(alert(0, 0), forces).ranked
    assert (drone.force.device, drone.drone, round(drone.eta_s)) == ("drone", 1, 20)
    assert boat.force.device == "boat"
    later_ones = find(alert(0, 0), forces, now_s=18).ranked  # the drone has not reported since
    assert [one.drone for one in later_ones] == [None, None]
