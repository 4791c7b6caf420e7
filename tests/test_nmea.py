"""NMEA 0183 by tables: whole, byte by byte, with noise, cut; and what must yield no position."""

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.epoch import Satellite
from firmware_bridge.nmea.gnss_encoder import encode
from firmware_bridge.nmea.nmea import NmeaDecoder
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import Fix, GnssState
from firmware_bridge.serial.line_decoder import LineDecoder
from firmware_bridge.serial.sniffer import Sniffer
from tests.plausible import can_be

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


GSA = "GPGSA,A,3,01,02,03,04,,,,,,,,,1.8,0.9,1.5"
GST = "GPGST,061231.00,5.0,,,,3.0,4.0,6.0"
GSV = "GPGSV,1,1,02,05,40,100,42,07,70,010,48"


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
    st.lists(
        st.tuples(
            st.sampled_from(["RMC", "GGA", "GLL", "GNS", "GSA", "ZDA", "GST", "VTG", "GSV", "TXT"]),
            st.text(alphabet="0123456789.,NSEWAVMDRT-ANTENNA ", max_size=80),
        ),
        max_size=6,
    )
)
def test_any_content_with_a_good_checksum_raises_nothing_and_gives_nothing_that_cannot_be(
    sentences: list[tuple[str, str]],
) -> None:
    for fix in read(line(*(f"GP{kind},{content}" for kind, content in sentences), RMC)):
        can_be(fix)


@given(st.sampled_from([RMC, GGA, GSV, GSA, GST]), st.integers(0, 30), st.text("0123456789.-", max_size=12))
def test_any_number_in_any_field_gives_nothing_that_cannot_be(body: str, at: int, number: str) -> None:
    fields = body.split(",")
    fields[1 + at % (len(fields) - 1)] = number
    for fix in read(line(",".join(fields), RMC, GGA)):
        can_be(fix)


@given(st.binary(max_size=120))
def test_bytes_that_no_sniffer_checked_raise_nothing(data: bytes) -> None:
    decoder = NmeaDecoder()
    decoder.feed(data)
    decoder.feed(b"$GPRMC," + data)
    decoder.pause()


@pytest.mark.parametrize("talker", ["GP", "GL", "GA", "GB", "BD", "GQ", "GN", "IN", "EC"])
def test_any_talker_is_heard_but_no_vendor(talker: str) -> None:
    assert read(line(talker + RMC[2:]))[0].mode == "2d"
    assert read(line("P" + talker[1] + RMC[2:])) == []


SKY = (
    Satellite("GP", 5, 40, 100, 42, used=True),
    Satellite("GP", 7, 70, 10, 48, used=True),
    Satellite("GP", 8, 70, 10),
    Satellite("GP", 9, 5, 10, 20),
    Satellite("GP", 30, 7, 10, 22),
    Satellite("GL", 70, 12, 300, 38, used=True),
)


def test_the_sky_and_the_receivers_own_estimate_are_read_back() -> None:
    fix = dataclasses.replace(GOOD, error_m=2.83)
    (told,) = read(encode(fix, SKY))
    assert (told.satellites_seen, told.cn0_dbhz, told.error_m) == (6, 34.0, 2.83)
    assert encode(fix, SKY).count(b"GSV") == 3
    assert encode(fix, SKY).count(b"GSA") == 2


def test_a_satellite_on_two_signals_is_seen_once_and_an_old_sky_is_forgotten() -> None:
    one, other = "GPGSV,1,1,02,05,40,100,42,07,70,010,48,1", "GPGSV,1,1,02,05,40,100,36,07,70,010,,8"
    later = [RMC.replace("061231", f"0612{second}") for second in range(32, 46)]
    told = read(line(one, other, RMC, *later))
    assert (told[0].satellites_seen, told[0].cn0_dbhz) == (2, 42.0)
    assert (told[-1].satellites_seen, told[-1].cn0_dbhz) == (None, None)


