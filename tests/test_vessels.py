"""Rules on vessels around, judged by lists of observations: too close, adrift, in distress."""

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agent.config.loader import parse
from agent.domain.findings import Cleared, Finding
from agent.domain.observations import Observation, Tick
from agent.domain.site import Site
from agent.domain.yaml_loader import BadConfig
from agent.positioning.closest_approach import Kinematics, closest_approach, reported_point
from agent.positioning.vessel_traffic import MAX_VESSELS, VesselTraffic
from agent.rules import Rule
from firmware_bridge.readings import Fix, Vessel
from firmware_bridge.wgs84 import Plane

LAT, LON = 32.06, 118.75
M_NORTH = 0.001 / Plane(LAT, LON).metres(LAT + 0.001, LON)[1]
M_EAST = 0.001 / Plane(LAT, LON).metres(LAT, LON + 0.001)[0]
"""Degrees in a metre, here."""
START = datetime(2026, 11, 27, tzinfo=UTC)
SHIP = 413000001


def at(second: float, value: Any, source: str = "ais") -> Observation:
    return Observation(source, START + timedelta(seconds=second), 1000 + second, value)


def motion(
    east: float, north: float, speed: float = 0.0, course: float = 0.0, at_s: float = 0.0
) -> Kinematics:
    return Kinematics(LAT + north * M_NORTH, LON + east * M_EAST, speed, course, at_s)


# own speed and course, the other's place, speed and course: nearest metres, seconds until then
APPROACHES = [
    ("head on", (5, 0), (0, 1000, 5, 180), 0, 100),
    ("crossing, collision", (5, 0), (1000, 1000, 5, 270), 0, 200),
    ("crossing, passes ahead", (5, 0), (1000, 1000, 10, 270), 447, 120),
    ("overtaking", (10, 90), (600, 50, 5, 90), 50, 120),
    ("parallel", (5, 0), (200, 0, 5, 0), 200, 0),
    ("going away", (5, 0), (0, -300, 5, 180), 300, 0),
    ("both lie", (0, 0), (300, 400, 0, 0), 500, 0),
    ("we lie, it comes", (0, 0), (-600, 30, 3, 90), 30, 200),
]


@pytest.mark.parametrize(("name", "own", "other", "metres", "seconds"), APPROACHES)
def test_closest_point_of_approach(
    name: str, own: tuple[float, float], other: tuple[float, ...], metres: float, seconds: float
) -> None:
    found = closest_approach(motion(0, 0, *own), motion(*other), 0)
    assert (found.closest_m, found.seconds) == (pytest.approx(metres, abs=3), pytest.approx(seconds, abs=1))
    assert found.range_m == pytest.approx(math.hypot(other[0], other[1]), rel=2e-3)
    assert found.bearing_deg == pytest.approx(math.degrees(math.atan2(other[0], other[1])) % 360, abs=0.2)


def test_approach_over_a_limited_time_and_from_old_reports() -> None:
    found = closest_approach(motion(0, 0), motion(0, 1000, 5, 180), 0, within_s=60)
    assert (found.closest_m, found.seconds) == (pytest.approx(700, abs=2), 60)
    later = closest_approach(motion(0, 0, 5, 0, at_s=-10), motion(0, 1000, 5, 180, at_s=-20), 0)
    assert later.range_m == pytest.approx(850, abs=2)


@pytest.mark.parametrize(
    ("error_m", "speed", "age_s", "claimed_m"),
    [(10.0, 5.0, 0.0, 10.0), (10.0, 5.0, 12.0, 70.0), (10.0, None, 12.0, 10.0), (None, 5.0, 12.0, None)],
)
def test_the_error_of_a_reported_place_grows_as_the_vessel_goes_on(
    error_m: float | None, speed: float | None, age_s: float, claimed_m: float | None
) -> None:
    vessel = Vessel(mmsi=SHIP, message=1, lat=LAT, lon=LON, speed_mps=speed, error_m=error_m)
    assert reported_point(vessel, age_s).error_m == claimed_m


