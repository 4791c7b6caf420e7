"""The threshold rule, judged by lists of readings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.observations import Observation
from agent.parts import Finding
from agent.rules import Rule
from firmware_bridge.readings import Reading

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
SHALLOW = {"kind": "threshold", "source": "sounder", "quantity": "depth", "below": 2.0, "hysteresis": 0.5}
BAND = SHALLOW | {"above": 30.0}


def read(second: float, value: float, source: str = "sounder", quantity: str = "depth") -> Observation:
    reading = Reading(quantity=quantity, value=value, unit="m")
    return Observation(source, START + timedelta(seconds=second), 1000 + second, reading)


def judge(config: dict[str, Any], observations: list[Observation]) -> list[str]:
    """What the rule says to each observation: a text, "over", or "" for nothing."""
    decide = TypeAdapter(Rule).validate_python(config).start()
    said = []
    for observation in observations:
        facts = list(decide(observation))
        said.append("".join(fact.text if isinstance(fact, Finding) else "over" for fact in facts))
    return said


@pytest.mark.parametrize(
    ("config", "values", "expected"),
    [
        (SHALLOW, [3.0, 2.0], ["over", "over"]),
        (SHALLOW, [1.9], ["depth 1.9 m, below 2"]),
        (SHALLOW, [1.9, 2.4, 2.5, 2.4], ["depth 1.9 m, below 2", "depth 2.4 m, below 2", "over", "over"]),
        (SHALLOW | {"hold": "2s"}, [1.0, 1.0, 1.0], ["", "", "depth 1 m, below 2"]),
        (SHALLOW | {"hold": "2s"}, [1.0, 1.0, 3.0, 1.0, 1.0], ["", "", "over", "", ""]),
        (BAND, [31.0, 29.6, 29.5], ["depth 31 m, above 30", "depth 29.6 m, above 30", "over"]),
        (BAND | {"hold": "1s"}, [31.0, 1.0, 1.0], ["", "", "depth 1 m, below 2"]),
    ],
)
def test_threshold(config: dict[str, Any], values: list[float], expected: list[str]) -> None:
    assert judge(config, [read(second, value) for second, value in enumerate(values)]) == expected


def test_other_sources_and_quantities_say_nothing() -> None:
    assert judge(SHALLOW, [read(0, 1.0, source="board"), read(1, 1.0, quantity="wind")]) == ["", ""]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"below": None}, "needs above, below, or both"),
        ({"above": 2.5}, "leave no value that is fine"),
        ({"below": float("nan")}, "finite"),
        ({"hysteresis": -1}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_threshold_says_what_is_wrong(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Rule).validate_python(SHALLOW | wrong)
