"""What a run must show, judged on hand-made records; and that each mutation of a good record is red."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from simulators.run_record import RunRecord
from simulators.scenario.expectations import (
    fits,
    judge_expectations,
    judge_never,
    judge_sometimes,
)
from simulators.scenario.known_fields import unknown_fields
from tests.scenario_rig import alert, record_of, scenario_of

Messages = list[tuple[float, str, dict[str, Any]]]
PRESS = "timeline: [{at: 10s, name: press, press: board.panic_button, for: 5s}]\n"
GOOD: Messages = [(10.1, "alert", alert("new")), (15.1, "alert", alert("end"))]


def complaint(expectation: str, messages: Messages, timeline: str = PRESS) -> str:
    """The detail of the one expectation; empty where it is met."""
    (outcome,) = judge_expectations(scenario_of(f"{timeline}expect: [{expectation}]"), record_of(messages))
    assert outcome.met == (outcome.detail == "")
    return outcome.detail


# expectation, messages, complaint
CASES: dict[str, tuple[str, Messages, str]] = {
    "both phases": ("{alert: panic, phases: [new, end], after: press, within: 6s, count: 1}", GOOD, ""),
    "no message at all": ("{alert: panic}", [], "new did not come: no alert of panic"),
    "exactly the phase that did not come": (
        "{alert: panic, phases: [new, update, end]}", GOOD, "update did not come",
    ),
    "several phases that did not come": ("{alert: panic, phases: [new, update, end]}", GOOD[:1], "update, end did not come"),
    "phases of two alerts are none of one": (
        "{alert: panic, phases: [new, update]}",
        [(10.0, "alert", alert("new")), (11.0, "alert", alert("update", alert_id="a2"))],
        "update did not come",
    ),
    "the wrong order": (
        "{alert: panic, phases: [new, update, end]}",
        [*GOOD, (16.0, "alert", alert("update"))],
        "new then update then end did not come in this order: new, end, update",
    ),
    "too late": ("{alert: panic, after: press, within: 50ms}", GOOD, "not in time: new came at 10.10 s"),
    "in time to the millisecond": ("{alert: panic, after: press, within: 100ms}", GOOD, ""),
    "the end too late": (
        "{alert: panic, phases: [new, end], after: press, within: 5s}", GOOD, "not in time: end came at 15.10 s",
    ),
    "before its cause": ("{alert: panic, after: press}", [(9.0, "alert", alert("new"))], "new did not come: no alert of panic"),
    "twice under two ids": (
        "{alert: panic, count: 1}",
        [*GOOD, (11.0, "alert", alert("new", alert_id="a2"))],
        "2 alerts of panic came, not 1",
    ),
    "twice under one id": (
        "{alert: panic, count: 1}", [GOOD[0], (10.2, "alert", alert("new"))], "a1: new came 2 times",
    ),
    "none of none": ("{alert: panic, count: 0}", [], ""),
    "one of none": ("{alert: panic, count: 0}", GOOD, "1 alerts of panic came, not 0"),
    "two of two": (
        "{alert: panic, phases: [new, end], count: 2}",
        [*GOOD, (21.0, "alert", alert("new", alert_id="a2")), (22.0, "alert", alert("end", alert_id="a2"))],
        "",
    ),
    "one of two without its end": (
        "{alert: panic, phases: [new, end], count: 2}",
        [*GOOD, (21.0, "alert", alert("new", alert_id="a2"))],
        "end did not come",
    ),
    "another severity": (
        "{alert: panic, having: {alert.severity: warning}}", GOOD, "new did not come: no alert of panic",
    ),
    "a status": (
        "{topic: status, having: {state: degraded, reasons: '*silent*'}, between: [5s, 8s]}",
        [(6.0, "status", {"state": "degraded", "reasons": ["gnss: silent for 5 s"]})],
        "",
    ),
    "a status too early": (
        "{topic: status, having: {state: degraded}, between: [5s, 8s]}",
        [(4.0, "status", {"state": "degraded"})],
        "none came",
    ),
    "a status too late": (
        "{topic: status, having: {state: degraded}, within: 5s}",
        [(6.0, "status", {"state": "degraded"})],
        "not in time: the first came at 6.00 s",
    ),
    "three positions": ("{topic: position, count: 3}", [(1.0, "position", {})] * 3, ""),
    "two positions": ("{topic: position, count: 3}", [(1.0, "position", {})] * 2, "2 came, not 3"),
    "positions near the truth": (
        "{topic: position, position_within_m: 15}",
        [(1.0, "position", {"lat": 32.0001, "lon": 118.0})],
        "",
    ),
    "one position far from the truth": (
        "{topic: position, position_within_m: 15}",
        [(1.0, "position", {"lat": 32.0, "lon": 118.0}), (3.0, "position", {"lat": 32.05, "lon": 118.0})],
        "at 3.00 s: 5559.8 m from the truth",
    ),
    "no position": (
        "{topic: position, position_within_m: 15}",
        [(1.0, "position", {})],
        "at 1.00 s: no position, or no truth of post-1",
    ),
    "the point of an alert": ("{alert: panic, position_within_m: 15}", GOOD, ""),
    "the truth of nobody": (
        "{alert: panic, position_within_m: 15, of: nobody}", GOOD[:1], "at 10.10 s: no position, or no truth of nobody",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_expectation_is_met_or_says_why_not(name: str) -> None:
    expectation, messages, expected = CASES[name]
    assert complaint(expectation, messages) == expected


def test_a_repeat_after_a_lost_connection_is_the_same_message() -> None:
    record = record_of(GOOD)
    record.messages.insert(1, {**deepcopy(record.messages[0]), "t": 12.0})
    (outcome,) = judge_expectations(scenario_of("expect: [{alert: panic, count: 1}]"), record)
    assert outcome.met


def test_a_deadline_leaves_a_margin() -> None:
    scenario = scenario_of(PRESS + "expect: [{alert: panic, after: press, within: 3s}]")
    (outcome,) = judge_expectations(scenario, record_of(GOOD))
    assert (outcome.deadline_s, outcome.actual_s, outcome.margin_s) == (3.0, 0.1, 2.9)


def test_expectations_come_in_their_order() -> None:
    text = "expect: [{name: first, alert: quiet}, {name: second, alert: panic, order_after: first}]"
    panic, quiet = (10.0, "alert", alert("new")), (5.0, "alert", alert("new", rule="quiet", alert_id="q"))
    late = (20.0, "alert", alert("new", rule="quiet", alert_id="q"))
    assert [one.met for one in judge_expectations(scenario_of(text), record_of([quiet, panic]))] == [
        True,
        True,
    ]
    outcomes = judge_expectations(scenario_of(text), record_of([panic, late]))
    assert outcomes[1].detail == "must come after 'first', which came at 20.00 s; this came at 10.00 s"
    assert "never came" in judge_expectations(scenario_of(text), record_of([panic]))[1].detail


def test_never_and_sometimes() -> None:
    scenario = scenario_of(
        "never: [{alert: panic}, {topic: status, having: {state: offline}, between: [0s, 5s]}]\n"
        "sometimes: [{event: fault_effect, kind: line.unplug}]"
    )
    record = record_of(
        [(10.0, "alert", alert("new", text="panic button on")), (6.0, "status", {"state": "offline"})]
    )
    assert [(one.met, one.detail) for one in judge_never(scenario, record)] == [
        (False, "came at 10.00 s: panic button on"), (True, ""),
    ]  # fmt: skip
    assert [one.met for one in judge_sometimes(scenario, record)] == [False]
    record.event("fault_effect", "post-1", kind="line.unplug", fault=0)
    assert [one.met for one in judge_sometimes(scenario, record)] == [True]


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        (1, True, False), (True, True, True), (None, None, True), (1, 1.0, True), ("ab", "a*", True),
        ("ab", "a", False), (["x", "yz"], "y*", True), (["x"], ["x"], True), ([1, 2], [1], False),
        ({"a": 1, "b": 2}, {"a": 1}, True), ({"a": 1}, {"a": 1, "b": 2}, False), (None, "*", False),
    ],
)  # fmt: skip
def test_a_field_fits(value: Any, wanted: Any, expected: bool) -> None:
    assert fits(value, wanted) is expected


STRICT = (
    PRESS
    + """expect:
  - {name: raised, alert: panic, after: press, within: 1s, count: 1, position_within_m: 15, receipt: true, having: {simulated: true}}
  - {name: whole, alert: panic, phases: [new, end], after: press, within: 6s, count: 1, receipt: true}
  - {name: place, topic: position, position_within_m: 15, having: {trust: good}}
  - {name: told, topic: status, having: {state: degraded}, between: [30s, 36s]}
