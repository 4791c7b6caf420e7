"""NMEA 0183 by tables: whole, byte by byte, with noise, cut; and what must yield no position."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.nmea import NmeaDecoder, encode, seal
from firmware_bridge.readings import Fix
from firmware_bridge.sniff import Sniffer

AT = datetime(2026, 11, 28, 6, 12, 31, tzinfo=UTC)
GOOD = Fix(
    mode="3d",
    lat=32.1162,
    lon=118.7404,
    time=AT,
    alt_m=12.5,
    satellites=11,
    hdop=0.9,
    speed_mps=1.5,
    course_deg=87.0,
)


def read(data: bytes, chunk: int = 0) -> list[Fix]:
    decoder, sniffer = NmeaDecoder(), Sniffer(("nmea",))
    values = []
    for start in range(0, len(data), chunk or len(data) or 1):
        for packet in sniffer.feed(data[start : start + (chunk or len(data))]):
            values += decoder.feed(packet.data)
    return [value for value in values + decoder.pause() if isinstance(value, Fix)]


def same(one: Fix, other: Fix) -> bool:
    pairs = [
        (one.lat, other.lat),
        (one.lon, other.lon),
        (one.alt_m, other.alt_m),
        (one.speed_mps, other.speed_mps),
    ]
    close = all((a is None) == (b is None) and (a is None or abs(a - b) < 1e-3) for a, b in pairs)
    return close and (one.mode, one.time, one.satellites) == (other.mode, other.time, other.satellites)


@pytest.mark.parametrize("chunk", [0, 1, 3])
@pytest.mark.parametrize(
    "fix",
    [
        GOOD,
        Fix(
            mode="3d",
            lat=-33.5,
            lon=-70.25,
            time=AT,
            alt_m=600.0,
            satellites=7,
            hdop=1.2,
            speed_mps=0.0,
            course_deg=0.0,
        ),
        Fix(mode="none", time=AT),
    ],
)
def test_what_is_encoded_is_read_back(fix: Fix, chunk: int) -> None:
    told = read(encode(fix), chunk)
    assert len(told) == 1
    assert told[0].mode == fix.mode
    if fix.mode != "none":
        assert same(told[0], fix)


RMC = "GPRMC,061231.00,A,3206.972,N,11844.424,E,0.1,87.0,281126,,,A"
GGA = "GPGGA,061231.00,3206.972,N,11844.424,E,1,08,0.9,12.5,M,,M,,"


def line(*bodies: str) -> bytes:
    return b"".join(map(seal, bodies))


NO_POSITION = [
    ("status V", line(RMC.replace(",A,3", ",V,3"))),
    ("quality 0", line(GGA.replace("E,1,", "E,0,"))),
    ("quality 6, estimated", line(GGA.replace("E,1,", "E,6,"))),
    ("quality 8, simulated", line(GGA.replace("E,1,", "E,8,"))),
    ("mode N", line(RMC[:-1] + "N")),
    ("mode E", line(RMC[:-1] + "E")),
    ("one of the epoch says no", line(RMC, GGA.replace("E,1,", "E,0,"))),
    ("null island", line(RMC.replace("3206.972", "0000.000").replace("11844.424", "00000.000"))),
    ("latitude 91", line(RMC.replace("3206.972", "9106.972"))),
    ("minutes 75", line(RMC.replace("3206.972", "3275.972"))),
    ("no hemisphere", line(RMC.replace(",N,", ",,"))),
    ("cut field", line(RMC.replace("11844.424", ""))),
    ("positions that contradict", line(RMC, GGA.replace("3206.972", "3306.972"))),
    ("no checksum", b"$" + RMC.encode() + b"\r\n"),
    ("wrong checksum", line(RMC).replace(b"3206", b"3207")),
    ("not a sentence", b"\x00\xff" * 200),
]  # fmt: skip


@pytest.mark.parametrize("data", [case[1] for case in NO_POSITION], ids=[case[0] for case in NO_POSITION])
def test_no_position(data: bytes) -> None:
    assert [fix for fix in read(data) if fix.mode != "none"] == []


def test_a_receiver_without_a_fix_still_speaks() -> None:
    silent = line("GPRMC,,V,,,,,,,,,,N", "GPGGA,,,,,,0,,,,M,,M,,") * 5
    told = read(silent)
    assert [fix.mode for fix in told] == ["none"] * 5


def test_one_fix_an_epoch_with_what_its_sentences_say_together() -> None:
    gsa = "GPGSA,A,3,01,02,03,04,,,,,,,,,1.8,0.9,1.5"
    gst = "GPGST,061231.00,5.0,,,,3.0,4.0,6.0"
    (fix,) = read(line(RMC, GGA, gsa, gst))
    assert (fix.mode, fix.satellites, fix.hdop, fix.alt_m, fix.error_m) == ("3d", 8, 0.9, 12.5, 5.0)
    assert fix.time == AT
    assert fix.speed_mps == pytest.approx(0.051)


def test_two_dimensions_have_no_altitude() -> None:
    (fix,) = read(line(RMC, GGA, "GPGSA,A,2,01,02,03,,,,,,,,,,1.8,0.9,1.5"))
    assert (fix.mode, fix.alt_m) == ("2d", None)


def test_a_leap_second_is_a_time() -> None:
    (fix,) = read(line(RMC.replace("061231.00", "235960.00")))
    assert fix.time == datetime(2026, 11, 29, tzinfo=UTC)


def test_midnight_between_date_and_time() -> None:
    late, early = RMC.replace("061231.00", "235959.00"), GGA.replace("061231.00", "000000.00")
    assert [fix.time for fix in read(line(late, early))] == [
        datetime(2026, 11, 28, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 11, 29, tzinfo=UTC),
    ]


def test_content_that_cannot_be_is_counted() -> None:
    decoder = NmeaDecoder()
    decoder.feed(seal(RMC.replace("3206.972", "9906.972")).strip())
    assert decoder.bad == 1


@given(st.binary(max_size=400), st.integers(0, 60), st.integers(1, 9))
def test_any_noise_before_a_sentence_costs_at_most_that(noise: bytes, cut: int, chunk: int) -> None:
    """No exception; and two clean epochs after whatever came give at least the second."""
    data = noise + encode(GOOD)[cut:] + b"\r\n" + encode(GOOD) + encode(GOOD)
    assert any(same(fix, GOOD) for fix in read(data, chunk))


@given(st.data())
def test_a_flipped_bit_gives_no_other_position(data: st.DataObject) -> None:
    raw = bytearray(line(RMC, GGA))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    for fix in read(bytes(raw)):
        assert fix.mode == "none" or (fix.lat, fix.lon) == (32.1162, 118.7404)


@given(
    st.text(alphabet="0123456789.,NSEWAVMDR-", max_size=80),
    st.sampled_from(["RMC", "GGA", "GLL", "GNS", "GSA", "ZDA", "GST", "VTG"]),
)
def test_any_content_with_a_good_checksum_raises_nothing(content: str, kind: str) -> None:
    for fix in read(line(f"GP{kind},{content}", RMC)):
        assert fix.lat is None or -90 <= fix.lat <= 90
