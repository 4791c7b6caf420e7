"""A simulated boat among ships: what it says is what is heard, by the second, and the rules find what happens."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from agent.domain.findings import Finding
from agent.domain.observations import Observation, Tick
from agent.rules.distress_beacon import DistressBeacon
from agent.rules.vessel_adrift import VesselAdrift
from agent.rules.vessel_close import VesselClose
from firmware_bridge.catalogue import protocols
from firmware_bridge.readings import Reading, Vessel
from firmware_bridge.serial.line_decoder import LineDecoder
from simulators.boat import OWN_MMSI, bytes_at, instruments_at, traffic_at
from simulators.line_faults import corrupt
from simulators.scenario.loader import find_scenario
from simulators.world.incidents import BEACON, COLLIDER, DRIFTER, OVERBOARD_S, senders

BEGAN = datetime(2026, 11, 28, 6, tzinfo=UTC)
HERE = {"lat": 32.095, "lon": 118.73}
SEEDS = [0, 1, 2, 3]


def test_the_same_seed_is_the_same_river() -> None:
    one, other, another = (
        b"".join(bytes_at(s, BEGAN, seed=seed, **HERE) for s in range(20)) for seed in (1, 1, 2)
    )
    assert one == other != another


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_said_is_heard_and_fits_the_line(seed: int) -> None:
    ear = LineDecoder(protocols()["nmea"]())
    for second in range(130):
        data = bytes_at(second, BEGAN, seed=seed, **HERE)
        assert len(data) < 3840 * 0.5  # half of 38400 baud
        heard = ear.feed(data)
        readings = {one.quantity: one.value for one in heard if isinstance(one, Reading)}
        assert readings == pytest.approx(
            {one.quantity: one.value for one in instruments_at(second, seed)}, abs=1e-3
        )
        vessels = [one for one in heard if isinstance(one, Vessel)]
        wanted = traffic_at(second, BEGAN, seed=seed, **HERE)
        assert {(one.mmsi, one.message) for one in vessels} == {(one.mmsi, one.message) for one in wanted}
    assert (ear.state().bad, ear.state().lost, ear.state().skipped_bytes) == ({}, 0, 0)
    assert {one.report.station for one in senders(seed)} >= {
        "class_a",
        "class_b",
        "aid",
        "base_station",
        "beacon",
    }


def test_without_a_bottom_the_sounder_says_nothing() -> None:
    assert b"DBT" in bytes_at(5, BEGAN, **HERE)
    assert b"DBT" not in bytes_at(5, BEGAN, bottom=False, **HERE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_find_what_happens_on_the_river_and_nothing_else(seed: int) -> None:
    rules = (
        VesselClose(source="ais", own="ais", distance_m=100),
        VesselAdrift(source="ais"),
        DistressBeacon(source="ais"),
    )
    judges = [rule.start() for rule in rules]
    ear = LineDecoder(protocols()["nmea"]())
    found: dict[tuple[str, str], int] = {}
    for second in range(200):
        for value in [*ear.feed(bytes_at(second, BEGAN, seed=seed, **HERE)), Tick()]:
            source = "clock" if isinstance(value, Tick) else "ais"
            for rule, judge in zip(rules, judges, strict=True):
                for fact in judge(Observation(source, BEGAN + timedelta(seconds=second), second, value)):
                    if isinstance(fact, Finding):
                        found.setdefault((rule.kind, fact.key), second)
    assert found == {
        ("vessel_close", str(COLLIDER)): 10,
        ("distress_beacon", str(BEACON)): OVERBOARD_S,
        ("vessel_adrift", str(DRIFTER)): pytest.approx(125, abs=20),
    }
    assert str(OWN_MMSI) not in {key for _, key in found}


def test_a_noisy_line_costs_some_messages_and_makes_up_none() -> None:
    chance = random.Random(7)
    clean, noisy = LineDecoder(protocols()["ais"]()), LineDecoder(protocols()["ais"]())
    said = [bytes_at(second, BEGAN, seed=1, **HERE) for second in range(300)]
    sent = [one for data in said for one in clean.feed(data) if isinstance(one, Vessel)]
    true = {(one.mmsi, one.lat, one.lon, one.speed_mps) for one in sent}
    told = [
        one
        for data in said
        for one in noisy.feed(corrupt(data, chance, flips=1e-3, drops=1e-3))
        if isinstance(one, Vessel)
    ]
    assert [one for one in told if (one.mmsi, one.lat, one.lon, one.speed_mps) not in true] == []
    assert 0.85 < len(told) / len(sent) < 1


def test_the_scenario_is_one() -> None:
    assert find_scenario("river_traffic").device.hardware_of("ais") == "boat"
