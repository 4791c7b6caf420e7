"""gpsd's JSON: objects as gpsd 3.22 said them, cut anywhere; a gpsd without a receiver; one that goes away."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.gnss.gpsd_decoder import MAX_LINE, SKY_VALID_OBJECTS, GpsdDecoder
from firmware_bridge.readings import Fix, GnssState, LineState, Value
from tests.test_line import Server, end, fixes, states
from tests.waiting import play, until

A, B = "/dev/ttyACM0", "/dev/ttyUSB1"
VERSION = {"class": "VERSION", "release": "3.22", "rev": "3.22", "proto_major": 3, "proto_minor": 14}
DEVICE = {
    "class": "DEVICE",
    "path": A,
    "driver": "NMEA0183",
    "activated": "2026-11-25T13:35:34.380Z",
    "bps": 38400,
}
GONE = {"class": "DEVICE", "path": A, "activated": 0}
DEVICES = {"class": "DEVICES", "devices": [DEVICE]}
SKY = {"class": "SKY", "device": A, "hdop": 0.9, "pdop": 1.7, "nSat": 14, "uSat": 11}
OLD_SKY = {"class": "SKY", "device": A, "satellites": [{"PRN": 5, "used": True}, {"PRN": 7, "used": False}]}
SATELLITES = {
    "class": "SKY", "device": A, "nSat": 20, "uSat": 11,
    "satellites": [{"PRN": 1, "ss": 44.0, "used": True}, {"PRN": 2, "ss": 36, "used": True}, {"PRN": 3, "ss": 0}],
}  # fmt: skip
DOPS = {"class": "SKY", "device": A, "hdop": 0.9, "pdop": 1.4}
TPV = {
    "class": "TPV", "device": A, "mode": 3, "time": "2026-11-25T13:35:35.370Z", "ept": 0.005,
    "lat": 32.100405667, "lon": 118.700035833, "altHAE": 12.7706, "altMSL": 11.28, "alt": 11.28,
    "track": 6.45, "magvar": -5.8, "speed": 4.888, "climb": -0.06, "eph": 17.1,
}  # fmt: skip
LATER = TPV | {"time": "2026-11-25T13:35:36.370Z"}
FIX = {"mode": "3d", "lat": 32.100405667, "lon": 118.700035833, "alt_m": 11.28, "error_m": 17.1}


def lines(*objects: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\r\n" for one in objects)


def said(*objects: dict[str, Any], device: str | None = None) -> list[dict[str, Any]]:
    told = GpsdDecoder(device).feed(lines(*objects))
    names = ("mode", "lat", "lon", "alt_m", "error_m", "satellites", "satellites_seen", "hdop", "cn0_dbhz")
    values = [{name: getattr(fix, name) for name in names} for fix in told]
    return [{name: value for name, value in one.items() if value is not None} for one in values]


CASES: dict[str, tuple[tuple[dict[str, Any], ...], list[dict[str, Any]]]] = {
    "a fix": ((TPV,), [FIX]),
    "with what was said of the sky": ((SKY, TPV), [FIX | {"satellites": 11, "satellites_seen": 14, "hdop": 0.9}]),
    "an older gpsd's sky": ((OLD_SKY, TPV), [FIX | {"satellites": 1, "satellites_seen": 2}]),
    "a sky in two pieces, as gpsd 3.23 sends it": (
        (SATELLITES, DOPS, TPV, SATELLITES, DOPS, LATER),
        2 * [FIX | {"satellites": 11, "satellites_seen": 20, "hdop": 0.9, "cn0_dbhz": 40.0}],
    ),
    "a piece of it that is long past": ((SATELLITES, *[VERSION] * SKY_VALID_OBJECTS, DOPS, TPV), [FIX | {"hdop": 0.9}]),
    "a newer list beside an older count": (
        (SKY, OLD_SKY, TPV), [FIX | {"satellites": 1, "satellites_seen": 2, "hdop": 0.9}],
    ),
    "a fix out of no satellites: they are not told": (
        (SKY | {"uSat": 0, "hdop": 0.0}, TPV), [FIX | {"satellites_seen": 14}],
    ),
    "the signals where there is no fix": (
        (SATELLITES, TPV | {"mode": 1}), [{"mode": "none", "satellites_seen": 20, "cn0_dbhz": 40.0}],
    ),
    "another receiver's sky": ((SKY | {"device": B}, TPV), [FIX]),
    "a sky that is long past": ((SKY, *[VERSION] * SKY_VALID_OBJECTS, TPV), [FIX]),
    "the same epoch twice": ((TPV, TPV), [FIX]),
    "no fix": ((TPV | {"mode": 1},), [{"mode": "none"}]),
    "not even a mode": (({"class": "TPV", "device": A},), [{"mode": "none"}]),
    "two dimensions": ((TPV | {"mode": 2},), [{**FIX, "mode": "2d"} | {"alt_m": None}]),
    "dead reckoning": ((TPV | {"status": 5},), [{"mode": "none"}]),
    "a simulator": ((TPV | {"status": 8},), [{"mode": "none"}]),
    "null island": ((TPV | {"lat": 0, "lon": 0.0},), [{"mode": "none"}]),
    "a latitude that can't be": ((TPV | {"lat": 91},), [{"mode": "none"}]),
    "a latitude that is a text": ((TPV | {"lat": "32"},), [{"mode": "none"}]),
    "errors by axis": ((TPV | {"eph": None, "epx": 3, "epy": 4},), [FIX | {"error_m": 5.0}]),
    "all else": ((VERSION, DEVICES, SKY, {"class": "WATCH"}, {"class": "ERROR", "message": "?"}), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_gpsd_says(case: str) -> None:
    objects, expected = CASES[case]
    expected = [{name: value for name, value in one.items() if value is not None} for one in expected]
    assert said(*objects) == expected
    whole, single = GpsdDecoder(), GpsdDecoder()
    stream = lines(*objects)
    bytewise = [fix for place in range(len(stream)) for fix in single.feed(stream[place : place + 1])]
    assert whole.feed(stream) == bytewise
    assert whole.good == len(objects)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2016-12-31T23:59:60.000Z", "2017-01-01T00:00:00+00:00"),
        ("2026-11-25T13:35:35Z", "2026-11-25T13:35:35+00:00"),
        ("", None),
        ("9999-12-31T23:59:60Z", None),
        (17, None),
    ],
)
def test_its_time(text: object, time: str | None) -> None:
    (fix,) = GpsdDecoder().feed(lines(TPV | {"time": text}))
    assert isinstance(fix, Fix)
    assert (fix.time and fix.time.isoformat()) == time


@pytest.mark.parametrize(
    ("jam", "antenna", "state"),
    [
        (31, None, GnssState(jamming="ok", jamming_pct=12.2)),
        (128, None, GnssState(jamming="warning", jamming_pct=50.2)),
        (250, 3, GnssState(jamming="critical", jamming_pct=98.0, antenna="short")),
        (None, 2, GnssState(antenna="open")),
        (None, None, None),
        (256, 9, None),
        (True, "3", None),
    ],
)
def test_jamming_and_antenna_are_told_with_the_fix(jam: object, antenna: object, state: object) -> None:
    notices = {"jam": jam, "ant": antenna}
    told = GpsdDecoder().feed(lines(TPV | {key: one for key, one in notices.items() if one is not None}))
    assert told[1:] == ([] if state is None else [state])
    jammed = GpsdDecoder().feed(lines(TPV | {"mode": 1, "jam": 255}))
    assert [type(one) for one in jammed] == [Fix, GnssState]


def test_what_gpsd_falls_silent_about_is_over() -> None:
    later = [TPV | {"time": f"2026-11-25T13:36:{second:02d}.370Z"} for second in range(30)]
    told = GpsdDecoder().feed(lines(TPV | {"jam": 250, "ant": 2}, *later))
    states = [one for one in told if isinstance(one, GnssState)]
    assert [states[0].jamming, states[0].antenna] == ["critical", "open"]
    assert [states[-1].jamming, states[-1].antenna] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("time", "told", "weeks"),
    [
        ("2007-04-14T06:00:00Z", "2026-11-28T06:00:00+00:00", 1024),
        ("2046-07-16T06:00:00Z", "2026-11-30T06:00:00+00:00", -1024),
        ("2026-11-30T06:00:00Z", "2026-11-30T06:00:00+00:00", None),
    ],
)
def test_a_date_that_can_not_be_is_corrected(time: str, told: str, weeks: int | None) -> None:
    (fix,) = GpsdDecoder(not_before=Gpsd().not_before).feed(lines(TPV | {"time": time}))
    assert isinstance(fix, Fix)
    assert (fix.time and fix.time.isoformat(), fix.rollover_weeks) == (told, weeks)


def test_one_of_several_receivers() -> None:
    other = TPV | {"device": B, "lat": 1.0}
    assert len(said(TPV, other)) == 1
    assert [fix["lat"] for fix in said(TPV, other, device=B)] == [1.0]


def test_what_is_no_gpsd_is_counted_and_bounded() -> None:
    decoder = GpsdDecoder()
    assert decoder.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n[]\n7\n{}\n" + lines(TPV)) != []
    assert (decoder.good, decoder.bad) == (1, 4)
    for _ in range(10):
        decoder.feed(b"x" * MAX_LINE)
        assert len(decoder._buffer) <= MAX_LINE


def test_satellites_that_are_none_are_not_counted() -> None:
    sky = SKY | {"satellites": [1, None, {"used": True}]}
    sky.pop("uSat", None)
    (fix,) = said(sky, TPV)
    assert fix["satellites"] == 1


@given(st.lists(st.binary(max_size=60) | st.sampled_from([lines(TPV)[:-2], b'{"class":"TPV","mode":3}\n'])))
def test_any_bytes_raise_nothing(pieces: list[bytes]) -> None:
    decoder = GpsdDecoder()
    for piece in pieces:
        decoder.feed(piece)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@given(
    st.sampled_from(["TPV", "SKY", "DEVICE", "DEVICES"]),
    st.dictionaries(
        st.sampled_from(
            [*TPV, "jam", "ant", "devices", "satellites", "uSat", "status", "epx", "epy", "path", "activated"]
        ),
        json_values,
    ),
)
def test_any_objects_raise_nothing(kind: str, told: dict[str, Any]) -> None:
    for value in GpsdDecoder().feed(lines(SKY, told | {"class": kind}, TPV)):
        if isinstance(value, GnssState):
            continue
        assert isinstance(value, Fix)
        assert value.mode == "none" or -90 <= (value.lat or 0) <= 90


def test_it_is_asked_found_again_and_its_state_is_told() -> None:
    async def scene() -> None:
        told: list[Value] = []
        async with Server() as server:
            line = Gpsd(host="127.0.0.1", port=server.port)
            task = asyncio.ensure_future(line.run(told.append))  # type: ignore[arg-type]
            await until(lambda: server.heard == b'?WATCH={"enable":true,"json":true};\n')
            server.say(lines(VERSION, DEVICES, SKY, TPV))
            await until(lambda: fixes(told) != [])
            server.hang_up()
            with pytest.raises(OSError, match=r"tcp://127.0.0.1:\d+: closed by the far end \(end of file\)"):
                await task
        assert [type(value) for value in told] == [Fix, LineState]
        assert states(told)[0].good == {"gpsd": 4}

    play(scene)


@pytest.mark.parametrize(
    ("objects", "device", "message"),
    [
        ((VERSION, {"class": "DEVICES", "devices": []}), None, "it has no receiver for 1 s"),
        ((VERSION, DEVICES, GONE), None, "it has no receiver for 1 s"),
        ((VERSION, DEVICES), None, "no position for 1 s"),
        ((VERSION, DEVICES, TPV), B, f"no receiver {B} \\(it has {A}\\) for 1 s"),
    ],
)
def test_a_gpsd_that_says_nothing_is_asked_anew(
    objects: tuple[dict[str, Any], ...], device: str | None, message: str
) -> None:
    async def scene() -> None:
        async with Server() as server:
            line = Gpsd(host="127.0.0.1", port=server.port, device=device, silent_after_s=1)
            task = asyncio.ensure_future(line.run(lambda _: None))
            await until(lambda: server.writers != [])
            server.say(lines(*objects))
            with pytest.raises(TimeoutError, match=f"gpsd on 127.0.0.1: {message}"):
                await task
            await end(task)

    play(scene)


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ({}, "localhost", 2947),
        ({"host": "10.0.0.5"}, "10.0.0.5", 2947),
        ({"host": "10.0.0.5", "port": 2948}, "10.0.0.5", 2948),
        ({"port": "gpsd://boat"}, "boat", 2947),
        ({"port": "gpsd://boat:2948"}, "boat", 2948),
        ({"port": "gpsd://[::1]"}, "::1", 2947),
    ],
)
def test_how_it_stands_in_a_configuration(given: dict[str, Any], host: str, port: int) -> None:
    line = Gpsd(**given)
    assert (line.host, line.port) == (host, port)


@pytest.mark.parametrize(
    "given", [{"port": "gpsd://"}, {"port": "/dev/ttyUSB0"}, {"host": "a/b"}, {"port": 0}]
)
def test_what_can_not_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gpsd(**given)


def test_of_several_receivers_one_is_told() -> None:
    def at(second: int, device: str, **more: Any) -> dict[str, Any]:
        return TPV | {"time": f"2026-11-25T13:35:{second:02d}.000Z", "device": device} | more

    def modes(*objects: dict[str, Any]) -> list[tuple[str, float | None]]:
        told = GpsdDecoder().feed(lines(*objects))
        return [(value.mode, value.lat) for value in told if isinstance(value, Fix)]

    here, there = ("3d", TPV["lat"]), ("3d", 32.2)
    blind = [
        one for second in range(9) for one in (at(second, B, mode=1), at(second, A), at(second, B, mode=1))
    ]
    assert modes(*blind) == [("none", None)] + 9 * [here]
    silent = [one for second in range(9) for one in (at(second, A), {"class": "TPV", "device": B, "mode": 0})]
    assert modes(*silent) == 9 * [here]
    both = [one for second in range(9) for one in (at(second, A), at(second, B, lat=32.2))]
    assert modes(*both) == 9 * [here]
    assert modes(*both, *(at(9 + n, A, mode=1) for n in range(2)), at(11, B, lat=32.2))[-1] == there
    assert modes(*both, *(at(9 + n, B, lat=32.2) for n in range(8)))[-4:] == 4 * [there]
    lost = [one for second in range(9, 14) for one in (at(second, A, mode=1), at(second, B, mode=1))]
    assert [mode for mode, _ in modes(*both, *lost)] == ["3d"] * 9 + ["none"] * 9


def test_what_a_repeated_position_says_of_jamming_is_heard() -> None:
    told = GpsdDecoder().feed(lines(TPV, TPV | {"jam": 250}))
    assert [value.kind for value in told] == ["fix", "gnss_state"]
