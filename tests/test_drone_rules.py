"""The rules on drones, judged by lists of observations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from agent.domain.findings import Finding, Point
from agent.domain.observations import Observation, Tick, Value
from agent.rules import Rule
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import LineState, Reading

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
BATTERY = {"kind": "drone_battery", "source": "radio", "below_pct": 25, "hysteresis_pct": 5, "hold": "2s"}
LOST = {"kind": "drone_lost", "source": "radio", "after": "10s"}


def seen(second: float, value: Value, source: str = "radio") -> Observation:
    return Observation(source, START + timedelta(seconds=second), 1000 + second, value)


def flying(second: float, pct: int | None = None, *, source: str = "radio", **more: Any) -> Observation:
    return seen(second, Drone(**({"system": 1, "armed": True, "battery_pct": pct} | more)), source)


def judge(config: dict[str, Any], observations: list[Observation]) -> list[str]:
    """What the rule says to each observation: its texts, "over", or "" for nothing."""
    decide = TypeAdapter(Rule).validate_python(config).start()
    return [
        " | ".join(fact.text if isinstance(fact, Finding) else "over" for fact in decide(observation))
        for observation in observations
    ]


LOW = "drone 1: battery {} %, below 25 %"


@pytest.mark.parametrize(
    ("config", "observations", "expected"),
    [
        (BATTERY, [flying(0, 26), flying(3, 25)], ["over", "over"]),
        (BATTERY, [flying(0, 24), flying(1, 24), flying(2, 23)], ["", "", LOW.format(23)]),
        (BATTERY, [flying(0, 24), flying(1, 40), flying(2, 24), flying(3, 24)], ["", "over", "", ""]),
        (BATTERY, [flying(0, 24), flying(2, 29), flying(3, 30), flying(4, 26)], ["", LOW.format(29), "over", "over"]),
        (BATTERY, [flying(0, 9, armed=False), flying(3, 9, armed=False)], ["over", "over"]),
        (BATTERY, [flying(0, 9), flying(3, 9), flying(4, 9, armed=False)], ["", LOW.format(9), "over"]),
        (BATTERY | {"on_ground": True}, [flying(0, 9, armed=False), flying(3, 9, armed=False)], ["", LOW.format(9)]),
        (BATTERY, [flying(0, 9), flying(3), flying(4, 9)], ["", "", LOW.format(9)]),
        (BATTERY, [flying(0, 9), flying(3, 9, state="lost")], ["", ""]),
        (BATTERY, [flying(0, 9, source="other"), seen(3, LineState()), seen(4, Reading(quantity="radio_rssi", value=9, unit="dBm"))], ["", "", ""]),
        (BATTERY | {"system": 2}, [flying(0, 9), flying(3, 9), flying(4, 9, system=2), flying(7, 9, system=2)], ["", "", "", LOW.format(9).replace("1", "2")]),
        (BATTERY, [flying(0, 9), flying(1, 9, system=2), flying(2, 9), flying(3, 80, system=2)], ["", "", LOW.format(9), "over"]),
        (BATTERY | {"below_v": 14.0}, [flying(0, battery_v=13.9), flying(3, battery_v=14.3), flying(4, battery_v=14.5)], ["", "drone 1: battery 14.3 V, below 14 V", "over"]),
        (BATTERY, [flying(0, battery_v=3), flying(3, battery_v=3)], ["", ""]),
    ],
)  # fmt: skip
def test_a_battery_that_runs_low(
    config: dict[str, Any], observations: list[Observation], expected: list[str]
) -> None:
    assert judge(config, observations) == expected


def test_a_low_battery_says_where_the_drone_is_and_how_far_from_home() -> None:
    rule = TypeAdapter(Rule).validate_python(BATTERY | {"hold": "0s"})
    home = {"home_lat": 32.05, "home_lon": 118.78, "mode": "RTL", "vehicle": "quadrotor"}
    [finding] = rule.start()(flying(0, 18, lat=32.06, lon=118.78, error_m=1.5, **home))
    assert finding.text == "drone 1: battery 18 %, below 25 %; RTL, 1109 m from home"
    assert finding.point == Point(32.06, 118.78, 1.5, "drone", "drone 1")
    assert finding.label == "quadrotor"


def ticks(first: int, last: int) -> list[Observation]:
    return [seen(second, Tick(), "clock") for second in range(first, last)]


RADIO = seen(12, Reading(quantity="radio_rssi", value=-60, unit="dBm"))


@pytest.mark.parametrize(
    ("config", "observations", "expected"),
    [
        (LOST, [*ticks(0, 30)], 0),
        (LOST, [flying(0), *ticks(1, 11)], 0),
        (LOST, [flying(0), *ticks(1, 15)], 4),
        (LOST, [flying(0), *ticks(1, 12), RADIO, flying(13, state="lost"), *ticks(13, 15)], 3),
        (LOST, [flying(0, source="other"), *ticks(1, 30)], 0),
        (LOST, [flying(0, armed=False), *ticks(1, 30)], 0),
        (LOST, [flying(0, armed=None), *ticks(1, 30)], 0),
        (LOST | {"on_ground": True}, [flying(0, armed=False), *ticks(1, 13)], 2),
        (LOST, [flying(0), flying(1, armed=False), *ticks(2, 30)], 0),
        (LOST | {"system": 2}, [flying(0), *ticks(1, 30)], 0),
        (LOST, [flying(0), flying(0, system=2), flying(9, system=2), *ticks(10, 13)], 2),
    ],
)  # fmt: skip
def test_a_drone_in_the_air_that_falls_silent(
    config: dict[str, Any], observations: list[Observation], expected: int
) -> None:
    assert sum("not heard" in said for said in judge(config, observations)) == expected


def test_a_lost_drone_is_told_with_its_last_position_and_its_age_and_is_over_when_it_speaks() -> None:
    rule = TypeAdapter(Rule).validate_python(LOST)
    decide = rule.start()
    list(decide(flying(0, 43, lat=32.05, lon=118.78, height_m=62.4, error_m=2.0, mode="AUTO")))
    list(decide(flying(2, 43, mode="AUTO")))
    [finding] = [fact for tick in ticks(3, 15) for fact in decide(tick)][-1:]
    assert finding.text == (
        "drone 1 not heard for 12 s; it was in AUTO, battery 43 %; last position 62 m above home, 14 s old"
    )
    assert (finding.since, finding.point) == (
        START + timedelta(seconds=2),
        Point(32.05, 118.78, 2.0, "drone", "drone 1", 14.0),
    )
    assert [fact.key for fact in decide(flying(20))] == ["1"]
