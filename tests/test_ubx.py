"""UBX by tables: what is encoded, what must yield no position, what pyubx2 reads, and whatever else comes."""

import dataclasses
import struct
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.epoch import Satellite
from firmware_bridge.gnss import ubx_decoder, ubx_encoder
from firmware_bridge.gnss.ubx_decoder import UbxDecoder
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.nmea.nmea import NmeaDecoder
from firmware_bridge.readings import Fix, GnssState, Value
from firmware_bridge.serial.line_decoder import Decoder, LineDecoder
from tests.plausible import can_be
from tests.recordings import SHARED

AT = datetime(2026, 11, 28, 6, 12, 31, tzinfo=UTC)
GOOD = Fix(
    mode="3d", lat=32.1162, lon=118.7404, time=AT, alt_m=12.5, satellites=11, hdop=0.9, error_m=2.5,
    speed_mps=1.5, course_deg=87.0,
)  # fmt: skip
SKY = (
    Satellite("GP", 5, 40, 100, 42, used=True),
    Satellite("GL", 70, 12, 300, 30),
    Satellite("GA", 3, 60, 20),
)
TOW_MS = 540_769_000
LLH = struct.pack("<I4iII", TOW_MS, 1187404000, 321162000, 20000, 12500, 2500, 4000)


def hear(data: bytes, chunk: int = 0) -> list[Value]:
    ear = LineDecoder([UbxDecoder()])
    size = chunk or len(data) or 1
    return [one for at in range(0, len(data), size) for one in ear.feed(data[at : at + size])] + ear.pause()


def fixes(data: bytes, chunk: int = 0) -> list[Fix]:
    return [value for value in hear(data, chunk) if isinstance(value, Fix)]


def status(mode: int = 3, flags: int = 0x0D, spoofing: int = 0) -> bytes:
    return ubx_encoder.frame(
        ubx_decoder.STATUS, struct.pack("<I4B2I", TOW_MS, mode, flags, 0, spoofing << 3, 1000, 9000)
    )


def sol(mode: int = 3, flags: int = 0x0D, x: int = -260_002_544, y: int = 474_110_417) -> bytes:
    position = (x, y, 337_136_238, 300)
    return ubx_encoder.frame(
        ubx_decoder.SOL,
        struct.pack("<IihBB3iI3iIHBBI", TOW_MS, 0, 2446, mode, flags, *position, 0, 0, 0, 9, 150, 0, 8, 0),
    )


@pytest.mark.parametrize("chunk", [0, 1, 7])
@pytest.mark.parametrize(
    "fix",
    [
        GOOD,
        dataclasses.replace(GOOD, lat=-33.5, lon=-70.25, mode="2d", alt_m=None),
        Fix(mode="none", time=AT),
    ],
)
def test_what_is_encoded_is_read_back(fix: Fix, chunk: int) -> None:
    assert fixes(ubx_encoder.encode(fix), chunk) == [fix]


def test_what_is_encoded_is_what_pyubx2_reads() -> None:
    from pyubx2 import UBXReader

    state = GnssState(jamming="critical", spoofing="indicated", antenna="open", jamming_pct=80.0)
    read: dict[str, Any] = {}
    rest = ubx_encoder.encode(GOOD, SKY, state)
    while rest:
        end = 8 + int.from_bytes(rest[4:6], "little")
        message: Any = UBXReader.parse(rest[:end])
        read[message.identity], rest = message, rest[end:]
    pvt = read["NAV-PVT"]
    assert (pvt.lat, pvt.lon, pvt.hMSL, pvt.hAcc, pvt.numSV) == (32.1162, 118.7404, 12500, 2500, 11)
    assert (pvt.year, pvt.day, pvt.hour, pvt.second, pvt.fixType, pvt.gnssFixOk) == (2026, 28, 6, 31, 3, 1)
    assert (pvt.gSpeed, pvt.headMot, read["NAV-DOP"].hDOP) == (1500, 87.0, 0.9)
    assert pvt.iTOW == read["NAV-EOE"].iTOW
    assert [read["NAV-SAT"].svUsed_01, read["NAV-SAT"].cno_02, read["NAV-SAT"].elev_03] == [1, 30, 60]
    assert (read["MON-RF"].jammingState_01, read["MON-RF"].antStatus_01, read["MON-RF"].jamInd_01) == (
        3,
        4,
        204,
    )
    assert (read["SEC-SIG"].jammingState, read["SEC-SIG"].spoofingState) == (3, 2)