def test_satellites_used_are_those_of_gga_or_those_listed() -> None:
    gsa = "GNGSA,A,3,01,02,03,04,,,,,,,,,1.8,0.9,1.5"
    assert read(line(RMC, gsa, gsa))[0].satellites == 8
    assert read(line(RMC, GGA, gsa, gsa))[0].satellites == 8
    assert read(line(RMC, GGA.replace(",08,", ",11,"), gsa))[0].satellites == 11


def epochs(*bodies: str, count: int = 9) -> list[bytes]:
    return [
        line(*(body.replace("061231", f"0612{second}") for body in bodies))
        for second in range(31, 31 + count)
    ]


@pytest.mark.parametrize("bodies", [(RMC, GGA), (GGA, GSA, RMC), (RMC, GGA, GSA, GST), (RMC,)])
def test_an_epoch_is_told_with_the_sentence_that_usually_ends_it(bodies: tuple[str, ...]) -> None:
    ear = LineDecoder([NmeaDecoder()])
    told = [
        [value.time.second for value in ear.feed(epoch) if isinstance(value, Fix) and value.time]
        for epoch in epochs(*bodies)
    ]
    assert told[:3] == [[], [31], [32]]  # it does not know yet
    assert told[-3:] == [[37], [38], [39]]
    assert ear.pause() == []


def test_what_comes_after_an_epoch_was_told_leads_the_next() -> None:
    ear, told = LineDecoder([NmeaDecoder()]), []
    for epoch in epochs(GSA.replace("A,3", "A,2"), RMC, GGA):
        told += ear.feed(epoch) + ear.pause()
    assert [value.mode for value in told if isinstance(value, Fix)] == ["2d"] * 9


def test_a_sentence_more_than_usual_does_not_tell_an_epoch_twice() -> None:
    ear, told = LineDecoder([NmeaDecoder()]), []
    for epoch in [*epochs(RMC), line(GGA.replace("061231", "061239"), RMC.replace("061231", "061240"))]:
        told += ear.feed(epoch)
    times = [value.time for value in [*told, *ear.pause()] if isinstance(value, Fix)]
    assert times == [datetime(2026, 11, 28, 6, 12, second, tzinfo=UTC) for second in range(31, 41)]


def test_a_lone_position_out_of_reach_must_be_confirmed() -> None:
    """Two damaged bytes can make a checksum fit again; they do so once, not twice in the same way."""
    far = RMC.replace("3206.972", "3216.972")
    here, there = (32.1162, 118.7404), (pytest.approx(32.28287, abs=1e-5), 118.7404)
    lone = epochs(RMC)[:2] + epochs(far)[2:3] + epochs(RMC)[3:5]
    assert [(fix.lat, fix.lon) for fix in read(b"".join(lone))] == [here] * 4
    moved = epochs(RMC)[:2] + epochs(far)[2:5]
    assert [(fix.lat, fix.lon) for fix in read(b"".join(moved))] == [here, here, there, there]
    both = epochs(RMC)[:2] + epochs(far, GGA.replace("3206.972", "3216.972"))[2:3]
    assert [(fix.lat, fix.lon) for fix in read(b"".join(both))] == [here, here, there]


def test_of_positions_that_agree_the_one_that_most_repeat_holds() -> None:
    """A chart plotter's GLL and RMC speak of the same instant, its GGA already of the next."""
    gll = "GPGLL,3206.972,N,11844.424,E,061231.00,A,A"
    assert [fix.lat for fix in read(line(gll, RMC, GGA.replace("3206.972", "3206.970")))] == [32.1162]
    assert [fix.lat for fix in read(line(RMC, GGA.replace("3206.972", "3206.970"), gll))] == [32.1162]


