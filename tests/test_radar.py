"""Radar targets by tables: what a radar says of them, what is none, and any content."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.nmea.radar import RadarDecoder
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import RadarTarget
from firmware_bridge.serial.line_decoder import LineDecoder

TTM = "RATTM,01,0.65,112.3,T,12.0,220.1,T,0.10,4.2,N,b,T,,061231.00,A"


def read(body: str) -> list[Any]:
    return LineDecoder([RadarDecoder()]).feed(seal(body))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (TTM, {"number": 1, "distance_m": 1203.8, "bearing_deg": 112.3, "speed_mps": 6.17, "course_deg": 220.1,
               "closest_m": 185.2, "closest_in_s": 252.0, "name": "b", "state": "tracking"}),
        ("RATTM,12,2.0,10.0,R,36.0,20.0,R,0.5,-1.0,K,,L", {"number": 12, "distance_m": 2000.0, "state": "lost",
         "bearing_relative_deg": 10.0, "speed_mps": 10.0, "closest_m": 500.0, "closest_in_s": -60.0}),
        ("RATTM,1,2.0,10.0,T,,,,,,N,,Q", {"number": 1, "distance_m": 3704.0, "bearing_deg": 10.0, "state": "acquiring"}),
        ("RATLL,03,3206.97200,N,11844.42400,E,ferry,061231.00,T,",
         {"number": 3, "lat": 32.1162, "lon": 118.7404, "name": "ferry", "state": "tracking"}),
    ],
)  # fmt: skip
def test_a_target(body: str, said: dict[str, Any]) -> None:
    assert read(body) == [RadarTarget(**said)]


@pytest.mark.parametrize(
    "body",
    ["RATTM,01,,112.3,T", "RATTM,01,0.65,370,T", "RATTM,x,0.65,10,T", "RATTM", "RATLL,03,,N,,E", "RAOSD,1,A"],
)
def test_what_is_none(body: str) -> None:
    assert read(body) == []


@given(st.sampled_from(["TTM", "TLL"]), st.lists(st.text("0123456789.-TRNKSAEW", max_size=9), max_size=17))
def test_any_content_raises_nothing(kind: str, fields: list[str]) -> None:
    for target in read(f"RA{kind},{','.join(fields)}"):
        assert target.distance_m is None or 0 <= target.distance_m < 2e6
