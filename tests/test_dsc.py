"""DSC calls for help by tables: who, what happened and where; what is no such call; and any content."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.findings import Finding
from agent.domain.observations import Observation
from agent.positioning.closest_approach import kinematics_of
from agent.rules.distress_beacon import DistressBeacon
from firmware_bridge.ais.dsc import FINE_M, MINUTE_M, NATURES, DscDecoder
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import Vessel
from firmware_bridge.serial.line_decoder import LineDecoder


def read(*bodies: str) -> list[Vessel]:
    told = LineDecoder([DscDecoder()]).feed(b"".join(map(seal, bodies)))
    return [value for value in told if isinstance(value, Vessel)]


CALL = "CDDSC,12,3380400790,12,06,00,1423108312,2019,,,S,E"
FINER = "CDDSE,1,1,A,3380400790,00,45894494"


@pytest.mark.parametrize(
    ("body", "mmsi", "text", "place"),
    [
        (CALL, 338040079, "disabled and adrift", (42.516667, -83.2)),
        (CALL.replace(",12,06,", ",12,10,"), 338040079, "person overboard", (42.516667, -83.2)),
        (
            CALL.replace("DSC,12,", "DSC,112,").replace(",12,06,", ",112,105,"),
            338040079,
            "sinking",
            (42.516667, -83.2),
        ),
        (CALL.replace("3380400790", "338040079"), 338040079, "disabled and adrift", (42.516667, -83.2)),
        (CALL.replace("1423108312", "0320611844"), 338040079, "disabled and adrift", (32.1, 118.733333)),
        (CALL.replace("1423108312", "2330007015"), 338040079, "disabled and adrift", (-33.0, 70.25)),
        (CALL.replace("1423108312", "3330007015"), 338040079, "disabled and adrift", (-33.0, -70.25)),
        (CALL.replace("1423108312", "9999999999"), 338040079, "disabled and adrift", None),
        (CALL.replace(",06,", ",,"), 338040079, None, (42.516667, -83.2)),
        (
            "CDDSC,16,0044130010,12,12,00,0320611844,0612,4130000010,05,R,",
            413000001,
            "sinking",
            (32.1, 118.733333),
        ),
        ("CDDSC,12,4130000010", 413000001, None, None),
        (CALL.replace(",06,", ",6,"), 338040079, "disabled and adrift", (42.516667, -83.2)),
        ("CDDSC,16,0044130010,12,12,00,0320611844,0612,,,R,", 4413001, None, (32.1, 118.733333)),
    ],
)
def test_a_call_for_help(body: str, mmsi: int, text: str | None, place: tuple[float, float] | None) -> None:
    (call,) = read(body)
    assert (call.mmsi, call.distress, call.text, call.message) == (mmsi, "dsc", text, 0)
    assert (call.lat, call.lon) == (place or (None, None))
    assert call.error_m == (MINUTE_M if place else None)


@pytest.mark.parametrize(
    ("place", "lat", "lon"),
    [
        ("1513000000", 51.508333, -0.005),  # London, just west of Greenwich
        ("0513000000", 51.508333, 0.005),
        ("2000010430", -0.008333, 104.505),
        ("3000000000", -0.008333, -0.005),
    ],
)
def test_a_finer_position_stays_in_its_quadrant(place: str, lat: float, lon: float) -> None:
    _, fine = read(CALL.replace("1423108312", place), "CDDSE,1,1,A,3380400790,00,50003000")
    assert (fine.lat, fine.lon) == (lat, lon)


def test_a_finer_position_is_told_once() -> None:
    coarse, fine = read(CALL, FINER, FINER)
    assert (fine.lat, fine.lon, fine.error_m) == (42.524315, -83.20749, FINE_M)
    assert (fine.mmsi, fine.text) == (coarse.mmsi, coarse.text)
    assert len(read(CALL, FINER.replace("3380400790", "4130000010"))) == 1
    assert read(FINER) == []


@pytest.mark.parametrize(
    "body",
    [
        "CDDSC,20,3380400790,00,00,26,1423108312,2019,,,B,E",  # a routine call
        "CDDSC,16,3380400790,08,09,26,1423108312,2019,,,S,",  # safety
        "CDDSC,02,3380400790,10,09,26,1423108312,2019,,,S,",  # urgency, to an area
        "CDDSC,12,,12,06,00,1423108312,2019,,,S,E",
        "CDDSC,12,abc,12,06,00,1423108312,2019,,,S,E",
        "CDDSC",
    ],
)
def test_what_is_no_call_for_help(body: str) -> None:
    assert read(body) == []


def test_the_rule_for_beacons_hears_it() -> None:
    judge = DistressBeacon(source="radio").start()
    at = datetime(2026, 11, 30, tzinfo=UTC)
    coarse, fine = [one for call in read(CALL, FINER) for one in judge(Observation("radio", at, 0.0, call))]
    assert isinstance(coarse, Finding)
    assert isinstance(fine, Finding)
    assert coarse.text == "distress call by radio (DSC) of 338040079 active: disabled and adrift"
    assert coarse.key == fine.key
    assert fine.point is not None
    assert (fine.point.lat, fine.point.lon) == (42.524315, -83.20749)


def test_its_coarse_position_is_no_vessel_that_comes_close() -> None:
    (call,) = read(CALL)
    assert kinematics_of(call, 0.0) is None


@given(st.sampled_from(["DSC", "DSE"]), st.lists(st.text("0123456789,SRE", max_size=12), max_size=14))
def test_any_content_raises_nothing_and_gives_nothing_that_can_not_be(kind: str, fields: list[str]) -> None:
    for call in read(CALL, f"CD{kind},{','.join(fields)}"):
        assert 0 <= call.mmsi <= 999_999_999
        assert call.lat is None or abs(call.lat) <= 90
        assert call.lon is None or abs(call.lon) <= 180
        assert call.text is None or call.text in NATURES.values()
