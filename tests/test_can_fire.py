"""Every kind of rule with every kind of source: `check` refuses the pair, or what that source says makes it fire."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from agent.config.loader import parse
from agent.domain.findings import Finding
from agent.domain.observations import Observation, Tick, Value
from agent.domain.yaml_loader import BadConfig
from agent.rules import Rule
from firmware_bridge.ais import ais
from firmware_bridge.catalogue import Line, protocols
from firmware_bridge.drone_readings import Drone
from firmware_bridge.gnss import ubx_encoder
from firmware_bridge.gnss.gpsd_decoder import GpsdDecoder
from firmware_bridge.nmea import gnss_encoder, instruments
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import Fix, GnssState, Reading, Switch, Vessel
from firmware_bridge.sensors import vedirect
from firmware_bridge.serial.line_decoder import LineDecoder

START = datetime(2026, 11, 28, 6, tzinfo=UTC)
LAT, LON = 32.1162, 118.7404
MOB = Vessel(
    mmsi=972_000_001, message=1, station="beacon", distress="mob", status="beacon_active", lat=LAT, lon=LON
)
DRIFTS = Vessel(
    mmsi=413_000_001, message=1, station="class_a", status="not_under_command", lat=LAT, lon=LON,
    speed_mps=1.0, course_deg=90.0,
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Keys of the configuration, and what it says each second while all goes wrong at once."""

    config: dict[str, Any]
    says: Callable[[int], list[Value]]


def away(t: int) -> Fix:
    return Fix(
        mode="3d", lat=LAT + 0.02, lon=LON, time=START + timedelta(seconds=t), satellites=9, hdop=0.9,
        speed_mps=0.0, course_deg=0.0,
    )  # fmt: skip


def wire(kind: str, said: Callable[[int], bytes]) -> Callable[[int], list[Value]]:
    """Through the very decoders of that kind of source."""
    ear = LineDecoder(list(protocols()[kind]()))
    return lambda t: [*ear.feed(said(t)), *ear.pause()]


def vessels() -> bytes:
    return ais.encode(MOB) + ais.encode(DRIFTS)


def gpsd() -> Callable[[int], list[Value]]:
    decoder = GpsdDecoder(None)

    def said(t: int) -> list[Value]:
        at = f"{START + timedelta(seconds=t):%Y-%m-%dT%H:%M:%S.000Z}"
        told = {"class": "TPV", "device": "/dev/ttyS0", "mode": 3, "time": at, "lat": LAT + 0.02, "lon": LON}
        return list(decoder.feed(json.dumps(told | {"jam": 250, "ant": 3, "eph": 3.0}).encode() + b"\n"))

    return said


def nmea_line(t: int) -> bytes:
    depth = instruments.encode(Reading(quantity="depth_below_transducer", value=0.5, unit="m"))
    return gnss_encoder.encode(away(t)) + seal("GNTXT,01,01,01,ANTSTATUS=OPEN") + depth + vessels()


LOW = [Reading(quantity="water_level", value=0.1, unit="m"), Switch(name="panic_button", on=True)]
FLYING = Drone(system=1, armed=True, battery_pct=5, lat=LAT, lon=LON)
REGISTERS = {"registers": [{"quantity": "water_level", "unit": "m", "address": 0}], "contacts": [{"name": "panic_button", "address": 0}]}  # fmt: skip
SOURCES: dict[str, Source] = {
    "ais": Source({"port": "/dev/a"}, wire("ais", lambda _: vessels())),
    "gpsd": Source({}, gpsd()),
    "mavlink": Source({"port": "/dev/a"}, lambda t: [FLYING, Reading(quantity="radio_rssi", value=-120.0, unit="dBm")] if t < 60 else []),
    "modbus": Source({"port": "/dev/a"} | REGISTERS, lambda _: list(LOW)),
    "nmea": Source({"port": "/dev/a"}, wire("nmea", nmea_line)),
    "sensor_board": Source({"port": "/dev/a"}, lambda _: list(LOW)),
    "ubx": Source({"port": "/dev/a"}, wire("ubx", lambda t: ubx_encoder.encode(away(t), (), GnssState(jamming="critical", spoofing="none")))),
    "vedirect": Source({"port": "/dev/a"}, wire("vedirect", lambda _: vedirect.encode({"PID": "0xA053", "V": "9000", "Alarm": "ON"}))),
    "camera": Source({"url": "rtsp://10.0.0.1/a", "purpose": "watch"}, lambda _: []),
}  # fmt: skip
NAMES = {"nmea": "depth_below_transducer", "vedirect": "battery_voltage", "mavlink": "radio_rssi"}
"""What is measured there; elsewhere ``water_level``."""
RULES: dict[str, dict[str, Any]] = {
    "distress_beacon": {},
    "drone_battery": {},
    "drone_lost": {},
    "geofence": {"circle": {"lat": LAT, "lon": LON, "radius_m": 100}},
    "interference": {},
    "moved": {},
    "on_post": {"hours": "24/7"},
    "route": {"path": "route.geojson"},
    "silence": {},
    "switch": {"name": "panic_button"},
    "threshold": {"quantity": "water_level", "below": 10},
    "vessel_adrift": {},
    "vessel_close": {},
}
FITS = {
    "ais": {"distress_beacon", "vessel_adrift", "vessel_close"},
    "gpsd": {"geofence", "interference", "moved", "on_post", "route"},
    "mavlink": {"drone_battery", "drone_lost", "threshold"},
    "modbus": {"switch", "threshold"},
    "nmea": {"geofence", "interference", "moved", "on_post", "route", "threshold", "distress_beacon", "vessel_adrift", "vessel_close"},
    "sensor_board": {"switch", "threshold"},
    "ubx": {"geofence", "interference", "moved", "on_post", "route"},
    "vedirect": {"switch", "threshold"},
    "camera": set(),
}  # fmt: skip
"""By kind of source the rules that can fire on it, beside `silence`, which can on all."""


