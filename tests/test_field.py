"""Inputs made after field reports, each with its right value: through ``ringpost read``, and however they come.

A file that is put into ``vectors/field`` needs a line here; `EXPECTED` says what its ``.expect`` means.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.cli.read import read_command
from agent.control.any_protocol import decoders_of
from firmware_bridge.gnss.gpsd_decoder import GpsdDecoder
from firmware_bridge.readings import Fix, GnssState, RadarTarget, Reading, Value, Vessel
from firmware_bridge.serial.line_decoder import LineDecoder

FOLDER = Path(__file__).parent / "vectors" / "field"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix not in (".expect", ".md"))
BEFORE_MIDNIGHT = datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC)
PLACE = (32.0603, 118.7969)


def readings(values: list[Value]) -> dict[str, tuple[float, str]]:
    return {value.quantity: (value.value, value.unit) for value in values if isinstance(value, Reading)}


def fixes(count: int, **said: object) -> Callable[[list[Value]], None]:
    """So many fixes there, each a second after the last."""

    def check(values: list[Value]) -> None:
        assert all(isinstance(value, Fix) for value in values)
        assert len(values) == count
        for before, fix in zip([None, *values], values, strict=False):
            assert isinstance(fix, Fix)
            assert (fix.lat, fix.lon) == (
                pytest.approx(PLACE[0], abs=5e-4),
                pytest.approx(PLACE[1], abs=5e-3),
            )
            assert {name: getattr(fix, name) for name in said} == said
            if isinstance(before, Fix):
                assert fix.time is not None
                assert before.time is not None
                assert fix.time - before.time == timedelta(seconds=1)

    return check


def over_midnight(values: list[Value]) -> None:
    fixes(20, satellites=9, hdop=0.9)(values)
    times = [value.time for value in values if isinstance(value, Fix)]
    assert times == [BEFORE_MIDNIGHT + timedelta(seconds=second) for second in range(20)]


def vessels(*mmsis: int, **said: object) -> Callable[[list[Value]], None]:
    def check(values: list[Value]) -> None:
        assert [value.mmsi for value in values if isinstance(value, Vessel)] == list(mmsis)
        for value in values:
            assert {name: getattr(value, name) for name in said} == said
            assert (getattr(value, "lat", None), getattr(value, "lon", None)) == (32.1, 118.7)

    return check


def distress(values: list[Value]) -> None:
    coarse, fine = values
    for call in (coarse, fine):
        assert isinstance(call, Vessel)
        assert (call.mmsi, call.distress, call.text) == (338040079, "dsc", "disabled and adrift")
    assert isinstance(fine, Vessel)
    assert (fine.lat, fine.lon) == (
        pytest.approx(42 + 31.4589 / 60, abs=1e-6),
        pytest.approx(-(83 + 12.4494 / 60), abs=1e-6),
    )


def weather(values: list[Value]) -> None:
    told = readings(values)
    assert told["air_pressure"] == (101_960.0, "Pa")
    assert told["air_temperature"] == (21.5, "degC")
    assert told["water_temperature"] == (12.0, "degC")
    assert told["relative_humidity"] == (55.3, "percent")
    assert told["dew_point"] == (12.1, "degC")
    assert told["wind_true_ground_direction"] == (215.0, "deg")
    assert told["wind_true_ground_speed"] == (4.2, "m/s")


def engine(values: list[Value]) -> None:
    assert readings(values) == {"engine_1_speed": (1450.0, "1/min")}


def jammed(values: list[Value]) -> None:
    fix, state = values
    assert isinstance(fix, Fix)
    assert fix.mode == "3d"
    assert state == GnssState(jamming="critical", jamming_pct=98.0, antenna="short")


def radar(values: list[Value]) -> None:
    (target,) = values
    assert isinstance(target, RadarTarget)
    assert (target.number, target.state, target.bearing_deg, target.course_deg) == (
        1,
        "tracking",
        112.3,
        220.1,
    )
    assert target.distance_m == pytest.approx(0.65 * 1852)
    assert target.speed_mps == pytest.approx(12 * 1852 / 3600, abs=0.01)
    assert (target.closest_m, target.closest_in_s) == (pytest.approx(185.2), pytest.approx(252.0))


def not_2046(values: list[Value]) -> None:
    fixes(3, rollover_weeks=-1024)(values)
    assert {value.time.year for value in values if isinstance(value, Fix) and value.time} == {2026}


EXPECTED: dict[str, Callable[[list[Value]], None]] = {
    "ais_ais_sart_through_such_a_plotter": vessels(970123456, distress="sart"),
    "ais_empty_second_part": vessels(211000001, 211000001),
    "ais_one_surplus_field": vessels(211000001),
    "dsc_distress": distress,
    "gga_quality_two_digits": fixes(5, mode="3d", satellites=9, hdop=0.9),
    "gpsd_jam_ant": jammed,
    "gpsd_sky_alternating": fixes(3, mode="3d", satellites=11, hdop=0.9),
    "mda_weather": weather,
    "midnight_ZG": over_midnight,
    "midnight_ZGR": over_midnight,
    "midnight_ZRGV": over_midnight,
    "rollover_future_2046": not_2046,
    "rpm": engine,
    "seven_even_parity": fixes(5, mode="3d", satellites=9),
    "ttm_radar": radar,
}


def hear(path: Path, chunk: int) -> list[Value]:
    """What a source of that kind says when the bytes come like that."""
    data = path.read_bytes()
    pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    if path.suffix == ".gpsd":
        decoder = GpsdDecoder()
        return [value for piece in [*pieces, b"\n"] for value in decoder.feed(piece)]
    ear = LineDecoder(decoders_of((path.suffix[1:],)))
    values = [value for piece in pieces for value in ear.feed(piece)] + ear.pause()
    assert (ear.state().bad, ear.state().lost, ear.state().skipped_bytes) == ({}, 0, 0)
    return values


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_read_at_its_right_value(path: Path, chunk: int) -> None:
    assert path.with_suffix(".expect").exists()
    EXPECTED[path.stem](hear(path, chunk))


@pytest.mark.parametrize("protocol", ["itself", "auto"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_verb_tells_as_much(path: Path, protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    protocol = path.suffix[1:] if protocol == "itself" or path.suffix == ".gpsd" else protocol
    assert read_command(str(path), protocol, None, as_json=True) == 0
    told: list[Any] = [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in told] == [value.kind for value in hear(path, 4096)]