def test_an_epoch_tells_of_the_sky_and_of_what_the_receiver_notices() -> None:
    state = GnssState(jamming="warning", spoofing="none", antenna="ok", jamming_pct=20.0)
    fix, noticed = hear(ubx_encoder.encode(GOOD, SKY, state))
    assert fix == dataclasses.replace(GOOD, satellites_seen=3, cn0_dbhz=36.0)
    assert noticed == state


NO_POSITION = [
    ("fix not ok", ubx_encoder.frame(ubx_decoder.POSLLH, LLH) + status(flags=0x0C)),
    ("dead reckoning only", ubx_encoder.frame(ubx_decoder.POSLLH, LLH) + sol(mode=1)),
    ("nobody says whether it is valid", ubx_encoder.frame(ubx_decoder.POSLLH, LLH)),
    ("one says no", ubx_encoder.frame(ubx_decoder.POSLLH, LLH) + status() + sol(flags=0)),
    ("null island", ubx_encoder.frame(ubx_decoder.POSLLH, LLH[:4] + bytes(8) + LLH[12:]) + status()),
    ("latitude 91", ubx_encoder.frame(ubx_decoder.POSLLH, LLH[:8] + struct.pack("<i", 910_000_000) + LLH[12:]) + status()),
    ("longitude 181", ubx_encoder.frame(ubx_decoder.POSLLH, LLH[:4] + struct.pack("<i", 1_810_000_000) + LLH[8:]) + status()),
    ("far from the earth's surface", sol(x=0, y=0)),
    ("cut short", ubx_encoder.frame(ubx_decoder.POSLLH, LLH[:20]) + status()),
    ("position of another epoch", ubx_encoder.frame(ubx_decoder.POSLLH, LLH) + ubx_encoder.frame(ubx_decoder.EOE, LLH[:4]) + status()[:-2]),
    ("checksum", (ubx_encoder.frame(ubx_decoder.POSLLH, LLH) + status())[:-1] + b"\0"),
]  # fmt: skip


@pytest.mark.parametrize("data", [case[1] for case in NO_POSITION], ids=[case[0] for case in NO_POSITION])
def test_no_position(data: bytes) -> None:
    assert [fix for fix in fixes(data) if fix.mode != "none"] == []


def test_a_timing_receiver_holds_a_position_that_it_does_not_measure() -> None:
    (fix,) = fixes(ubx_encoder.frame(ubx_decoder.POSLLH, LLH) + status(mode=5))
    assert (fix.mode, fix.lat, fix.held) == ("3d", 32.1162, True)
    assert fixes(ubx_encoder.encode(GOOD))[0].held is None


def test_old_receivers_say_position_and_validity_apart() -> None:
    (fix,) = fixes(ubx_encoder.frame(ubx_decoder.POSLLH, LLH) + status())
    assert (fix.mode, fix.lat, fix.lon, fix.alt_m, fix.error_m) == ("3d", 32.1162, 118.7404, 12.5, 2.5)


def test_older_ones_only_say_where_they_are_from_the_middle_of_the_earth() -> None:
    (fix,) = fixes(sol())
    assert (fix.lat, fix.lon) == pytest.approx((32.1162, 118.7404), abs=1e-7)
    assert fix.time == datetime(2026, 11, 28, 6, 12, 31, tzinfo=UTC)
    assert (fix.satellites, fix.error_m, fix.alt_m) == (8, 3.0, None)


def test_leap_seconds_are_those_that_the_receiver_says() -> None:
    timegps = ubx_encoder.frame(ubx_decoder.TIMEGPS, struct.pack("<IihbBI", TOW_MS, 0, 2446, 19, 7, 10))
    (fix,) = fixes(timegps + sol())
    assert fix.time == datetime(2026, 11, 28, 6, 12, 30, tzinfo=UTC)


def test_an_epoch_is_told_with_the_message_that_usually_ends_it() -> None:
    decoder = UbxDecoder()
    told = []
    for second in range(8):
        moment = dataclasses.replace(GOOD, time=AT + timedelta(seconds=second))
        told.append(
            len(decoder.feed(ubx_encoder.encode(dataclasses.replace(moment, hdop=None))[:100]))
        )  # PVT alone
    assert told[-3:] == [1, 1, 1]
    assert sum(told) + len(decoder.pause()) == 8


