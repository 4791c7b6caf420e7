"""The threshold rule, judged by lists of readings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.domain.findings import Finding
from agent.domain.observations import Observation
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
        ({"below": None}, "needs above, below, rises_by or falls_by"),
        ({"above": 2.5}, "leave no normal value"),
        ({"below": float("nan")}, "finite"),
        ({"rises_by": 1.0}, "rises_by and falls_by go with within"),
        ({"within": "1m"}, "rises_by and falls_by go with within"),
        ({"rises_by": 0.5, "within": "1m"}, "a change would never clear"),
        ({"hysteresis": -1}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_threshold_says_what_is_wrong(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Rule).validate_python(SHALLOW | wrong)


RIVER = {"kind": "threshold", "source": "gauge", "quantity": "water_level", "rises_by": 0.5, "within": "10m"}


def river(*levels: float, every_s: float = 60, **more: Any) -> list[tuple[float, str]]:
    """(minute, text or "over") where the answer changes, of one level after the other."""
    decide = TypeAdapter(Rule).validate_python(RIVER | more).start()
    said: list[tuple[float, str]] = []
    for number, level in enumerate(levels):
        reading = Reading(quantity="water_level", value=level, unit="m")
        at = START + timedelta(seconds=number * every_s)
        for fact in decide(Observation("gauge", at, number * every_s, reading)):
            text = fact.text if isinstance(fact, Finding) else "over"
            if text.split(" by ")[0] != (said[-1][1] if said else "over").split(" by ")[0]:
                said.append((number * every_s / 60, text))
    return said


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("it stands", river(*[2.0] * 60), []),
        ("it rises slowly", river(*[2 + 0.04 * n for n in range(60)]), []),
        ("it rises fast", river(*[2 + 0.06 * n for n in range(11)]), [(9, "water level rose by 0.54 m within 10 min, now 2.54")]),
        ("and stays up: over ten minutes later", river(2.0, *[2.6] * 30), [(1, "water level rose by 0.6 m within 10 min, now 2.6"), (11, "over")]),
        ("it falls, and nobody asked", river(*[2 - 0.1 * n for n in range(20)]), []),
        ("it falls", river(*[2 - 0.1 * n for n in range(7)], rises_by=None, falls_by=0.5), [(5, "water level fell by 0.5 m within 10 min, now 1.5")]),
        ("one wrong reading", river(2.0, 2.0, 2.9, *[2.0] * 20, hold="2m"), []),
        ("waves, read ten times a second", river(*[2 + 0.2 * (n % 2) for n in range(9000)], every_s=0.1), []),
        ("a gauge that was silent for an hour", river(2.0, 2.9, every_s=3600), []),
    ],
)  # fmt: skip
def test_change(name: str, said: list[Any], expected: list[Any]) -> None:
    assert said == expected, name


def test_a_limit_and_a_change_are_two_alerts() -> None:
    decide = TypeAdapter(Rule).validate_python(RIVER | {"above": 2.4}).start()
    keys = set()
    for number, level in enumerate((2.0, 2.6)):
        reading = Reading(quantity="water_level", value=level, unit="m")
        facts = list(decide(Observation("gauge", START, number * 60.0, reading)))
        keys = {fact.key for fact in facts if isinstance(fact, Finding)}
    assert keys == {"water_level", "water_level change"}
