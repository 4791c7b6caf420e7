"""Whatever number of names comes from outside, telemetry costs what it may, and says what is left out."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from agent.domain.message import MAX_BODY, Message
from agent.reporting.flood_limit import MAX_COUNTED, OTHERS_PER_MINUTE, FloodLimit
from agent.reporting.telemetry import MAX_NAMES, REGULARS
from agent.reporting.vessel_reports import DISTRESS_EVERY_S, MAX_REPORTS, REPORTS_PER_MINUTE, THINNING_FACTOR
from firmware_bridge.drone_readings import Drone, StatusText
from firmware_bridge.readings import RadarTarget, Reading, Switch, Value, Vessel
from tests.test_reporter import Desk

SHIP = Vessel(mmsi=1, message=1, lat=33.0, lon=118.0, speed_mps=5.0, course_deg=0.0, name="FORGED 1")
TRUE = Vessel(mmsi=970000001, message=1, lat=32.0, lon=118.0, distress="mob", station="beacon")
FALSE = replace(TRUE, station="beacon", lat=33.0)
TEXT = Vessel(mmsi=1, message=14, text="HELP")
UNTIL_S = 200


class Flood:
    """A reporter that hears much, and by minute what it said."""

    def __init__(self, thin: bool = False, place: str = "") -> None:
        self.desk = Desk(place)
        self.desk.reporter.telemetry.thin = thin
        self.desk.messages()
        self.told: list[tuple[float, Message]] = []

    def second(self, *values: Value) -> None:
        for value in values:
            self.desk.hear(value, "far")
        self.told += [(self.desk.now_s, one) for one in self.desk.messages() if one.topic == "telemetry/far"]
        self.desk.now_s += 1

    def minutes(self) -> list[tuple[int, int, int]]:
        """Messages, reports and bytes in every minute."""
        minutes = [[one for at_s, one in self.told if n * 60 <= at_s < n * 60 + 60] for n in range(3)]
        return [
            (len(one), sum(m.body.count(b'"kind"') for m in one), sum(len(m.body) for m in one))
            for one in minutes
        ]

    def values(self) -> Iterator[tuple[float, dict[str, Any]]]:
        for at_s, message in self.told:
            for value in json.loads(message.body)["values"]:
                yield at_s, value

    def when(self, mmsi: int) -> list[float]:
        return [at_s for at_s, value in self.values() if value.get("mmsi") == mmsi]

    def left_out(self, what: str) -> int:
        return sum(json.loads(message.body).get(f"{what}_left_out", 0) for _, message in self.told)


def forged(second: int, of: Vessel, a_second: int = 50) -> list[Value]:
    return [replace(of, mmsi=1000 + n) for n in range(a_second * second, a_second * (second + 1))]


@pytest.mark.slow
@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("of", [SHIP, FALSE, TEXT, replace(SHIP, lat=None)])
@pytest.mark.parametrize("from_s", [0, 100])
def test_ten_thousand_vessels_cost_what_they_may_and_the_true_beacon_is_told(
    of: Vessel, thin: bool, from_s: int
) -> None:
    """50 a second, each heard twice; the true one calls every 5 s, from the beginning or amidst."""
    flood = Flood(thin)
    for second in range(UNTIL_S):
        numbers = forged(second, of)
        flood.second(*numbers, *numbers, *([TRUE] if second >= from_s and second % 5 == 0 else []))
    for messages, reports, size in flood.minutes():
        assert (
            reports <= 4 * REPORTS_PER_MINUTE
        )  # what one minute saves, and what the next gives, of either sort
        assert messages <= 60
        assert size <= reports * 250 + messages * 400
    assert all(len(message.body) < MAX_BODY for _, message in flood.told)
    assert flood.left_out("vessels") > 8000
    calls = flood.when(TRUE.mmsi)
    if of is FALSE and from_s:  # nobody can say which is true, but who calls again and again has his turn
        assert calls
        assert calls[0] <= from_s + 60
    else:
        assert calls[0] <= from_s + 6
        apart = [after - before for before, after in pairwise(calls)]
        assert max(apart) <= 2 * DISTRESS_EVERY_S


@pytest.mark.slow
def test_what_an_alert_is_about_who_we_are_and_who_comes_near_is_told_in_a_flood() -> None:
    flood = Flood(place=", lat: 32.0, lon: 118.0")
    near = replace(SHIP, mmsi=7, lat=32.1, course_deg=180.0, speed_mps=20.0)
    alerted, own = replace(SHIP, mmsi=8), replace(SHIP, mmsi=9, own=True)
    flood.desk.reporter.telemetry.alerted = {"8"}
    for second in range(UNTIL_S):
        beacons, ships = forged(second, FALSE, 25), forged(10_000 + second, SHIP, 50)
        mine = [near, alerted, own] if second >= 60 and second % 10 == 0 else []
        flood.second(*beacons, *ships, *mine)
    for mmsi in (7, 8, 9):
        assert 60 <= flood.when(mmsi)[0] <= 66
        assert len(flood.when(mmsi)) >= 2


@pytest.mark.slow
def test_who_was_known_before_the_flood_is_told_through_it_and_a_newcomer_has_his_turn() -> None:
    flood = Flood()
    known = [replace(SHIP, mmsi=number) for number in range(1, 51)]
    for second in range(UNTIL_S):
        new = [replace(SHIP, mmsi=99)] if second >= 100 and second % 10 == 0 else []
        flood.second(
            *(known if second % 10 == 0 else []), *(forged(second, SHIP) if second >= 20 else []), *new
        )
    assert all(len(flood.when(ship.mmsi)) >= 3 for ship in known)
    assert flood.when(99)


def test_forged_beacons_that_call_all_the_time_do_not_keep_out_the_true_one_that_comes_later() -> None:
    flood = Flood()
    false = [replace(FALSE, mmsi=1000 + number) for number in range(200)]
    for second in range(UNTIL_S):
        true = [TRUE] if second >= 150 and second % 5 == 0 else []
        flood.second(*(false if second % 10 == 0 else []), *true)
    assert 150 <= flood.when(TRUE.mmsi)[0] <= 160


@pytest.mark.slow
def test_a_flood_of_vessels_takes_bounded_memory() -> None:
    flood = Flood()
    for second in range(UNTIL_S):
        flood.second(*forged(second, SHIP, 100), *forged(second, FALSE, 100))
    buffers = flood.desk.reporter.telemetry._vessels._buffers
    assert [len(buffer.reports) for buffer in buffers.values()] == [MAX_REPORTS, MAX_REPORTS]
    assert all(
        len(numbers) <= MAX_COUNTED for numbers in flood.desk.reporter.telemetry._vessels._left_out.values()
    )


OTHERS: dict[str, list[Value]] = {
    "drones": [Drone(system=n % 250, armed=n % 3 == 0) for n in range(1000)],
    "radar_targets": [RadarTarget(number=n, distance_m=1.0) for n in range(1000)],
    "readings": [Reading(quantity=f"made_up_{n}", value=1.0, unit="m") for n in range(10_000)],
    "switches": [Switch(name=f"made_up_{n}", on=True) for n in range(10_000)],
}


@pytest.mark.slow
@pytest.mark.parametrize("what", OTHERS)
def test_drones_targets_and_names_that_are_made_up_cost_what_they_may(what: str) -> None:
    """The true one was there before, and speaks up every 5 s; 100 others a second come, in turn."""
    flood = Flood()
    true: dict[str, Value] = {
        "drones": Drone(system=251, armed=True), "radar_targets": RadarTarget(number=5000),
        "readings": Reading(quantity="true", value=1.0, unit="m"), "switches": Switch(name="true", on=True),
    }  # fmt: skip
    for second in range(UNTIL_S):
        mine = true[what]
        if isinstance(mine, Switch):
            mine = replace(mine, on=second % 10 == 0)
        some = [OTHERS[what][n % len(OTHERS[what])] for n in range(100 * second, 100 * (second + 1))]
        flood.second(*([mine] if second % 5 == 0 else []), *(some if second >= 5 else []))
    for messages, reports, _size in flood.minutes():
        assert reports <= 60 * REGULARS[what] + 2 * OTHERS_PER_MINUTE
        assert messages <= 60
    name = {"drones": "system", "radar_targets": "number", "readings": "quantity", "switches": "name"}[what]
    told = [at_s for at_s, value in flood.values() if value[name] == getattr(true[what], name)]
    assert len(told) >= UNTIL_S // 5 - 2
    assert flood.left_out(what) > 100
    telemetry = flood.desk.reporter.telemetry
    for told_of in (telemetry._drones, telemetry._reported_s, telemetry._states):
        assert len(told_of) <= MAX_NAMES


def test_a_drone_that_changes_all_the_time_is_told_five_times_a_second_at_most() -> None:
    flood = Flood()
    for number in range(400):
        flood.desk.now_s += 0.025
        flood.desk.hear(Drone(system=1, armed=number % 2 == 0), "far")
    flood.second()
    assert 40 <= len(list(flood.values())) <= 51


def test_texts_of_drones_that_do_not_exist_are_few() -> None:
    flood = Flood()
    for second in range(60):
        flood.second(
            *(
                StatusText(system=n, component=1, severity="alert", text=f"{second}")
                for n in range(256)
                if second > 0 or n == 1
            )
        )
    assert len([value for _, value in flood.values() if value["system"] == 1]) >= 55
    assert len(list(flood.values())) <= 60 * REGULARS["drones"] + 2 * OTHERS_PER_MINUTE


def test_an_alerted_name_is_admitted_and_a_silent_regular_makes_room() -> None:
    crowd = FloodLimit(2)
    assert [crowd.admits(name, 0) for name in "ab"] == [True, True]
    others = [crowd.admits(f"other {n}", 1) for n in range(100)]
    assert others.count(True) == OTHERS_PER_MINUTE
    assert crowd.pop_left_out() == 100 - OTHERS_PER_MINUTE
    assert (crowd.admits("alerted", 1, always=True), crowd.admits("other", 1)) == (True, False)
    crowd.admits("b", 50)
    assert (crowd.admits("c", 62), crowd.admits("c", 62.1), crowd.admits("b", 62.2)) == (True, True, True)
    assert crowd.pop_left_out() == 1
    assert crowd.pop_left_out() == 0


@pytest.mark.slow
def test_thin_ships_are_fewer_and_distress_is_not() -> None:
    thin, full = Flood(thin=True), Flood()
    for flood in (thin, full):
        for second in range(UNTIL_S):
            flood.second(*forged(second, SHIP))
    (thin_reports, full_reports) = (flood.minutes()[2][1] for flood in (thin, full))
    assert full_reports == pytest.approx(REPORTS_PER_MINUTE, abs=30)
    assert thin_reports == pytest.approx(REPORTS_PER_MINUTE / THINNING_FACTOR, abs=10)
