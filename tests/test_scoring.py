"""Scores against the truth: what was right stays unmarked, what was wrong has its number."""

from typing import Any

import pytest

from simulators.run_record import RunRecord
from simulators.world.scoring import delays_s, jumps, point_errors, position_errors, score_positions
from simulators.world.true_places import TruePlaces, distance_m

LAT, LON = 32.0, 118.0
NORTH = 1 / 111_195  # a metre of the sphere, in degrees of latitude


def sails() -> RunRecord:
    """A boat sails north at 10 m/s for 20 s; a man stands 50 m east of its start, and leaves after 10 s."""
    record = RunRecord(lambda: 0.0)
    for second in range(21):
        record.truth.append(
            {"t": float(second), "device": "boat", "lat": LAT + 10 * second * NORTH, "lon": LON}
        )
        if second <= 10:
            man = {"object": "man", "kind": "person", "lat": LAT, "lon": LON + 0.00053}
            record.truth.append({"t": float(second), **man})
    record.truth.append({"t": 3.0, "event": "person_beyond_railing", "object": "man"})
    return record


def say(record: RunRecord, t: float, north_m: float, **body: Any) -> None:
    position = {"lat": LAT + north_m * NORTH, "lon": LON, "trust": "good", "error_m": 2.5, "age_s": 0.0}
    record.messages.append({"t": t, "device": "boat", "topic": "position", "body": position | body})


def alert(record: RunRecord, t: float, **fields: Any) -> None:
    body = {"alert": {"rule": "over", "alert_id": "a", "phase": "new", **fields}}
    record.messages.append({"t": t, "device": "boat", "topic": "alert", "body": body})


def test_a_position_holds_at_the_time_of_its_age() -> None:
    record = sails()
    say(record, 5.5, 50.0, age_s=0.5)
    say(record, 7.0, 60.0)
    errors = position_errors(record, "boat")
    assert [round(one.error_m, 1) for one in errors] == [0.0, 10.0]
    assert [one.worse_than_claimed for one in errors] == [False, True]  # 10 m > 3 x 2.5 m + 0.2 s x 10 m/s


@pytest.mark.parametrize(
    ("body", "worse"),
    [({}, True), ({"trust": "low"}, False), ({"error_m": 4e3}, False), ({"error_m": None}, False)],
)
def test_a_position_that_claims_nothing_breaks_no_promise(body: dict[str, Any], worse: bool) -> None:
    record = sails()
    say(record, 7.0, 7_000.0, **body)
    (error,) = position_errors(record, "boat")
    assert error.worse_than_claimed is worse
    assert score_positions(record)["boat"].share_worse == float(worse)


def test_a_jump_is_a_step_that_the_device_did_not_make() -> None:
    record = sails()
    for second, north_m in ((2, 20), (4, 40), (6, 2_060), (8, 2_080), (10, 100)):
        say(record, float(second), north_m)
    assert [second for second, _ in jumps(record, "boat")] == [6.0, 10.0]
    score = score_positions(record)["boat"]
    assert (score.reported, score.jumps, score.worse_than_claimed) == (5, 2, 2)
    assert (round(score.median_m), round(score.worst_m)) == (0, 2000)


@pytest.mark.parametrize(
    ("point", "of", "metres"),
    [
        ({"how": "gnss", "north": 50}, "boat", 0),
        ({"how": "surveyed", "north": 0}, "boat", 50),
        ({"how": "ground_plane", "north": 0, "east": 0.00053}, "man", 0),
        ({"how": "ground_ray", "north": 55_000}, "man", 55_000),
    ],
)
def test_the_point_of_an_alert_is_of_what_it_means(point: dict[str, Any], of: str, metres: float) -> None:
    record = sails()
    north, east = point.pop("north"), point.pop("east", 0.0)
    place = {"lat": LAT + north * NORTH, "lon": LON + east, "error_m": 6.0, **point}
    alert(record, 5.0, label="person", point=place)
    (error,) = point_errors(record)
    assert (error.of, error.radius_m) == (of, 6.0)
    assert error.error_m == pytest.approx(metres, rel=0.01, abs=0.5)


def test_a_vessel_is_found_by_its_number() -> None:
    record = sails()
    for number, east in (("413000100", 0.01), ("413000200", 0.0)):
        record.truth.append({"t": 5.0, "object": number, "kind": "vessel", "lat": LAT, "lon": LON + east})
    alert(record, 5.0, key="413000100", point={"lat": LAT, "lon": LON, "how": "ais"})
    (error,) = point_errors(record)
    assert error.of == "413000100"
    assert error.error_m > 900


def test_what_has_gone_is_nowhere() -> None:
    places = TruePlaces(sails())
    assert places.at("man", 10.5) is not None
    assert places.at("man", 15.0) is None
    assert places.at("boat", 500.0) == places.at("boat", 20.0)  # a device that stands is told once
    assert places.at("nobody", 5.0) is None
    assert places.speed_mps("boat", 5.0) == pytest.approx(10, rel=0.01)


def test_the_delay_of_an_alert_counts_from_the_event() -> None:
    record = sails()
    alert(record, 2.0)  # an earlier one is another
    assert delays_s(record, "person_beyond_railing", "over") == [None]
    alert(record, 4.25)
    assert delays_s(record, "person_beyond_railing", "over") == [1.25]
    assert delays_s(record, "person_beyond_railing", "over", device="post") == [None]


def test_a_degree_of_latitude_is_111_km_and_the_date_line_is_no_wall() -> None:
    assert distance_m((0, 0), (1, 0)) == pytest.approx(111_195, rel=1e-4)
    assert distance_m((0, 179.999), (0, -179.999)) == pytest.approx(222.4, rel=1e-3)


def test_an_alert_that_waited_on_the_disk_is_judged_at_its_own_instant() -> None:
    record = sails()
    record.events.append({"t": 0.0, "event": "began", "at": "2026-11-28T04:00:00Z"})
    point = {"lat": LAT + 50 * NORTH, "lon": LON, "how": "gnss"}
    for at in ("2026-11-28T04:00:05Z", "2026-11-28T09:00:05Z", None):
        alert(record, 20.0, point=point)
        record.messages[-1]["body"]["at"] = at
    errors = [round(one.error_m) for one in point_errors(record)]
    assert errors == [0, 150, 150]  # an instant that can't be is none
