"""What of AIS is told to the centre: the newest of each vessel now and then, distress at once, bounded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.domain.observations import Observation
from agent.reporting.flood_limit import MAX_COUNTED
from agent.reporting.vessel_reports import (
    DISTRESS_EVERY_S,
    MAX_REPORTS,
    POSITION_EVERY_S,
    STATIC_EVERY_S,
    THINNING_FACTOR,
    VesselReports,
)
from firmware_bridge.readings import Fix, Vessel
from tests.test_reporter import Desk

START = datetime(2026, 11, 28, tzinfo=UTC)
SHIP = Vessel(mmsi=413000001, message=1, lat=32.0, lon=118.0, speed_mps=5.0, name="CHANG JIANG 7")
STATIC = Vessel(mmsi=413000001, message=5, name="CHANG JIANG 7", destination="NANJING")
BEACON = Vessel(mmsi=970000001, message=1, lat=32.0, lon=118.0, distress="sart")


class Book:
    def __init__(self) -> None:
        self.book = VesselReports()
        self.thin = False

    def hear(self, second: float, *vessels: Vessel, source: str = "ais") -> None:
        for vessel in vessels:
            self.book.on_vessel(
                vessel, Observation(source, START + timedelta(seconds=second), second, vessel)
            )

    def due(self, second: float) -> list[Any]:
        return [observation.value for observation in self.book.due(second, self.thin)]


def test_of_each_vessel_the_newest_position_is_told_once_a_minute() -> None:
    book = Book()
    told = []
    for second in range(0, 150, 2):
        book.hear(second, replace(SHIP, speed_mps=float(second)))
        told += [(second, one.speed_mps) for one in book.due(second)]
    assert told == [(0, 0.0), (60, 60.0), (120, 120.0)]


def test_nothing_new_is_not_told_again() -> None:
    book = Book()
    book.hear(0, SHIP)
    assert (book.due(0), book.due(100)) == ([SHIP], [])


def test_static_data_and_positions_are_kept_apart() -> None:
    book = Book()
    book.hear(0, SHIP, STATIC)
    assert book.due(0) == [SHIP, STATIC]
    book.hear(POSITION_EVERY_S, SHIP, STATIC)
    assert book.due(POSITION_EVERY_S) == [SHIP]
    assert book.due(STATIC_EVERY_S) == [STATIC]


def test_distress_is_told_soon_again_and_a_safety_text_of_each_sort() -> None:
    book = Book()
    one, other = (Vessel(mmsi=413000001, message=14, text=text) for text in ("A", "B"))
    book.hear(0, BEACON, one, other, one)
    assert book.due(0) == [BEACON, other, one]
    book.hear(DISTRESS_EVERY_S, BEACON, one)
    assert book.due(DISTRESS_EVERY_S) == [BEACON]
    book.thin = True
    book.hear(2 * DISTRESS_EVERY_S, BEACON, one)
    assert book.due(2 * DISTRESS_EVERY_S) == [BEACON]


def test_where_bytes_are_short_positions_are_rarer() -> None:
    book = Book()
    book.thin = True
    for second in range(0, 700, 10):
        book.hear(second, SHIP)
    assert [second for second in range(0, 700, 10) if book.due(second)] == [0]
    book.hear(THINNING_FACTOR * POSITION_EVERY_S, SHIP)
    assert book.due(THINNING_FACTOR * POSITION_EVERY_S) == [SHIP]


def test_two_receivers_of_one_vessel() -> None:
    book = Book()
    book.hear(0, SHIP)
    book.hear(0, SHIP, source="spare")
    assert len(book.due(0)) == 2


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    book = Book()
    for number in range(6 * MAX_REPORTS):
        book.hear(number, replace(SHIP, mmsi=number + 1))
        if number % 100 == 0:
            book.due(number)
        book.hear(number, replace(BEACON, mmsi=number + 1))
    assert [len(buffer.reports) for buffer in book.book._buffers.values()] == [MAX_REPORTS, MAX_REPORTS]
    assert book.book.pop_left_out("ais") <= MAX_COUNTED


@pytest.mark.slow
def test_a_busy_port_costs_the_link_what_it_may() -> None:
    """200 vessels that report every 6 s for ten minutes: each once a minute, in messages of their size."""
    desk = Desk()
    bodies = []
    for second in range(600):
        for number in range(second % 6, 200, 6):
            desk.hear(replace(SHIP, mmsi=413000000 + number), "ais")
        bodies += [message.body for message in desk.messages() if message.lane == "telemetry"]
        desk.now_s += 1
    reports = sum(body.count(b'"mmsi"') for body in bodies)
    assert 200 * 10 <= reports <= 200 * 11
    assert sum(map(len, bodies)) < 200 * 11 * 250
    assert max(map(len, bodies)) < 8192
    assert b'"kind":"vessel","mmsi":413000' in bodies[0].replace(b", ", b",").replace(b": ", b":")


def test_each_vessel_is_told_with_its_closest_point_of_approach() -> None:
    desk = Desk()
    desk.due()
    fix = Fix(mode="3d", lat=32.0, lon=118.0, speed_mps=5.0, course_deg=0.0, satellites=9, hdop=0.9)
    meets = replace(SHIP, lat=32.0 + 1000 / 110_900, course_deg=180.0)
    own = replace(SHIP, own=True, mmsi=413000099)
    for value, source in ((meets, "ais"), (STATIC, "ais"), (own, "ais")):
        desk.hear(value, source)
    values = {(one["mmsi"], one["message"]): one for one in desk.due(5)["telemetry/ais"]["values"]}
    assert all("cpa_m" not in one for one in values.values())  # nobody knows where we are
    desk.now_s += 60
    for value, source in ((fix, "gnss"), (meets, "ais"), (STATIC, "ais"), (own, "ais")):
        desk.hear(value, source)
    desk.now_s += 1
    values = {(one["mmsi"], one["message"]): one for one in desk.due()["telemetry/ais"]["values"]}
    told = values[SHIP.mmsi, 1]
    assert (told["cpa_m"], told["cpa_s"], told["bearing_deg"]) == (0, 99, 0)
    assert told["range_m"] == pytest.approx(990, abs=3)
    assert all("cpa_m" not in one for key, one in values.items() if key != (SHIP.mmsi, 1))


def test_a_surveyed_post_measures_from_where_it_was_surveyed() -> None:
    desk = Desk(", lat: 32.0, lon: 118.0")
    desk.due()
    desk.hear(replace(SHIP, lat=32.009, course_deg=90.0), "ais")
    (told,) = desk.due(5)["telemetry/ais"]["values"]
    assert (told["cpa_m"], told["cpa_s"], told["bearing_deg"]) == (
        pytest.approx(998, abs=3),
        0,
        pytest.approx(1, abs=1),
    )
