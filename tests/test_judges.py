"""The rules at work with injected time: what becomes of alerts when rules fail, change or go."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from agent.alerts.active_alert import REDISCOVERY_S
from agent.alerts.observation_history import MAX_REPLAYED
from agent.alerts.rule_engine import RuleEngine, policy_of
from agent.domain.contracts import RulePart
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.rules import Rule
from firmware_bridge.readings import Reading, Switch

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
PANIC = {"kind": "switch", "source": "board", "name": "panic_button"}


class Broken(RulePart):
    kind: Literal["broken"] = "broken"

    def start(self) -> Evaluator:
        def judge(observation: Observation) -> Iterable[Finding | Cleared]:
            yield Finding(key="before", text="said before it fails", since=observation.at)
            raise KeyError("a bug")

        return judge


def rule(**more: Any) -> Any:
    return TypeAdapter(Rule).validate_python(PANIC | more)


@pytest.fixture
def judges() -> RuleEngine:
    numbers = count(1)
    return RuleEngine(lambda: f"id-{next(numbers)}")


def hear(judges: RuleEngine, second: float, value: Any) -> list[tuple[str, str, str | None]]:
    at = START + timedelta(seconds=second)
    said = judges.on_observation(Observation("board", at, second, value), at, second)
    return [(alert.alert_id, alert.phase, alert.reason) for alert in said]


ON, OFF = Switch(name="panic_button", on=True), Switch(name="panic_button", on=False)


def test_a_fact_becomes_an_alert_and_ends(judges: RuleEngine) -> None:
    assert judges.apply({"panic": rule()}, START, 0) == []
    assert hear(judges, 1, ON) == [("id-1", "new", None)]
    assert hear(judges, 2, Tick()) == []
    assert hear(judges, 3, OFF) == [("id-1", "end", None)]


def test_a_rule_that_fails_stops_no_other(judges: RuleEngine) -> None:
    judges.apply({"bad": Broken(), "panic": rule()}, START, 0)
    assert hear(judges, 1, ON) == [("id-1", "new", None), ("id-2", "new", None)]
    assert hear(judges, 2, OFF) == [("id-2", "end", None)]


def test_a_rule_that_is_the_same_goes_on(judges: RuleEngine) -> None:
    judges.apply({"panic": rule()}, START, 0)
    hear(judges, 1, ON)
    assert judges.apply({"panic": rule(), "tamper": rule(name="tamper")}, START, 2) == []
    assert hear(judges, 500, Tick()) == []
    assert hear(judges, 501, OFF) == [("id-1", "end", None)]


def test_an_alert_of_a_rule_that_was_removed_ends(judges: RuleEngine) -> None:
    judges.apply({"panic": rule()}, START, 0)
    hear(judges, 1, ON)
    (ended,) = judges.apply({}, START, 2)
    assert (ended.phase, ended.reason) == ("end", "its rule was removed")
    assert judges.book.active() == []


def test_what_a_changed_rule_finds_again_is_the_same_alert(judges: RuleEngine) -> None:
    judges.apply({"panic": rule()}, START, 0)
    hear(judges, 1, ON)
    (graver,) = judges.apply({"panic": rule(severity="critical")}, START, 2)
    assert (graver.alert_id, graver.phase, graver.severity) == ("id-1", "update", "critical")
    assert judges.apply({"panic": rule(severity="critical", hold="1s")}, START, 3) == []
    assert hear(judges, 4, Tick()) == []
    assert hear(judges, 4 + REDISCOVERY_S, Tick()) == []
    assert hear(judges, 5 + REDISCOVERY_S, OFF) == [("id-1", "end", None)]


def test_a_rule_that_differs_in_what_becomes_of_its_alerts_keeps_its_evaluator(judges: RuleEngine) -> None:
    judges.apply({"panic": rule(hold="20s")}, START, 0)
    hear(judges, 1, ON)
    before = judges._evaluators["panic"][1]
    judges.apply({"panic": rule(hold="20s", need_ack=True, severity="info", cool_down="5s")}, START, 20)
    assert judges._evaluators["panic"][1] is before
    assert hear(judges, 21, Tick()) == [("id-1", "new", None)]


def test_hold_times_go_on_across_a_change(judges: RuleEngine) -> None:
    judges.apply({"panic": rule(hold="20s"), "other": rule(name="tamper")}, START, 0)
    hear(judges, 1, ON)
    other = judges._evaluators["other"][1]
    assert judges.apply({"panic": rule(hold="30s"), "other": rule(name="tamper")}, START, 15) == []
    assert judges._evaluators["other"][1] is other
    assert hear(judges, 30, Tick()) == []
    assert hear(judges, 31, Tick()) == [("id-1", "new", None)]


def test_what_many_changed_rules_hear_again_is_bounded(judges: RuleEngine) -> None:
    """And so is the time for which nothing else is heard."""
    rules = {f"r{number}": rule(hold="20s", name=f"n{number}") for number in range(200)}
    judges.apply(rules, START, 0)
    for second in range(60):
        hear(judges, second, Tick())
    changed = {name: one.model_copy(update={"on": False}) for name, one in rules.items()}
    assert len(judges._history.of(changed["r0"], 200)) == MAX_REPLAYED // 200
    assert judges.apply(changed, START, 60) == []


def test_the_last_word_of_a_source_that_is_gone_is_not_news(judges: RuleEngine) -> None:
    level = {"kind": "threshold", "source": "board", "quantity": "depth"}
    rules = [TypeAdapter(Rule).validate_python(level | {"above": limit}) for limit in (5, 3)]
    judges.apply({"deep": rules[0]}, START, 0)
    hear(judges, 1, Reading(quantity="depth", value=4, unit="m"))
    hear(judges, 3600, Tick())
    assert judges.apply({"deep": rules[1]}, START, 3600) == []


def test_what_holds_for_long_enough_under_the_changed_rule_is_an_alert_at_once(judges: RuleEngine) -> None:
    judges.apply({"panic": rule(hold="60s")}, START, 0)
    hear(judges, 1, ON)
    hear(judges, 30, Tick())
    (alert,) = judges.apply({"panic": rule(hold="10s")}, START + timedelta(seconds=30), 30)
    assert (alert.phase, alert.finding.since) == ("new", START + timedelta(seconds=1))


def test_what_is_over_under_the_changed_rule_ends_and_says_what_was_changed(judges: RuleEngine) -> None:
    level = {"kind": "threshold", "source": "board", "quantity": "depth"}
    rules = [TypeAdapter(Rule).validate_python(level | {"above": limit}) for limit in (5, 7)]
    judges.apply({"deep": rules[0]}, START, 0)
    assert hear(judges, 1, Reading(quantity="depth", value=6, unit="m")) == [("id-1", "new", None)]
    (end,) = judges.apply({"deep": rules[1]}, START, 2)
    assert (end.phase, end.reason) == ("end", "not seen again after its rule was changed (above)")


@pytest.mark.parametrize(("zone", "is_there"), [("stairs", True), ("quay", False)])
def test_an_alert_goes_on_where_its_zone_has_another_name(
    judges: RuleEngine, zone: str, is_there: bool
) -> None:
    """And where nobody is in the new one, it ends, and says why."""
    enters = {"kind": "zone_enter", "camera": "cam1", "severity": "critical", "need_ack": True}
    rules = [TypeAdapter(Rule).validate_python(enters | {"zone": name}) for name in ("rail", zone)]
    person = SeenObject(
        track=1, label="person", score=0.8, box=(0.4, 0.2, 0.5, 0.6), zones=("rail", "stairs")
    )

    def see(first: int, last: int) -> list[Any]:
        heard: list[Any] = []
        for second in range(first, last):
            at = START + timedelta(seconds=second)
            for source, value in (("cam1", Sighting(frame=second, objects=(person,))), ("clock", Tick())):
                heard += judges.on_observation(Observation(source, at, second, value), at, second)
        return heard

    judges.apply({"in": rules[0]}, START, 0)
    see(0, 30)
    (alert,) = judges.book.active()
    judges.book.acknowledge(alert.alert_id, "chief", "ack", START)
    heard = [*judges.apply({"in": rules[1]}, START, 30), *see(30, 300)]
    assert {one.alert_id for one in heard if one.phase != "end"} <= {alert.alert_id}
    assert [one.alert_id for one in judges.book.active()] == [alert.alert_id] * is_there
    if is_there:
        (active,) = judges.book.active()
        assert (active.finding.zone, active.finding.since) == ("stairs", alert.finding.since)
        assert active.acknowledged is not None
    else:
        assert heard[-1].reason == "not seen again after its rule was changed (zone)"


def test_a_rule_that_was_renamed_ends_its_alert_and_says_so(judges: RuleEngine) -> None:
    judges.apply({"panic": rule()}, START, 0)
    hear(judges, 1, ON)
    (end,) = judges.apply({"alarm": rule()}, START, 2)
    assert (end.phase, end.reason) == ("end", "its rule was renamed to alarm")


def test_what_a_changed_rule_does_not_find_again_ends(judges: RuleEngine) -> None:
    judges.apply({"panic": rule()}, START, 0)
    hear(judges, 1, ON)
    judges.apply({"panic": rule(name="tamper")}, START, 2)
    assert hear(judges, 2 + REDISCOVERY_S, Tick()) == []
    reason = "not seen again after its rule was changed (name)"
    assert hear(judges, 3 + REDISCOVERY_S, Tick()) == [("id-1", "end", reason)]


def test_a_rule_that_needs_longer_has_longer_to_find_it_again(judges: RuleEngine) -> None:
    judges.apply({"panic": rule()}, START, 0)
    hear(judges, 1, ON)
    judges.apply({"panic": rule(name="tamper", hold="10m")}, START, 2)
    assert hear(judges, 602 + REDISCOVERY_S, Tick()) == []
    assert [phase for _, phase, _ in hear(judges, 603 + REDISCOVERY_S, Tick())] == ["end"]


def test_over_with_a_reason_ends_at_once_whatever_the_cool_down(judges: RuleEngine) -> None:
    its = rule(cool_down="1m")
    judges.apply({"panic": its}, START, 0)
    hear(judges, 1, ON)
    (ended,) = judges.book.on_finding(
        policy_of("panic", its), Cleared("panic_button", "nobody can tell"), START, 2
    )
    assert (ended.phase, ended.reason) == ("end", "nobody can tell")


def test_who_can_not_be_placed_is_told_all_the_same() -> None:
    def placed(_finding: Finding, _at_s: float) -> Finding:
        raise ArithmeticError("no place")

    judges = RuleEngine(lambda: "id", add_place=placed)
    judges.apply({"panic": rule()}, START, 0)
    assert hear(judges, 1, ON) == [("id", "new", None)]
