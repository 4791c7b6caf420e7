"""Whoever forges many of what is named from the outside ends no true alert, and fills no link."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from agent.alerts.alert import FURTHER, Alert
from agent.alerts.alert_limit import MAX_ALERTS, MAX_COUNTED, WINDOW_S
from agent.alerts.rule_engine import RuleEngine, policy_of
from agent.domain.contracts import SourceRule
from agent.domain.observations import Observation, Tick, Value
from agent.rules import Rule
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import Vessel

START = datetime(2026, 11, 28, 6, tzinfo=UTC)
LAT, LON = 32.1162, 118.7404
RULES: dict[str, dict[str, Any]] = {
    "distress_beacon": {"source": "far", "need_ack": True},
    "vessel_close": {"source": "far", "at": [LAT, LON]},
    "vessel_adrift": {"source": "far", "hold": "0s"},
    "drone_battery": {"source": "far", "hold": "0s"},
    "drone_lost": {"source": "far", "after": "1s"},
}


def value(kind: str, number: int) -> Value:
    if kind.startswith("drone"):
        return Drone(system=number, armed=True, battery_pct=5)
    vessel = Vessel(
        mmsi=number, message=1, station="class_a", status="not_under_command", lat=LAT, lon=LON,
        speed_mps=1.0, course_deg=0.0,
    )  # fmt: skip
    return replace(vessel, distress="mob", station="beacon") if kind == "distress_beacon" else vessel


class Engine:
    def __init__(self, kind: str) -> None:
        numbers = count(1)
        self.kind = kind
        self.rule = TypeAdapter(Rule).validate_python({"kind": kind} | RULES[kind])
        self.judges = RuleEngine(lambda: f"id-{next(numbers)}")
        self.judges.apply({"it": self.rule}, START, 0)

    def on_observation(self, second: float, numbers: Iterable[int]) -> Iterator[Alert]:
        at = START + timedelta(seconds=second)
        values = [value(self.kind, number) for number in numbers]
        for source, said in [*(("far", one) for one in values), ("clock", Tick())]:
            yield from self.judges.on_observation(Observation(source, at, second, said), at, second)


def test_every_rule_whose_keys_come_from_outside_is_tried() -> None:
    listed = {kind for kind in get_args(get_args(Rule)[0]) if kind.flood_label is not None}
    heard = {
        kind
        for kind in get_args(get_args(Rule)[0])
        if issubclass(kind, SourceRule) and kind.value_kind in ("vessel", "drone")
    }
    assert listed == heard
    assert {kind.model_fields["kind"].default for kind in listed} == set(RULES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "until"),
    [(kind, 210 if kind == "distress_beacon" else 40) for kind in RULES],
)
def test_ten_thousand_forged_ones_leave_the_true_one_and_few_messages(kind: str, until: int) -> None:
    """50 a second, each heard twice; the true one was there before, was answered, and is there still."""
    engine = Engine(kind)
    told: list[Alert] = []
    for second in range(10):
        told += engine.on_observation(second, [7] if kind != "drone_lost" or second < 2 else [])
    true = told[0].alert_id
    assert [alert.phase for alert in told] == ["new"]
    engine.judges.book.acknowledge(true, "watch-officer", "ack", START)
    for second in range(10, until):
        forged = [1000 + n for n in range(50 * (second - 10), 50 * (second - 9))]
        if kind.startswith("drone"):
            forged = [10 + n % 240 for n in forged]  # a system number is a byte
        heard = [7] if kind != "drone_lost" else []
        told += engine.on_observation(second, [*forged, *forged, *heard])
    mine = [alert for alert in told if alert.alert_id == true]
    assert "end" not in [alert.phase for alert in mine]
    active = {alert.alert_id: alert for alert in engine.judges.book.active()}
    assert active[true].acknowledged is not None
    assert len({alert.alert_id for alert in told}) <= MAX_ALERTS + 1
    (rest,) = [alert for alert in active.values() if alert.finding.key == FURTHER]
    assert f" further {engine.rule.flood_label}" in rest.text
    assert rest.finding.count is not None
    assert 100 < rest.finding.count <= MAX_COUNTED
    flood = [alert for alert in told if alert.finding.key == FURTHER]
    assert [alert.phase for alert in flood].count("new") == 1
    assert len(flood) <= 10
    assert len([alert for alert in told if alert.phase == "new"]) <= MAX_ALERTS + 1


def test_once_the_flood_is_over_its_alert_ends_and_another_beacon_is_told() -> None:
    engine = Engine("distress_beacon")
    for second in range(10):
        list(engine.on_observation(second, range(1000 + 20 * second, 1020 + 20 * second)))
    later = [alert for n in range(180) for alert in engine.on_observation(10 + n * WINDOW_S / 60, [1001])]
    assert {alert.finding.key for alert in later if alert.cleared} >= {"1002", "1049", FURTHER}
    new = list(engine.on_observation(5000, [77]))
    assert [(alert.phase, alert.finding.key) for alert in new if alert.finding.key == "77"] == [("new", "77")]


@pytest.mark.slow
def test_ids_hold_through_a_flood_and_a_restart() -> None:
    engine = Engine("distress_beacon")
    for second in range(10):
        list(engine.on_observation(second, range(1000, 1200)))
    ids = {alert.finding.key: alert.alert_id for alert in engine.judges.book.active()}
    again = Engine("distress_beacon")
    at = START + timedelta(seconds=30)
    list(again.judges.book.restore(engine.judges.book.dump(), {"it": policy_of("it", again.rule)}, at, 30))
    told = [alert for second in range(30, 60) for alert in again.on_observation(second, range(1000, 1200))]
    assert {alert.phase for alert in told} == {"update"}
    assert {alert.finding.key: alert.alert_id for alert in told} == ids