@pytest.mark.parametrize(
    ("said", "not_before", "time", "weeks"),
    [
        (AT - timedelta(weeks=1024), date(2026, 11, 1), AT, 1024),
        (AT - timedelta(weeks=2048), date(2026, 11, 1), AT, 2048),
        (AT, date(2026, 11, 1), AT, None),
        (AT - timedelta(weeks=1024), None, AT - timedelta(weeks=1024), None),
        (datetime(2022, 1, 1, tzinfo=UTC), date(2026, 11, 1), None, None),
    ],
)
def test_weeks_roll_over(
    said: datetime, not_before: date | None, time: datetime | None, weeks: int | None
) -> None:
    fix = dataclasses.replace(GOOD, time=said)
    cases: tuple[tuple[Decoder, bytes], ...] = (
        (UbxDecoder(not_before), ubx_encoder.encode(fix)),
        (NmeaDecoder(not_before), gnss_encoder.encode(fix)),
    )
    for decoder, data in cases:
        ear = LineDecoder([decoder])
        (told,) = ear.feed(data) + ear.pause()
        assert isinstance(told, Fix)
        assert (told.time, told.rollover_weeks, told.lat) == (time, weeks, pytest.approx(GOOD.lat))


HW = bytearray(60)
HW[20], HW[22], HW[45] = 3, 2 << 2, 102


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (
            ubx_encoder.frame(0x09, bytes(HW), 0x0A),
            GnssState(jamming="warning", antenna="short", jamming_pct=40.0),
        ),
        (
            ubx_encoder.frame(0x09, b"\2\x1f\0\0" + bytes(8), 0x27),
            GnssState(jamming="critical", spoofing="none"),
        ),
        (status(spoofing=2), GnssState(spoofing="indicated")),
        (ubx_encoder.frame(0x09, bytes(20), 0x0A), None),
        (ubx_encoder.frame(0x38, b"\0\7\0\0" + bytes(24), 0x0A), None),
    ],
)
def test_what_a_receiver_notices(data: bytes, state: GnssState | None) -> None:
    told = [value for value in hear(data) if isinstance(value, GnssState)]
    assert told == ([] if state is None else [state])


def high_rate(tow_ms: int, lat: float = GOOD.lat or 0, mode: int = 4, flags: int = 0x0D) -> bytes:
    """HNR-PVT; the time of ``tow_ms`` counted from `AT`."""
    at = AT + timedelta(milliseconds=tow_ms - TOW_MS)
    clock = (at.year, at.month, at.day, at.hour, at.minute, at.second, 7, at.microsecond * 1000)
    place = (1187404000, round(lat * 1e7), 20000, 12500, 1500, 1500, 8700000, 8700000, 2500, 4000, 100, 9999)
    return ubx_encoder.frame(0x00, struct.pack("<IH6Bi2B2x8i4I4x", tow_ms, *clock, mode, flags, *place), 0x28)


