"""The view models of the page *Sources*: ages, dangers, and satellites from raw bytes."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.agent_views import SourceUpdate, SourceValue
from console.pages.satellites import KEPT_BYTES, Sky, _fletcher
from console.pages.source_store import MOST_VALUES, SourceStore
from console.pages.sources_view import drone_fields, gauges, groups, hex_lines
from console.pages.vessels_view import targets
from console.web.session import Session
from firmware_bridge.nmea.sentence import seal

session = Session("token", "viewer")
GSV = (
    "GPGSV,2,1,05,01,40,083,46,02,17,308,41,12,07,344,39,14,22,228,45",
    "GPGSV,2,2,05,25,00,012,",
)


def value(
    source: str, kind: str, key: str = "", age_s: float = 0.0, rate_hz: float | None = 1.0, **fields: Any
) -> SourceValue:
    made = SourceValue(
        source=source, kind="nmea", value_kind=kind, key=key, value=fields, at="2026-11-30T12:00:00Z",
        age_s=age_s, rate_hz=rate_hz,
    )  # fmt: skip
    if "doubt" in fields:
        made["doubt"] = fields.pop("doubt")
    return made


def store(*values: SourceValue, now_s: float = 100.0) -> SourceStore:
    made = SourceStore()
    made.take(SourceUpdate(list(values), snapshot=True), now_s)
    return made


@pytest.mark.parametrize(
    ("kind", "rate_hz", "age_s", "stale"),
    [("reading", 1.0, 4.0, False), ("reading", 1.0, 6.0, True), ("reading", 0.1, 40.0, False),
     ("reading", 0.1, 60.0, True), ("reading", None, 999.0, False), ("switch", 1.0, 999.0, False)],
)  # fmt: skip
def test_stale_looks_stale(kind: str, rate_hz: float | None, age_s: float, stale: bool) -> None:
    made = store(value("board", kind, "battery", rate_hz=rate_hz, value=12.4, unit="V"), now_s=0.0)
    (group,) = groups(made, session, age_s)
    assert (group.rows[0].kind == "doubt") is stale
    assert ("stale" in group.rows[0].note) is stale


def test_rows_in_the_units_of_the_session_and_hostile_text_as_text() -> None:
    made = store(
        value("gnss", "fix", mode="3d", lat=32.1, lon=118.7, error_m=2.0, doubt="jump"),
        value("gnss", "reading", "water_temperature", value=11.5, unit="degC"),
        value("board", "switch", "<b>door</b>", on=True),
        value("ais", "vessel", "1", mmsi=1, lat=1.0, lon=2.0),
    )
    found = {group.name: group for group in groups(made, session, 101.0)}
    assert found["ais"].rows == ()
    assert "1 vessels" in found["ais"].note
    assert [(row.name, row.text) for row in found["board"].rows] == [("<b>door</b>", "on")]
    fix, water = found["gnss"].rows
    assert "32.100000, 118.700000" in fix.text
    assert (fix.kind, fix.note) == ("doubt", "in doubt: jump")
    assert (water.name, water.text) == ("water temperature", "11.5 °C")


def test_gauges_prefer_the_better_instrument() -> None:
    made = store(
        value("a", "reading", "heading_magnetic", value=100.0, unit="deg"),
        value("b", "reading", "heading_true", value=104.0, unit="deg"),
        value("b", "reading", "depth_below_transducer", age_s=60, value=4.2, unit="m"),
    )
    heading, depth = gauges(made, session, 100.0)
    assert (heading.text, heading.turn_deg, heading.kind) == ("104°", 104.0, "good")
    assert (depth.kind, depth.turn_deg) == ("doubt", None)


def test_a_track_grows_with_movement_and_not_with_doubt() -> None:
    made = store()
    for step in range(5):
        fix = value("gnss", "fix", mode="3d", lat=32.1 + step * 1e-4, lon=118.7)
        made.take(SourceUpdate([fix, fix]), step)
    made.take(SourceUpdate([value("gnss", "fix", mode="3d", lat=40.0, lon=118.7, doubt="jump")]), 9)
    made.take(SourceUpdate([value("gnss", "fix", mode="none")]), 10)
    assert len(made.tracks["gnss"]) == 5
    assert made.own_fix(10) is None


def test_the_most_dangerous_vessel_first() -> None:
    own = value("gnss", "fix", mode="3d", lat=32.0, lon=118.0, speed_mps=0.0, course_deg=0.0)

    def vessel(name: str, north_m: float, course: float, speed: float, **more: Any) -> SourceValue:
        key = str(len(name) * 1000)
        return value(
            "ais", "vessel", key, mmsi=int(key), name=name, lat=32.0 + north_m / 111_000, lon=118.0,
            course_deg=course, speed_mps=speed, **more,
        )  # fmt: skip

    made = store(
        own, vessel("far", 9000, 0, 5), vessel("coming soon", 900, 180, 5), vessel("coming later", 2500, 180, 5),
        vessel("beacon", 20_000, 0, 0, distress="mob"), vessel("near, passing", 800, 0, 2),
    )  # fmt: skip
    found = targets(made, 100.0)
    assert [target.name for target in found] == [
        "beacon", "coming soon", "coming later", "near, passing", "far",
    ]  # fmt: skip
    assert [target.danger for target in found] == ["bad", "bad", "bad", "doubt", "good"]
    assert found[1].approach is not None
    assert found[1].approach.seconds == pytest.approx(180, rel=0.02)
    assert [target.danger for target in targets(made, 100.0 + 600)][1:] == ["idle"] * 4


def test_a_static_report_keeps_the_place_and_its_age() -> None:
    made = store(value("ais", "vessel", "7", mmsi=7, message=1, lat=1.0, lon=2.0, speed_mps=3.0), now_s=10)
    made.take(SourceUpdate([value("ais", "vessel", "7", mmsi=7, message=5, name="HAI XUN")]), 70)
    made.take(SourceUpdate([value("ais", "vessel", "7", mmsi=7, message=5, name="HAI XUN")]), 90)
    (target,) = targets(made, 100)
    assert (target.name, target.place, target.age_s, target.approach) == ("HAI XUN", (1.0, 2.0), 90.0, None)


def test_vessels_that_are_gone_are_left_out_and_the_memory_is_bounded() -> None:
    made = store(value("ais", "vessel", "7", mmsi=7, lat=1.0, lon=2.0), now_s=0)
    assert targets(made, 1800.1) == []
    many = [value("ais", "vessel", str(number), mmsi=number, lat=1.0, lon=2.0) for number in range(3_000)]
    made.take(SourceUpdate(many), 10)
    assert len(made.of_kind("vessel")) == MOST_VALUES
    assert not any(one.key == "7" for one in made.of_kind("vessel"))


def test_a_snapshot_replaces_all() -> None:
    made = store(value("gone", "reading", "x", value=1, unit="m"))
    made.take(SourceUpdate([], snapshot=True), 101.0)
    assert groups(made, session, 101.0) == []


def test_satellites_of_nmea_in_pieces_and_damaged_ones_left_out() -> None:
    data = b"".join(map(seal, GSV)) + b"$GPGSV,1,1,01,09,80,100,50*00\r\n"
    sky = Sky()
    for at in range(0, len(data), 7):
        sky.take(data[at : at + 7], 5.0)
    assert [(one.number, one.elevation_deg, one.azimuth_deg, one.cn0_dbhz) for one in sky.satellites(6.0)] == [
        (1, 40, 83, 46), (14, 22, 228, 45), (2, 17, 308, 41), (12, 7, 344, 39), (25, 0, 12, 0),
    ]  # fmt: skip
    assert sky.satellites(60.0) == []


def test_satellites_of_ubx() -> None:
    blocks = b"".join(
        struct.pack("<BBBbhhI", system, number, cn0, elevation, azimuth, 0, 0)
        for system, number, cn0, elevation, azimuth in ((0, 5, 44, 60, 120), (3, 9, 0, -91, 10))
    )
    payload = struct.pack("<IBBH", 0, 1, 2, 0) + blocks
    body = b"\x01\x35" + len(payload).to_bytes(2, "little") + payload
    sky = Sky()
    sky.take(b"noise\xb5\x62" + body + _fletcher(body), 5.0)
    assert [(one.system, one.number, one.cn0_dbhz) for one in sky.satellites(5.0)] == [("GPS", 5, 44)]


@given(st.lists(st.binary(max_size=400) | st.sampled_from([seal(GSV[0]), b"\xb5\x62\x01\x35\xff\xff"])))
def test_no_bytes_break_the_sky_or_fill_the_memory(pieces: list[bytes]) -> None:
    sky = Sky()
    for piece in pieces:
        sky.take(piece, 1.0)
    assert len(sky._buffer) <= KEPT_BYTES


def test_hex_lines_and_drones() -> None:
    assert hex_lines(b"$GP\r\n\xff" + b"a" * 12, 16) == [
        "00000010  24 47 50 0d 0a ff 61 61 61 61 61 61 61 61 61 61  $GP...aaaaaaaaaa",
        "00000020  61 61                                            aa",
    ]
    fields = {"vehicle": "quadrotor", "armed": False, "battery_pct": 63, "height_m": None, "kind": "drone"}
    assert drone_fields(fields, session) == [("Vehicle", "quadrotor"), ("Armed", "no"), ("Battery", "63 %")]