def test_of_two_positions_that_contradict_the_one_within_reach_holds() -> None:
    data = (
        epochs(RMC, GGA)[:1] + epochs(RMC.replace("3206.972", "3216.972"), GGA)[1:2] + epochs(RMC, GGA)[2:3]
    )
    assert [(fix.lat, fix.lon) for fix in read(b"".join(data))] == [(32.1162, 118.7404)] * 3


@pytest.mark.parametrize(
    ("text", "state"),
    [("ANTSTATUS=OPEN", "open"), ("ANTENNA SHORT", "short"), ("ANTSTATUS=OK", "ok"), ("txbuf alloc", None)],
)
def test_a_receiver_tells_of_its_antenna(text: str, state: str | None) -> None:
    told = NmeaDecoder().feed(line(f"GNTXT,01,01,02,{text}").strip())
    assert told == ([] if state is None else [GnssState(antenna=state)])  # type: ignore[arg-type]  # one of three


@pytest.mark.parametrize(
    ("quality", "mode"),
    [("1", "3d"), ("2", "3d"), ("3", "3d"), ("4", "3d"), ("5", "3d"), ("9", "3d"), ("05", "3d"), ("01", "3d"),
     (" 2", "3d"), ("0", "none"), ("00", "none"), ("6", "none"), ("06", "none"), ("7", "none"), ("8", "none"),
     ("08", "none")],
)  # fmt: skip
def test_the_quality_of_gga_however_it_is_written(quality: str, mode: str) -> None:
    gga = GGA.replace("E,1,", f"E,{quality},")
    assert [fix.mode for fix in read(line(gga))] == [mode]
    assert [fix.mode for fix in read(line(RMC, gga))] == [mode]  # one no is enough


@pytest.mark.parametrize("quality", ["", "10", "A", "1.5"])
def test_a_quality_that_nobody_knows_refuses_nothing_and_gives_nothing(quality: str) -> None:
    gga = GGA.replace("E,1,", f"E,{quality},")
    assert [fix.mode for fix in read(line(gga))] == ["none"]
    assert [fix.mode for fix in read(line(RMC, gga))] == ["2d"]


@pytest.mark.parametrize("gga", [GGA, GGA.replace("GPGGA", "GNGNS").replace("E,1,", "E,AA,")])
def test_a_valid_fix_out_of_no_satellites_does_not_tell_them(gga: str) -> None:
    none = gga.replace(",08,0.9,", ",00,00.0,")
    (fix,) = read(line(RMC, none))
    assert (fix.satellites, fix.hdop) == (None, None)
    (fix,) = read(line(RMC, none, "GPGSA,A,3,01,02,03,04,05,,,,,,,,1.8,0.9,1.5"))
    assert (fix.satellites, fix.hdop) == (5, 0.9)


GLL = "GPGLL,3206.972,N,11844.424,E,061231.00,A,A"


@pytest.mark.parametrize(
    "odd", [GLL.replace(",E,", ",,"), GLL.replace(",N,", ",?,"), GLL.replace("3206", "9906")]
)
@pytest.mark.parametrize("place", range(3))
def test_an_odd_sentence_refuses_no_sound_one(odd: str, place: int) -> None:
    bodies = [RMC, GGA]
    bodies.insert(place, odd)
    assert [(fix.mode, fix.lat) for fix in read(line(*bodies))] == [("3d", 32.1162)]
    assert [fix.mode for fix in read(line(odd))] == ["none"]


@pytest.mark.parametrize(
    "odd",
    [
        GLL.replace(",E,", ",,"),
        GLL.replace("3206.972", ""),
        GGA.replace("E,1,", "E,10,"),
        GGA.replace("E,1,", "E,,"),
    ],
)
def test_what_is_not_told_is_not_damaged(odd: str) -> None:
    """Health would say that much of what the line says is damaged."""
    decoder = NmeaDecoder()
    for body in (RMC, odd):
        decoder.feed(line(body).strip())
    assert decoder.bad == 0