@given(
    st.tuples(st.floats(0, 30), st.floats(0, 360)),
    st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000), st.floats(0, 30), st.floats(0, 360)),
)
def test_no_moment_is_closer_than_the_closest(own: Any, other: Any) -> None:
    found = closest_approach(motion(0, 0, *own), motion(*other), 0, within_s=600)
    ranges = [
        closest_approach(motion(0, 0, *own), motion(*other), second).range_m for second in range(0, 601, 20)
    ]
    assert found.closest_m <= min(ranges) + 0.5
    assert 0 <= found.seconds <= 600


def ship(east: float, north: float, speed: float | None = 5.0, course: float = 180.0, **more: Any) -> Vessel:
    fields: dict[str, Any] = {
        "mmsi": SHIP,
        "message": 1,
        "station": "class_a",
        "name": "CHANG JIANG 7",
    } | more
    return Vessel(
        lat=LAT + north * M_NORTH, lon=LON + east * M_EAST, speed_mps=speed, course_deg=course, **fields
    )


def fix(north: float = 0.0, speed: float = 0.0, mode: Any = "3d") -> Fix:
    if mode == "none":
        return Fix(mode="none")
    return Fix(mode=mode, lat=LAT + north * M_NORTH, lon=LON, speed_mps=speed, course_deg=0.0)


def rule(**config: Any) -> Any:
    around = Site(lat=LAT, lon=LON)
    return TypeAdapter(Rule).validate_python({"source": "ais"} | config).resolve(around)


def judge(rule: Any, observations: Iterable[Observation]) -> list[tuple[float, str, str]]:
    """(second, key, text or why it is over), where what is told of a key begins or ends."""
    decide = rule.scheduled_evaluator()
    said: list[tuple[float, str, str]] = []
    so: set[str] = set()
    for one in observations:
        for fact in decide(one):
            if isinstance(fact, Finding) and fact.key not in so:
                so.add(fact.key)
                said.append((one.mono_s - 1000, fact.key, fact.text))
            elif isinstance(fact, Cleared):
                so.discard(fact.key)
                said.append((one.mono_s - 1000, fact.key, fact.reason or "over"))
    return said


def comes(seconds: Iterable[int], from_m: float = 2000, east: float = 20.0) -> list[Observation]:
    """A ship that comes down from the north at 5 m/s, reports every 10 s; a tick each second."""
    said = []
    for second in seconds:
        if second % 10 == 0:
            said.append(at(second, ship(east, from_m - 5 * second)))
        said.append(at(second, Tick(), "clock"))
    return said


CLOSE = rule(kind="vessel_close", distance_m=100, within="3m")


def test_a_ship_on_a_collision_course_is_told_in_time_and_over_when_it_has_passed() -> None:
    (began, key, text), (ended, _, why) = judge(CLOSE, comes(range(600)))
    assert began == pytest.approx((2000 - 100) / 5 - 180, abs=11)
    assert key == str(SHIP)
    assert text.startswith("CHANG JIANG 7 (413000001) comes within ")
    assert " in 3 min; now " in text
    assert text.endswith(" m away, bearing 001")
    assert ended == pytest.approx((2000 + 150) / 5, abs=11)
    assert why == "over"


