"""Scenarios notice a broken agent and a broken centre: the mutations are those of `bench.mutations`.

A long run plays all that the boat's scenario notices; ``python -m bench.mutations`` plays each in the scenario
that comes with ringpost.
"""

from pathlib import Path

import pytest

from bench.mutations import MUTATIONS, TROUBLES_NAME, Patch, play_mutated
from simulators.scenario.loader import SCENARIOS, parse, scenario_names
from simulators.scenario.session import run_scenario
from tests.thorough import all_or

BOAT = """
schema: ringpost-scenario/1
name: mutated
duration: 150s
devices:
  boat-1:
    start: {lat: 32.0950, lon: 118.7300, speed_mps: 0.4}
    config:
      kind: patrol_boat
      place: {ring: inner_city, domain: water, site: demo, post: boat-1}
      broker: {resend_after: 20s}
      reporting: {telemetry_every: 5s, position_every: 2s, health_every: 20s}
      sources:
        gnss: {kind: nmea, port: /dev/gnss}
        board: {kind: sensor_board, port: /dev/board}
      rules:
        panic: {kind: switch, source: board, name: panic_button, severity: critical}
        tamper: {kind: switch, source: board, name: tamper, severity: warning}
        quiet: {kind: silence, source: gnss, after: 5s, cool_down: 1s}
timeline:
  - {at: 10s, name: press, press: board.panic_button, for: 25s}
  - {at: 40s, name: unplugged, fault: line.unplug, source: gnss, for: 20s}
  - {at: 70s, fault: disk.full, for: 8s}
  - {at: 70s, fault: link.down, for: 12s}
  - {at: 72s, name: tampered, press: board.tamper, for: 500ms}
  - {at: 74s, name: dark, fault: power.cut, for: 6s}
expect:
  - {name: raised, alert: panic, after: press, within: 500ms, count: 1, position_within_m: 20, having: {simulated: true, alert.severity: critical}}
  - {name: goes on, alert: panic, phases: [new, update], after: press, within: 15s}
  - {name: over, alert: panic, phases: [new, end], after: press, within: 26s, count: 1, receipt: true}
  - {name: silence, alert: quiet, phases: [new, end], after: unplugged, within: 23s, count: 1, receipt: true}
  - {name: told, topic: status, having: {state: degraded, reasons: "gnss: */gnss not found*"}, after: unplugged, within: 3s}
  - {name: old position, topic: position, having: {trust: old}, after: unplugged, within: 22s}
  - {name: well again, topic: status, having: {state: online}, after: unplugged, between: [20s, 28s]}
  - {name: place, topic: position, having: {trust: good, mode: 3d, simulated: true}, position_within_m: 15, between: [4s, 39s]}
  - {name: not lost in the dark, alert: tamper, after: tampered, within: 20s, count: 1, receipt: true}
"""
NOTICED = {
    "panic_suppressed": "raised",
    "end_dropped": "over",
    "update_dropped": "goes on",
    "silence_suppressed": "silence",
    "position_swallowed": "place",
    "position_off": "place",
    "alert_point_off": "raised",
    "alert_twice": "raised",
    "two_ids": "raised",
    "status_lies": "told",
    "simulated_left_out": "raised",
    "receipts_ignored": "over",
    "alert_late": "raised",
    "trust_always_good": "old position",
    "claims_1_cm": "positions_are_as_good_as_they_say",
    "severity_info": "raised",
    "receipt_without_commit": "nothing_lost",
    "disk_takes_nothing": "raised",
}
"""The expectation of the boat's scenario, or the invariant, that each breaks."""
FEW = ("position_off", "receipts_ignored")
CHEAP = {
    "panic_suppressed": "the first press is told",
    "outbox_dropped_on_restart": "the press is told once the power is back",
    "critical_waits": "critical_alerts_go_first",
}


def broken(folder: Path) -> set[str]:
    """The names of what is not met."""
    verdict, _ = run_scenario(parse(BOAT, name="mutated", base=SCENARIOS), folder)
    assert not verdict.incomplete
    return {one.name for one in verdict.unmet()}


def test_each_mutation_has_a_scenario() -> None:
    assert {one.scenario for one in MUTATIONS.values()} <= {*scenario_names(), TROUBLES_NAME}
    assert len(MUTATIONS) >= 26


def test_the_agent_as_it_is_passes(tmp_path: Path) -> None:
    assert broken(tmp_path) == set()


@pytest.mark.parametrize("name", all_or(FEW, tuple(NOTICED)))
def test_a_mutation_turns_the_scenario_red(name: str, tmp_path: Path) -> None:
    patch = Patch()
    try:
        MUTATIONS[name].apply(patch)
        assert NOTICED[name] in broken(tmp_path)
    finally:
        patch.close()
    assert patch.effects


@pytest.mark.parametrize(("name", "missed"), CHEAP.items())
def test_a_scenario_notices(name: str, missed: str, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    played = play_mutated(name, tmp_path)
    assert played.effects
    assert played.verdict == "failed"
    assert missed in {what for what, _ in played.broken}