def config(source: dict[str, Any], rule: dict[str, Any], folder: Path) -> Any:
    line = {"type": "LineString", "coordinates": [[LON - 0.1, LAT], [LON + 0.1, LAT]]}
    (folder / "route.geojson").write_text(json.dumps(line))
    body = {
        "schema_version": 1, "device": "d", "kind": "watch_point", "broker": {"url": "mqtt://127.0.0.1:1883"},
        "place": {"ring": "perimeter", "domain": "ground", "site": "s", "post": "p", "lat": LAT, "lon": LON},
        "sources": {"far": source, "other": {"kind": "sensor_board", "port": "/dev/z"}},
        "rules": {"it": rule | {"source": "far"}},
    }  # fmt: skip
    return parse(json.dumps(body), name="c.yaml", base=folder)


def fires(rule: Any, says: Callable[[int], list[Value]]) -> bool:
    judge = rule.scheduled_evaluator()
    for t in range(1200):
        for source, value in [*(("far", one) for one in says(t)), ("clock", Tick())]:
            at = Observation(source, START + timedelta(seconds=t), 1000.0 + t, value)
            if any(isinstance(fact, Finding) and fact.key != "no_position" for fact in judge(at)):
                return True
    return False


def test_every_rule_and_every_source_is_in_the_table() -> None:
    listed = {kind.model_fields["kind"].default: kind for kind in get_args(get_args(Rule)[0])}
    assert {name for name, kind in listed.items() if "source" in kind.model_fields} == set(RULES)
    lines = {kind.model_fields["kind"].default for kind in get_args(get_args(Line)[0])}
    assert lines | {"camera"} == set(SOURCES) == set(FITS)


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "source"), list(product(RULES, SOURCES)))
def test_it_is_refused_or_it_fires(rule: str, source: str, tmp_path: Path) -> None:
    its = {"kind": rule} | RULES[rule]
    if rule == "threshold":
        its["quantity"] = NAMES.get(source, "water_level")
    if rule == "switch" and source == "vedirect":
        its["name"] = "alarm"
    given = {"kind": source} | SOURCES[source].config
    if rule == "silence":
        assert fires(config(given, its, tmp_path).rules["it"], lambda _: [])
    elif rule in FITS[source]:
        assert fires(config(given, its, tmp_path).rules["it"], SOURCES[source].says)
    else:
        with pytest.raises(BadConfig, match=f"far is a {source} source and gives no"):
            config(given, its, tmp_path)


@pytest.mark.parametrize(
    ("source", "rule", "said"),
    [
        ("nmea", {"kind": "threshold", "quantity": "depth_below_kiel", "below": 1}, "a nmea source gives no quantity 'depth_below_kiel'; did you mean 'depth_below_keel'?"),
        ("vedirect", {"kind": "threshold", "quantity": "voltage", "below": 1}, "a vedirect source gives no quantity 'voltage'"),
        ("vedirect", {"kind": "switch", "name": "siren"}, "a vedirect source gives no switch 'siren'"),
        ("modbus", {"kind": "switch", "name": "panic"}, "a modbus source gives no switch 'panic'; known: panic_button"),
        ("modbus", {"kind": "threshold", "quantity": "level", "below": 1}, "a modbus source gives no quantity 'level'"),
        ("mavlink", {"kind": "threshold", "quantity": "battery_pct", "below": 1}, "a mavlink source gives no quantity 'battery_pct'"),
        ("mavlink", {"kind": "drone_lost", "system": 300}, "less than or equal to 255"),
        ("mavlink", {"kind": "drone_battery", "below_pct": 0}, "no battery is below 0 %"),
        ("ais", {"kind": "vessel_adrift", "least_mps": 2}, "leaves no speed below most_mps"),
    ],
)  # fmt: skip
def test_options_with_which_it_never_fires_are_refused(
    source: str, rule: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadConfig) as refused:
        config({"kind": source} | SOURCES[source].config, rule, tmp_path)
    assert said in str(refused.value)


@pytest.mark.parametrize("quantity", ["engine_0_speed", "pressure_baro", "temperature", "heading_true"])
def test_all_that_an_instrument_tells_is_taken(quantity: str, tmp_path: Path) -> None:
    config(
        {"kind": "nmea", "port": "/dev/a"}, {"kind": "threshold", "quantity": quantity, "above": 1}, tmp_path
    )


def test_what_is_spoken_on_the_line_also_counts_and_nothing_else(tmp_path: Path) -> None:
    both = {"kind": "ubx", "port": "/dev/a", "also": ["ais"]}
    config(both, {"kind": "distress_beacon"}, tmp_path)
    with pytest.raises(BadConfig, match="far is a ubx source and gives no drone"):
        config(both, {"kind": "drone_lost"}, tmp_path)