@pytest.mark.parametrize("own", [{"at": [LAT, LON]}, {"own": "gnss"}])
def test_who_is_passed_over_as_out_of_reach_would_not_have_been_told(
    own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vessels all around, after the device has been up for months: the quick look changes nothing."""
    up_s, made = 1e7, random.Random(7)
    said = []
    fleet = []
    for number in range(1, 200):
        east, north = made.uniform(-5e3, 5e3), made.uniform(-5e3, 5e3)
        course = math.degrees(math.atan2(-east, -north)) + made.gauss(0, 10)
        fleet.append(replace(ship(east, north, made.uniform(0, 15), course % 360), mmsi=number))
    for second in range(0, 60, 2):
        heard = fleet if second % 6 == 0 else []
        said += [at(up_s + second, one) for one in heard]
        said += [at(up_s + second, fix(speed=6.0), "gnss"), at(up_s + second, Tick(), "clock")]
    its = {"kind": "vessel_close", "distance_m": 200, **own}
    told = judge(rule(**its), said)
    monkeypatch.setattr("agent.rules.vessel_close.LEAST_M_PER_DEGREE", 0.0)
    assert told == judge(rule(**its), said)
    assert len(told) >= 10
    monkeypatch.setattr("agent.rules.vessel_close.LEAST_M_PER_DEGREE", 1e9)
    assert told != judge(rule(**its), said)


def test_the_point_is_the_vessels_and_the_alert_keeps_its_beginning() -> None:
    findings = [
        fact for one in comes(range(300, 420)) for fact in [*CLOSE_JUDGE(one)] if isinstance(fact, Finding)
    ]
    assert {fact.since for fact in findings} == {findings[0].since}
    assert findings[-1].point is not None
    assert findings[-1].point.how == "ais"
    assert findings[-1].point.lat == pytest.approx(LAT + (2000 - 5 * 410) * M_NORTH)
    assert "comes within" not in findings[-1].text


CLOSE_JUDGE = CLOSE.scheduled_evaluator()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("passes at a distance", comes(range(600), east=400)),
        ("lies", [at(s, ship(50, 50, speed=0.0, status="moored")) for s in range(0, 900, 10)]),
        ("own ship", [at(s, replace(ship(0, 500), own=True)) for s in range(0, 100, 10)]),
        ("an aid to navigation", [at(s, ship(0, 50, station="aid", message=21)) for s in range(0, 100, 10)]),
        ("over long range", [at(s, ship(0, 500, message=27)) for s in range(0, 100, 10)]),
        ("no position", [at(s, Vessel(mmsi=SHIP, message=1, speed_mps=5.0)) for s in range(0, 100, 10)]),
        ("static data", [at(s, Vessel(mmsi=SHIP, message=5, name="X")) for s in range(0, 100, 10)]),
        ("one report, as noise makes it", [at(0, ship(0, 500)), *[at(s, Tick(), "clock") for s in range(60)]]),
        ("another source", [at(s, ship(0, 500), "other") for s in range(0, 100, 10)]),
        ("ignored", [at(s, ship(0, 500, mmsi=413000077)) for s in range(0, 100, 10)]),
    ],
)  # fmt: skip
def test_what_is_not_told(name: str, said: list[Observation]) -> None:
    assert judge(rule(kind="vessel_close", within="3m", ignore=[413000077]), said) == []


def test_a_report_that_puts_a_vessel_elsewhere_is_not_believed_alone() -> None:
    far = [at(s, ship(5000, 5000, speed=0.0)) for s in range(0, 100, 10)]
    wrong = at(55, ship(0, 300))
    assert judge(CLOSE, [*far[:6], wrong, *far[6:]]) == []
    assert len(judge(CLOSE, [*far[:6], wrong, at(58, ship(0, 285)), *far[6:]])) == 2


def test_two_that_send_the_same_number_are_both_judged() -> None:
    both = [at(s, ship(5000, 5000) if s % 20 else ship(0, 600 - 5 * s)) for s in range(0, 100, 10)]
    assert any("comes within" in text for _, _, text in judge(CLOSE, both))


def test_hysteresis_at_the_limit() -> None:
    """At 99 and 101 m of CPA by turns it is one alert; at 160 m it is over."""
    wobble = [at(s, ship(99 + s % 20 / 5, 800 - s, speed=1.0)) for s in range(0, 300, 10)]
    near = rule(kind="vessel_close", distance_m=100, within="10m")
    assert len(judge(near, wobble)) == 1
    away = [at(s, ship(160, 800 - s, speed=1.0)) for s in range(300, 330, 10)]
    assert [text for *_, text in judge(near, wobble + away)][1:] == ["over"]


def test_a_vessel_that_falls_silent_ends_with_the_reason() -> None:
    quiet = comes(range(300, 351)) + [at(s, Tick(), "clock") for s in range(351, 600)]
    assert [(second, text) for second, _, text in judge(CLOSE, quiet)][1] == (
        pytest.approx(430, abs=2),
        "over",
    )  # by dead reckoning it has passed, and left
    slow = [at(s, ship(0, 400, speed=1.0)) for s in (0, 10)] + [
        at(s, Tick(), "clock") for s in range(10, 200)
    ]
    assert judge(rule(kind="vessel_close", within="10m", distance_m=150), slow)[1][::2] == (
        131, "it is not heard any more",
    )  # fmt: skip


def test_own_position_from_a_receiver_that_moves() -> None:
    moving = rule(kind="vessel_close", own="gnss", within="3m")
    lies = [at(s, ship(10, 1500, speed=1.0, course=0.0)) for s in range(0, 40, 10)]
    said = sorted(lies + [at(s, fix(10.0 * s, 10.0), "gnss") for s in range(40)], key=lambda one: one.mono_s)
    (told,) = judge(moving, said)
    assert told[2].startswith("CHANG JIANG 7 (413000001) comes within")
    assert judge(moving, lies) == []
    assert judge(moving, [at(0, fix(mode="none"), "gnss"), *lies]) == []


def test_a_lost_own_position_begins_nothing_and_in_the_end_ends_what_was_told() -> None:
    moving = rule(kind="vessel_close", own="gnss", within="9m")
    slow = [at(s, one) for s in range(300) for one in ([ship(0, 500 - s, 1.0)] if s % 10 == 0 else [Tick()])]
    said = [at(-1, fix(), "gnss"), *slow]
    texts: dict[float, str | None] = {}
    decide = moving.scheduled_evaluator()
    for one in said:
        for fact in decide(one):
            texts[one.mono_s - 1000] = fact.text if isinstance(fact, Finding) else fact.reason
    assert str(texts[14]).endswith("bearing 000")
    assert str(texts[20]).endswith("bearing 000; our own position is 21 s old")
    assert texts[max(texts)] == "our own position is not known"
    assert max(texts) == 120
    late = [at(-100, fix(), "gnss"), *slow]
    assert judge(moving, late) == []


def test_who_was_not_heard_for_a_while_is_told_with_its_age() -> None:
    findings = [
        fact
        for decide in [rule(kind="vessel_close", within="9m").scheduled_evaluator()]
        for one in [at(0, ship(0, 500, 1.0)), at(10, ship(0, 490, 1.0)), at(70, Tick(), "clock")]
        for fact in decide(one)
    ]
    assert isinstance(findings[-1], Finding)
    assert findings[-1].text == (
        "CHANG JIANG 7 (413000001) comes within 0 m in 7 min; now 430 m away, bearing 000; last heard 60 s ago"
    )


def test_own_position_from_our_transponder() -> None:
    said = [at(s, replace(ship(0, 0, speed=0.0), own=True, mmsi=413000099)) for s in range(300, 400, 5)]
    told = judge(rule(kind="vessel_close", own="ais", within="3m"), sorted(
        [*said, *comes(range(300, 400))], key=lambda one: one.mono_s,
    ))  # fmt: skip
    assert [key for _, key, _ in told] == [str(SHIP)]


def test_what_a_technician_is_told() -> None:
    text = """\
schema_version: 1
device: boat-03
kind: patrol_boat
place: {ring: inner_city, domain: water, site: s, post: p, timezone: UTC}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  board: {kind: sensor_board, port: /dev/b}
  ais: {kind: ais, port: /dev/a}
  gnss: {kind: nmea, port: /dev/g}
rules:
  close: {kind: vessel_close, source: ais%s}
"""
    parse(text % ", own: gnss", name="c", base=Path())
    parse(text % ", own: ais", name="c", base=Path())
    parse(text % ", at: [32.0, 118.0]", name="c", base=Path())
    for more, said in (
        ("", "no reference position: set own to the source of our position, or at, or place.lat"),
        (", own: gns", "no source 'gns'; did you mean 'gnss'? known: ais, board, gnss"),
        (", own: board", "board is a sensor_board source and gives no fix or vessel"),
        (", at: [118.0, 32.0]", "a position is [latitude, longitude], not the reverse"),
        (", distance_m: 0", "greater than 0"),
    ):
        with pytest.raises(BadConfig, match=r"c:11: rules\.close") as caught:
            parse(text % more, name="c", base=Path())
        assert said in "\n".join(caught.value.lines())
    with pytest.raises(BadConfig, match="board is a sensor_board source and gives no vessel"):
        parse((text % ", own: gnss").replace("source: ais", "source: board"), name="c", base=Path())


ADRIFT = rule(kind="vessel_adrift", hold="60s")


def drift(
    seconds: range, speed: float = 0.8, course: float = 90.0, heading: float | None = 0.0, **more: Any
) -> list[Observation]:
    """A vessel that is carried to the east; reports every 10 s."""
    return [
        at(
            s,
            ship(
                speed * s * math.sin(math.radians(course)),
                speed * s * math.cos(math.radians(course)),
                speed,
                course,
                heading_deg=heading,
                **more,
            ),
        )
        for s in seconds
    ]


TEN = range(0, 200, 10)
ADRIFTS: list[tuple[str, list[Observation], list[tuple[float, str]]]] = [
    ("broadside", drift(TEN, status="under_way_using_engine"), [(70, "CHANG JIANG 7 (413000001) drifts at 0.8 m/s, 90 degrees off its heading")]),
    ("class B, backwards", drift(TEN, course=0, heading=170.0, station="class_b", message=18), [(70, "CHANG JIANG 7 (413000001) drifts at 0.8 m/s, 170 degrees off its heading")]),
    ("ahead", drift(TEN, heading=80.0, status="under_way_using_engine"), []),
    ("across north", drift(TEN, course=350.0, heading=10.0), []),
    ("fast", drift(TEN, speed=4.0), []),
    ("lies", drift(TEN, speed=0.1), []),
    ("no heading", drift(TEN, heading=None), []),
    ("at work", drift(TEN, status="fishing"), []),
    ("not under command", drift(TEN, heading=None, status="not_under_command"), [(70, "CHANG JIANG 7 (413000001) is not under command, and moves at 0.8 m/s")]),
    ("moored, torn loose", drift(range(0, 300, 10), status="moored", heading=180.0), [(130, "CHANG JIANG 7 (413000001) is 56 m from where it was moored")]),
    ("moored, no heading", drift(range(0, 300, 10), status="moored", heading=None), [(130, "CHANG JIANG 7 (413000001) is 56 m from where it was moored")]),
    ("moored, leaves and forgets to say so", drift(range(0, 300, 10), status="moored", heading=90.0), []),
    ("moored, sails and forgets to say so", drift(range(0, 300, 10), speed=4.0, status="moored", heading=None), []),
    ("swings at anchor", [at(s, ship(100 * math.sin(s / 60), 100 * math.cos(s / 60), 0.5, heading_deg=0.0, status="at_anchor")) for s in range(0, 400, 10)], []),
    ("anchor drags", drift(range(0, 500, 10), status="at_anchor", course=180.0), [(380, "CHANG JIANG 7 (413000001) is 256 m from where it lay at anchor")]),
    ("too short", drift(range(0, 60, 10)), []),
    ("own", drift(TEN, own=True), []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "said", "told"), ADRIFTS)
def test_adrift(name: str, said: list[Observation], told: list[tuple[float, str]]) -> None:
    found = [(second, text) for second, _, text in judge(ADRIFT, said)]
    if told and "from where" in told[0][1]:
        assert found[0][0] == pytest.approx(told[0][0], abs=11)
        assert found[0][1].split(" m ")[1] == told[0][1].split(" m ")[1]
        assert len(found) == 1
    else:
        assert found == told


def test_who_gets_under_way_again_is_adrift_no_more() -> None:
    said = drift(range(0, 120, 10)) + [
        at(s, ship(0.8 * 120 + 3 * (s - 120), 0, 3.0, 90.0, heading_deg=90.0)) for s in range(120, 140, 10)
    ]
    assert [text for *_, text in judge(ADRIFT, said)][1:] == ["over"]


def test_a_drifting_vessel_that_is_not_heard_any_more_ends_after_a_while() -> None:
    said = drift(range(0, 120, 10)) + [at(s, Tick(), "clock") for s in range(120, 1200, 10)]
    assert [(second, text) for second, _, text in judge(ADRIFT, said)][1] == (
        pytest.approx(110 + 900, abs=11), "it is not heard any more",
    )  # fmt: skip


BEACON = rule(kind="distress_beacon")
MOB = Vessel(
    mmsi=972012345, message=1, station="beacon", distress="mob", lat=LAT, lon=LON, status="beacon_active"
)


def test_a_beacon_is_told_at_its_first_message_with_its_place() -> None:
    judge_one = BEACON.scheduled_evaluator()
    text = replace(MOB, message=14, lat=None, lon=None, text="MOB ACTIVE")
    (first,) = judge_one(at(0, MOB))
    (second,) = judge_one(at(5, text))
    assert isinstance(first, Finding)
    assert isinstance(second, Finding)
    assert (first.text, first.point and first.point.lat) == ("man-overboard beacon 972012345 active", LAT)
    assert second.text == "man-overboard beacon 972012345 active: MOB ACTIVE"
    assert (second.point, second.since, second.key) == (first.point, first.since, first.key)
    assert BEACON.severity == "critical"


def test_a_beacon_is_over_after_long_silence() -> None:
    said = [at(0, MOB), *[at(s, Tick(), "clock") for s in range(0, 700, 10)]]
    assert judge(BEACON, said)[1:] == [(610, "972012345", "not heard for 10 min")]


def test_tests_and_texts_are_told_where_that_is_wanted() -> None:
    test = replace(MOB, test=True, status=None)
    text = Vessel(mmsi=SHIP, message=14, name="X", text="BRIDGE CLOSED")
    assert judge(BEACON, [at(0, test), at(1, text), at(2, ship(0, 0))]) == []
    all_of_it = judge(rule(kind="distress_beacon", tests=True, texts=True), [at(0, test), at(1, text)])
    assert [text for *_, text in all_of_it] == [
        "test of a man-overboard beacon 972012345", "safety message of X (413000001): BRIDGE CLOSED",
    ]  # fmt: skip


def test_a_flood_of_beacons_ends_none_of_those_before_it() -> None:
    said = [at(s / 10, replace(MOB, mmsi=972000000 + s)) for s in range(5000)]
    told = judge(BEACON, said)
    assert len(told) == 2000
    assert {text for *_, text in told} == {
        f"man-overboard beacon {972000000 + s} active" for s in range(2000)
    }


def test_a_name_that_was_told_once_stays() -> None:
    """A line that was unplugged and opened anew tells positions without names, for up to six minutes."""
    said = [at(0, ship(0, 500)), at(10, ship(0, 450)), at(20, ship(0, 400, name=None))]
    texts = [
        fact.text
        for decide in [CLOSE.scheduled_evaluator()]
        for one in said
        for fact in decide(one)
        if isinstance(fact, Finding)
    ]
    assert texts[-1].startswith("CHANG JIANG 7 (413000001) comes within")


def test_traffic_is_bounded() -> None:
    traffic = VesselTraffic()
    for number in range(MAX_VESSELS + 100):
        for second in (0, 10):
            traffic.add_report(ship(0, 0, mmsi=number + 1), second)
    assert len(traffic.tracks) == len(traffic._reports) == MAX_VESSELS


ANY_VESSEL = st.builds(
    Vessel,
    mmsi=st.integers(1, 5), message=st.sampled_from([1, 5, 14, 18, 27]),
    station=st.sampled_from(["class_a", "beacon", "aid", None]), own=st.sampled_from([True, None]),
    distress=st.sampled_from(["sart", None]), lat=st.floats(-90, 90), lon=st.floats(-180, 180),
    speed_mps=st.none() | st.floats(0, 60), course_deg=st.none() | st.floats(0, 359.9),
    heading_deg=st.none() | st.floats(0, 359), status=st.sampled_from(["moored", "not_under_command", None]),
)  # fmt: skip


@pytest.mark.slow
@given(st.lists(ANY_VESSEL | st.just(Tick()) | st.just(fix()), max_size=30), st.integers(0, 100))
def test_any_traffic_raises_nothing(values: list[Any], step: int) -> None:
    for one in (CLOSE, ADRIFT, BEACON, rule(kind="vessel_close", own="ais")):
        decide = one.scheduled_evaluator()
        for number, value in enumerate(values):
            for fact in decide(at(number * step, value)):
                if isinstance(fact, Finding) and fact.point is not None:
                    assert math.isfinite(fact.point.lat)
                    assert "nan" not in fact.text
