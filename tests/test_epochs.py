"""Whose epoch is a sentence without a time? Every order of a receiver's sentences, at 1 to 10 Hz.

Each epoch has its own speed, HDOP and dimension: a fix with those of another epoch is wrong.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.nmea.nmea import NmeaDecoder
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import Fix, Value
from firmware_bridge.serial.line_decoder import LineDecoder

BEGIN = datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC)
"""Midnight is in between, at any rate."""
EPOCHS = 24
SETTLED = 5
"""By then the order is known."""


def knots(number: int) -> float:
    return round(1 + number * 0.37, 2)


def hdop(number: int) -> float:
    return round(0.6 + number % 7 * 0.3, 1)


def at(number: int, hertz: int) -> datetime:
    return BEGIN + timedelta(seconds=number / hertz)


def sentence(kind: str, number: int, hertz: int) -> bytes:
    moment = at(number, hertz)
    clock = f"{moment:%H%M%S}.{moment.microsecond // 10000:02d}"
    place = f"3206.{97200 + number:05d},N,11844.42400,E"
    dimension = 2 if number % 5 == 0 else 3
    bodies = {
        "RMC": f"GNRMC,{clock},A,{place},{knots(number)},87.0,{moment:%d%m%y},,,A",
        "GGA": f"GNGGA,{clock},{place},1,09,{hdop(number)},12.5,M,,M,,",
        "GLL": f"GNGLL,{place},{clock},A,A",
        "GSA": f"GNGSA,A,{dimension},01,02,03,04,05,06,07,08,09,,,,1.8,{hdop(number)},1.5",
        "VTG": f"GNVTG,87.0,T,,M,{knots(number)},N,{knots(number) * 1.852:.2f},K,A",
        "ZDA": f"GNZDA,{clock},{moment:%d,%m,%Y},00,00",
        "GST": f"GNGST,{clock},5.0,,,,{3 + number},{4 + number},6.0",
        "GSV": "GPGSV,1,1,02,05,40,100,42,07,70,010,48",
    }
    return seal(bodies[kind])


def hear(
    order: tuple[str, ...],
    hertz: int,
    between: Callable[[LineDecoder], list[Value]] = lambda _: [],
    skip: int = 0,
) -> list[tuple[int, Fix]]:
    """Each fix, and with which epoch's bytes it came; ``skip`` sentences of the first were missed."""
    ear, told = LineDecoder([NmeaDecoder()]), list[tuple[int, Fix]]()
    for number in range(EPOCHS):
        values = between(ear) if number else []
        told += [(number - 1, one) for one in values if isinstance(one, Fix)]
        for kind in order[skip if number == 0 else 0 :]:
            values = ear.feed(sentence(kind, number, hertz))
            told += [(number, one) for one in values if isinstance(one, Fix)]
    assert ear.state().bad == {}
    return told + [(EPOCHS - 1, one) for one in ear.pause() if isinstance(one, Fix)]


def check(told: list[tuple[int, Fix]], order: tuple[str, ...], hertz: int, first: int = 0) -> None:
    """All epochs from ``first`` on are told, once, with their own values; when they are known, at once."""
    told = told[first - EPOCHS :]
    if {"RMC", "ZDA"} & set(order):
        assert [fix.time for _, fix in told] == [at(number, hertz) for number in range(first, EPOCHS)]
    assert len(told) == EPOCHS - first
    for number, (heard, fix) in enumerate(told, first):
        if number >= SETTLED:
            assert heard == number, "told late"
        assert fix.lat == pytest.approx(32 + (6.972 + number / 100_000) / 60, abs=1e-7)
        if {"RMC", "VTG"} & set(order):
            assert fix.speed_mps == pytest.approx(knots(number) * 1852 / 3600, abs=1e-3)
        if {"GGA", "GSA"} & set(order):
            assert fix.hdop == hdop(number)
        if "GSA" in order:
            assert fix.mode == ("2d" if number % 5 == 0 else "3d")
        if "GST" in order:
            assert fix.error_m == pytest.approx(((3 + number) ** 2 + (4 + number) ** 2) ** 0.5, abs=0.01)


ORDERS = [
    order
    for sentences in (
        ("GGA", "GSA"), ("GGA", "VTG"), ("ZDA", "GGA"), ("RMC", "GGA", "GSA", "VTG"), ("GGA", "GSA", "VTG", "ZDA"),
        ("RMC", "GGA", "GST", "ZDA"), ("RMC", "GSA", "ZDA"), ("GLL", "GGA", "GSA", "VTG"),
    )
    for order in permutations(sentences)
]  # fmt: skip


def full_line(_: LineDecoder) -> list[Value]:
    return []


def pauses(ear: LineDecoder) -> list[Value]:
    return ear.pause()


def lulls(ear: LineDecoder) -> list[Value]:
    ear.on_short_pause()
    return []


@pytest.mark.slow
@pytest.mark.parametrize("between", [full_line, pauses, lulls])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_each_fix_has_its_own_epochs_values_at_once(
    order: tuple[str, ...], between: Callable[[LineDecoder], list[Value]]
) -> None:
    check(hear(order, 10, between), order, 10)


@pytest.mark.slow
@given(
    st.permutations(["RMC", "GGA", "GLL", "GSA", "VTG", "ZDA", "GST", "GSV"]),
    st.integers(2, 8),
    st.sampled_from([1, 2, 4, 5, 10]),
    st.sampled_from([full_line, pauses, lulls]),
)
def test_any_order_of_any_sentences(
    order: list[str], count: int, hertz: int, between: Callable[[LineDecoder], list[Value]]
) -> None:
    kept = tuple(order[:count])
    if {"RMC", "GGA", "GLL"} & set(kept):
        check(hear(kept, hertz, between), kept, hertz)


@pytest.mark.parametrize("skip", [1, 2, 3])
@pytest.mark.parametrize("between", [pauses, lulls])
@pytest.mark.parametrize(
    "order", [("RMC", "GGA", "GSA", "VTG"), ("GSA", "VTG", "RMC", "GGA"), ("GSA", "RMC", "GGA", "VTG")]
)
def test_a_line_that_was_opened_in_the_middle_of_an_epoch(
    order: tuple[str, ...], between: Callable[[LineDecoder], list[Value]], skip: int
) -> None:
    """The order that it seems to have is put right by the pauses."""
    check(hear(order, 10, between, skip), order, 10, first=2 * SETTLED)