def test_high_rate_fixes_are_told_at_once_and_the_same_position_once() -> None:
    """HNR is ahead of NAV, whose epoch comes up to a second later, in between."""
    ear, told = LineDecoder([UbxDecoder()]), list[Fix]()
    for step in range(1, 40):
        tow_ms = TOW_MS + 100 * step
        values = ear.feed(high_rate(tow_ms, lat=32.1162 + step / 1e5))
        assert [value.time for value in values if isinstance(value, Fix)] == [
            AT + timedelta(milliseconds=100 * step)
        ]
        told += [value for value in values if isinstance(value, Fix)]
        if step % 10 == 5:  # NAV speaks of the full second before
            at = AT + timedelta(seconds=step // 10)
            lat = 32.1162 + 10 * (step // 10) / 1e5
            late = ear.feed(ubx_encoder.encode(dataclasses.replace(GOOD, time=at, lat=lat), SKY))
            told += [value for value in late if isinstance(value, Fix)]
    assert sorted({fix.time for fix in told if fix.time}) == [
        AT + timedelta(milliseconds=100 * at) for at in range(40)
    ]
    assert len(told) == 40
    last = told[-1]
    assert (last.mode, last.speed_mps, last.course_deg, last.alt_m, last.error_m) == (
        "3d",
        1.5,
        87.0,
        12.5,
        2.5,
    )
    assert (last.satellites, last.hdop, last.satellites_seen) == (11, 0.9, 3)  # as NAV said last


@pytest.mark.parametrize(
    "data", [high_rate(TOW_MS, flags=0), high_rate(TOW_MS, mode=1), high_rate(TOW_MS, mode=0)]
)
def test_a_high_rate_fix_that_is_none(data: bytes) -> None:
    assert [fix.mode for fix in fixes(data)] == ["none"]
    assert fixes(ubx_encoder.frame(0x00, data[6:60], 0x28)) == []


def test_a_fix_out_of_no_satellites_does_not_tell_them() -> None:
    (fix,) = fixes(ubx_encoder.encode(dataclasses.replace(GOOD, satellites=0, hdop=0.0)))
    assert (fix.mode, fix.satellites, fix.hdop) == ("3d", None, None)


def test_an_epoch_in_two_protocols_is_told_once() -> None:
    ear = LineDecoder([UbxDecoder(), NmeaDecoder()])
    told: list[Value] = []
    for second in range(10):
        fix = dataclasses.replace(GOOD, time=AT + timedelta(seconds=second))
        told += ear.feed(gnss_encoder.encode(fix) + ubx_encoder.encode(fix))
    told += ear.pause()
    times = [value.time for value in told if isinstance(value, Fix)]
    assert times == [AT + timedelta(seconds=second) for second in range(10)]


KINDS = [
    ubx_decoder.PVT,
    ubx_decoder.POSLLH,
    ubx_decoder.SOL,
    ubx_decoder.STATUS,
    ubx_decoder.DOP,
    ubx_decoder.VELNED,
    ubx_decoder.TIMEGPS,
    ubx_decoder.TIMEUTC,
    ubx_decoder.SVINFO,
    ubx_decoder.SAT,
]


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=100)), max_size=8),
    st.binary(min_size=4, max_size=4),
)
def test_any_payload_raises_nothing_and_gives_nothing_that_cannot_be(
    messages: list[tuple[int, bytes]], tow: bytes
) -> None:
    decoder = UbxDecoder(date(2026, 11, 1))
    told: list[Value] = []
    for kind, payload in messages:
        told += decoder.feed(ubx_encoder.frame(kind, tow + payload))
    for value in [*told, *decoder.pause()]:
        if isinstance(value, Fix):
            can_be(value)


@given(
    st.sampled_from([(0x0A, 0x09), (0x0A, 0x38), (0x27, 0x09), (0x01, 0x07)]),
    st.binary(max_size=300),
    st.binary(max_size=9),
)
def test_whatever_comes_raises_nothing(kind: tuple[int, int], payload: bytes, junk: bytes) -> None:
    decoder = UbxDecoder()
    decoder.feed(ubx_encoder.frame(kind[1], payload, kind[0]))
    decoder.feed(junk)
    decoder.pause()


@pytest.mark.needs_shared
@pytest.mark.skipif(not SHARED.exists(), reason="needs the recordings beside this folder: ../shared/data")
def test_fields_read_by_struct_are_what_pyubx2_reads() -> None:
    """Every epoch of every UBX recording that NAV-PVT tells: all that a fix says."""
    from pyubx2 import UBXReader

    compared = 0
    for path in sorted((SHARED / "ubx").glob("*.log")):
        data = path.read_bytes()
        told = {value.time: value for value in hear(data) if isinstance(value, Fix)}
        at = -1
        while (at := data.find(b"\xb5\x62\x01\x07", at + 1)) >= 0:
            frame = data[at : at + 8 + int.from_bytes(data[at + 4 : at + 6], "little")]
            if len(frame) < 92:  # the recording ends in the middle of it
                continue
            pvt: Any = UBXReader.parse(frame)
            moment = datetime(pvt.year, pvt.month, pvt.day, pvt.hour, pvt.min, pvt.second, tzinfo=UTC)
            fix = told[moment + timedelta(milliseconds=round(pvt.nano / 1e6))]
            assert (fix.lat, fix.lon) == pytest.approx((pvt.lat, pvt.lon), abs=1e-9)
            assert (fix.satellites, fix.alt_m, fix.error_m) == (pvt.numSV, pvt.hMSL / 1000, pvt.hAcc / 1000)
            assert fix.speed_mps == pytest.approx(pvt.gSpeed / 1000, abs=0.006)
            assert fix.course_deg == pytest.approx(pvt.headMot, abs=0.01)
            compared += 1
    assert compared > 100
