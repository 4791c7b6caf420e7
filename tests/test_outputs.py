"""Orders of the centre for sirens and lights: wanted for their time, done when the board says so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.commands.actuators import CONFIRMED_WITHIN_S, Actuators
from agent.commands.requests import OutputCommand
from agent.domain.observations import Observation
from firmware_bridge.readings import Switch

AT = datetime(2026, 11, 28, tzinfo=UTC)
KNOWN = {"board": ["siren", "light"], "mast": ["relay"]}


def order(on: bool = True, ttl_s: float = 30, **more: Any) -> OutputCommand:
    return OutputCommand(id="1", source="board", output="siren", on=on, ttl_s=ttl_s, **more)


def said(name: str, on: bool, source: str = "board") -> Observation:
    return Observation(source, AT, 0.0, Switch(name=name, on=on))


def taken(outputs: Actuators, one: OutputCommand, now_s: float = 100.0) -> None:
    outputs.request(one, KNOWN, {"command": "output", "command_id": one.id}, now_s)


def test_an_order_is_wanted_for_its_time_and_no_longer() -> None:
    outputs = Actuators()
    taken(outputs, order())
    assert outputs.wanted("board", 100) == {"siren": 30}
    assert outputs.wanted("board", 129) == {"siren": 1}
    assert outputs.wanted("board", 130) == outputs.wanted("mast", 110) == {}


def test_the_latest_order_counts() -> None:
    outputs = Actuators()
    taken(outputs, order())
    taken(outputs, order(ttl_s=5), 110)
    assert outputs.wanted("board", 110) == {"siren": 5}
    taken(outputs, order(on=False), 111)
    assert outputs.wanted("board", 111) == {}


def test_it_is_done_when_the_board_says_so() -> None:
    outputs = Actuators()
    taken(outputs, order())
    for other in (said("siren", False), said("light", True), said("siren", True, "mast")):
        assert outputs.on_observation(other) == []
    assert outputs.on_observation(said("siren", True)) == [
        {"command": "output", "command_id": "1", "state": "succeeded"}
    ]
    assert outputs.on_observation(said("siren", True)) == outputs.tick(AT, 1e6) == []


@pytest.mark.parametrize("on", [True, False])
def test_what_does_not_come_to_be_has_failed_and_is_not_switched_on_later(on: bool) -> None:
    outputs = Actuators()
    taken(outputs, order(on))
    assert outputs.tick(AT, 100 + CONFIRMED_WITHIN_S - 0.1) == []
    (result,) = outputs.tick(AT, 100 + CONFIRMED_WITHIN_S)
    assert result["state"] == "failed"
    assert result["reason"].startswith("board did not confirm it within 5 s")
    assert ("unacknowledged" in result["reason"]) is not on
    assert outputs.wanted("board", 106) == {}


def test_an_order_that_has_failed_takes_nothing_from_a_later_one() -> None:
    outputs = Actuators()
    taken(outputs, order(on=False))
    taken(outputs, order(), 103)
    assert [one["state"] for one in outputs.on_observation(said("siren", True))] == ["succeeded"]
    assert [one["state"] for one in outputs.tick(AT, 105)] == ["failed"]
    assert outputs.wanted("board", 105) == {"siren": 28}


def test_what_comes_too_late_has_expired() -> None:
    outputs = Actuators()
    taken(outputs, order(expires=AT + timedelta(seconds=2)))
    assert outputs.tick(AT + timedelta(seconds=1), 101) == []
    assert [result["state"] for result in outputs.tick(AT + timedelta(seconds=3), 103)] == ["expired"]
    assert outputs.wanted("board", 103) == {}


@pytest.mark.parametrize(
    ("source", "output", "known", "message"),
    [
        ("board", "relay", KNOWN, "no output board relay; known: board siren, board light, mast relay"),
        ("gnss", "siren", KNOWN, "no output gnss siren; known: "),
        ("board", "siren", {}, "no output board siren; known: none"),
    ],
)
def test_only_what_the_configuration_names(source: str, output: str, known: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Actuators().request(OutputCommand(id="1", source=source, output=output), known, {}, 0)