@pytest.mark.parametrize(("sides", "lat", "lon"), [("ne", 32.1162, 118.7404), ("sw", -32.1162, -118.7404)])
def test_a_hemisphere_may_be_a_small_letter(sides: str, lat: float, lon: float) -> None:
    (fix,) = read(line(GLL.replace(",N,", f",{sides[0]},").replace(",E,", f",{sides[1]},")))
    assert (fix.lat, fix.lon) == (lat, lon)


def test_blanks_around_fields_are_none_of_them() -> None:
    assert [fix.lat for fix in read(line(GLL.replace(",N,", ",N ,").replace(",A,", ", A,")))] == [32.1162]


# Several receivers on one wire.

BLIND = ("GPRMC,061231.00,V,,,,,,,281126,,,N", "GPGGA,061231.00,,,,,0,00,99.9,,,,,,")
COLD = ("GPRMC,,V,,,,,,,,,,N", "GPGGA,,,,,,0,00,99.9,,,,,,")
OFF = tuple(body.replace("061231.00", "061231.40") for body in BLIND)
SEEING = ("GN" + RMC[2:], "GN" + GGA[2:])


@pytest.mark.parametrize("blind", [BLIND, COLD, OFF], ids=["same second", "no time", "other time"])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (0, 2, 1, 3), (2, 0, 3, 1), (0, 3, 1, 2)])
@pytest.mark.parametrize("pauses", [False, True])
def test_a_blind_receiver_beside_one_that_sees_changes_nothing(
    blind: tuple[str, ...], order: tuple[int, ...], pauses: bool
) -> None:
    bodies = (*SEEING, *blind)
    ear, told = LineDecoder([NmeaDecoder()]), list[object]()
    for epoch in epochs(*(bodies[place] for place in order), count=20):
        told += ear.feed(epoch) + (ear.pause() if pauses else [])
    modes = [value.mode for value in [*told, *ear.pause()] if isinstance(value, Fix)]
    unsure = 0 if blind is BLIND else 4  # it may take some turns to see that there are two
    assert modes[unsure:] == ["3d"] * len(modes[unsure:])
    assert len(modes) >= 20 - unsure


COLD_GLL = "GLL,,,,,061231.00,V,N"