never:
  - {name: no false alarm, alert: quiet}
"""
)
RUN: Messages = [
    (2.0, "position", {"lat": 32.0, "lon": 118.0, "trust": "good"}),
    (10.1, "alert", {**alert("new"), "simulated": True}),
    (15.1, "alert", {**alert("end"), "simulated": True}),
    (31.0, "status", {"state": "degraded"}),
]


def unmet(record: RunRecord) -> list[str]:
    scenario = scenario_of(STRICT)
    return [
        one.name
        for one in (*judge_expectations(scenario, record), *judge_never(scenario, record))
        if not one.met
    ]


def drop(number: int) -> Callable[[RunRecord], None]:
    return lambda record: record.messages.pop(number) and None


def body(number: int, **fields: Any) -> Callable[[RunRecord], None]:
    return lambda record: record.messages[number]["body"].update(fields)


def point(number: int, lat: float) -> Callable[[RunRecord], None]:
    return lambda record: record.messages[number]["body"]["alert"]["point"].update(lat=lat)


def late(number: int, by_s: float) -> Callable[[RunRecord], None]:
    return lambda record: record.messages[number].update(t=record.messages[number]["t"] + by_s)


def twice(record: RunRecord) -> None:
    """Each alert message twice, with a number of its own."""
    for one in [one for one in record.messages if one["topic"] == "alert"]:
        other = deepcopy(one)
        other["body"] |= {"seq": one["body"]["seq"] + 100, "id": "again"}
        record.messages.append(other)


def without(event: str) -> Callable[[RunRecord], None]:
    def mutate(record: RunRecord) -> None:
        record.events = [one for one in record.events if one["event"] != event]

    return mutate


def unmarked(record: RunRecord) -> None:
    for one in record.messages:
        one["body"].pop("simulated", None)


MUTATIONS: dict[str, tuple[Callable[[RunRecord], None], str]] = {
    "the alert is suppressed": (drop(1), "raised"),
    "the end is dropped": (drop(2), "whole"),
    "the position is swallowed": (drop(0), "place"),
    "the position is 5.5 km off": (body(0, lat=32.05), "place"),
    "trust is always something else": (body(0, trust="unsure"), "place"),
    "the point of the alert is 55 km off": (point(1, 32.5), "raised"),
    "each alert comes twice": (twice, "raised"),
    "the device says that all is well": (body(3, state="online"), "told"),
    "the flag simulated is left out": (unmarked, "raised"),
    "receipts are not given": (without("receipt"), "whole"),
    "nothing is committed": (without("committed"), "whole"),
    "the alert is 3 s late": (late(1, 3.0), "raised"),
    "the end is 3 s late": (late(2, 3.0), "whole"),
    "the status is early": (late(3, -5.0), "told"),
    "a false alarm": (
        lambda record: record.message("post-1", "alert", alert("new", rule="quiet", alert_id="q")),
        "no false alarm",
    ),
    "the alert has a second id": (
        lambda record: record.messages[2]["body"]["alert"].update(alert_id="other"),
        "whole",
    ),
}


def test_the_unchanged_run_is_green() -> None:
    assert unmet(record_of(RUN)) == []


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_mutation_of_the_run_is_red(name: str) -> None:
    mutate, expectation = MUTATIONS[name]
    record = record_of(deepcopy(RUN))
    mutate(record)
    assert expectation in unmet(record)


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (
            "{topic: status, having: {staate: offline}}",
            "no status has a field 'staate'; did you mean 'state'?",
        ),
        ("{alert: panic, having: {alert.severty: 1}}", "no alert has a field 'alert.severty'; did you mean "),
        (
            "{topic: status, having: {clock: {sorce: 1}}}",
            "no status has a field 'clock.sorce'; did you mean ",
        ),
        ("{topic: status, having: {clock: {source: ntp}, state: offline}}", None),
        ("{alert: panic, having: {alert.verified: false}}", None),
        ("{topic: gap, having: {gap.lane: alert}}", None),
    ],
)
def test_a_misspelt_field_is_found_though_nothing_has_it(wanted: str, complaint: str | None) -> None:
    status = {"state": "online", "clock": {"source": "ntp"}}
    for key in ("expect", "never"):
        found = unknown_fields(scenario_of(f"{key}: [{wanted}]"), record_of([(1.0, "status", status), *GOOD]))
        assert [complaint is not None and complaint in text for text in found] == [True] * (
            complaint is not None
        )