@pytest.mark.parametrize(
    ("seeing", "blind"),
    [
        (("GN" + RMC[2:],), ("AI" + COLD_GLL,)),
        (("GN" + RMC[2:],), ("GP" + BLIND[1][2:],)),
        (("GN" + RMC[2:], "GP" + GGA[2:]), ("AI" + COLD_GLL,)),
        (("GN" + RMC[2:], "GP" + GGA[2:]), ("AI" + BLIND[0][2:], "AI" + BLIND[1][2:])),
        (("GN" + RMC[2:],), ("II" + BLIND[0][2:], "AI" + BLIND[1][2:], "EC" + COLD_GLL)),
        (("GN" + RMC[2:],), ("AI" + GLL[2:].replace("061231.00,A,A", "061231.00,V,N"),)),
    ],
    ids=["GLL", "system", "two systems", "same sentences", "three blind", "its last position"],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_blind_receiver_that_says_other_sentences_refuses_no_fix(
    seeing: tuple[str, ...], blind: tuple[str, ...], first: bool
) -> None:
    bodies = (*blind, *seeing) if first else (*seeing, *blind)
    told = read(b"".join(epochs(*bodies, count=20)))[3:]  # it takes some turns to see that there are two
    assert {fix.mode for fix in told} == {"2d" if len(seeing) == 1 else "3d"}
    assert [fix.time.second for fix in told if fix.time] == list(range(51 - len(told), 51))
    assert len(told) >= 17


@pytest.mark.parametrize("place", ["3206.972,N,11844.424,E", ",,,"], ids=["with its position", "blank"])
def test_one_receiver_that_contradicts_itself_has_no_fix(place: str) -> None:
    denied = GGA.replace("E,1,", "E,0,").replace("3206.972,N,11844.424,E", place)
    told = read(b"".join(epochs(RMC, denied, count=12)))
    assert {fix.mode for fix in told} == {"none"}
    if place != ",,,":  # so do receivers of several systems
        told = read(b"".join(epochs("GN" + RMC[2:], denied, count=12)))
        assert {fix.mode for fix in told} == {"none"}


def test_the_other_receiver_stands_in_for_one_that_lost_its_fix() -> None:
    both = epochs(*SEEING, *BLIND, count=5)
    swapped = epochs(*("GP" + body[2:] for body in SEEING), *("GN" + body[2:] for body in BLIND), count=9)[5:]
    none = epochs(*("GN" + body[2:] for body in BLIND), *BLIND, count=12)[9:]
    told = read(b"".join((*both, *swapped, *none)))
    times = [fix.time.second for fix in told if fix.time and fix.mode == "3d"]
    assert set(range(31, 40)) - set(times) <= {
        36
    }  # which was told before it was known that the other is blind
    assert times == sorted(set(times))
    assert [fix.mode for fix in told[-3:]] == ["none"] * 3


def test_one_receiver_may_speak_by_several_talkers() -> None:
    """GN for what all systems gave, GP and GL for what one gave; one no is enough."""
    gsa = [f"{talker}GSA,A,3,01,02,03,,,,,,,,,,1.8,0.9,1.5" for talker in ("GP", "GL")]
    (fix,) = read(line("GN" + RMC[2:], GGA, *gsa))
    assert (fix.mode, fix.satellites) == ("3d", 8)
    assert read(line("GN" + RMC[2:], BLIND[1]))[0].mode == "none"
    same = [talker + GGA[2:].replace(",08,", f",{used},") for talker, used in (("GP", "08"), ("GL", "02"))]
    told = read(b"".join(epochs(*same, RMC, count=5)))
    assert [(fix.mode, fix.satellites) for fix in told] == [("3d", 8)] * 5
    gns = "GNGNS,061231.00,3206.972,N,11844.424,E,AA,13,0.9,25.6,11.2,,"
    shares = ("GPGNS,061231.00,,,,,,8,,,,1.0,23", "GLGNS,061231.00,,,,,,5,,,,1.0,23")
    told = read(b"".join(epochs(gns, *shares, count=5)))
    assert [(fix.mode, fix.satellites) for fix in told] == [("3d", 13)] * 5


def test_a_receiver_that_changes_its_talker_loses_no_epoch() -> None:
    """u-blox says GP while it uses GPS alone, and GN with others."""
    alone = ("GP" + RMC[2:], "GP" + GGA[2:])
    data = b"".join([*epochs(*SEEING, count=4), *epochs(*alone, count=8)[4:], *epochs(*SEEING, count=12)[8:]])
    assert [fix.time.second for fix in read(data) if fix.time] == list(range(31, 43))


@pytest.mark.parametrize(
    ("date", "told"),
    [("160746", "2026-11-30"), ("140407", "2007-04-14"), ("301126", "2026-11-30"), ("010140", None)],
)
def test_a_date_too_far_ahead_is_corrected_or_refused(date: str, told: str | None) -> None:
    (fix,) = read(line(RMC.replace("281126", date)))
    assert (fix.time and f"{fix.time:%Y-%m-%d}") == told
    assert fix.lat == 32.1162


def test_a_date_that_is_said_once_holds_over_midnights() -> None:
    zda = "GPZDA,000000.00,28,11,2026,00,00"
    hours = [GGA.replace("061231", f"{hour % 24:02d}0000") for hour in range(1, 60, 5)]
    told = read(line(zda, *hours))
    assert [fix.time for fix in told] == [
        datetime(2026, 11, 28 + h // 24, h % 24, tzinfo=UTC) for h in range(1, 60, 5)
    ]
