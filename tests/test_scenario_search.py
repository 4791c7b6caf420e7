"""Seeds that fail, and the shortest timeline that still does."""

from pathlib import Path

import pytest

from simulators.scenario.loader import parse
from simulators.scenario.model import Scenario
from simulators.scenario.scenario_text import scenario_text
from simulators.scenario.search import shorten
from tests.scenario_rig import scenario_of

TIMELINE = """
timeline:
  - {at: 1s, fault: line.noise, source: gnss, for: 8s}
  - {at: 2s, fault: line.unplug, source: board, for: 16s}
  - {at: 3s, name: press, press: board.panic_button, for: 5s}
  - {at: 4s, fault: line.silent, source: gnss, for: 8s}
  - {at: 5s, fault: receiver.jam, source: gnss, for: 8s}
expect:
  - {name: raised, alert: panic, after: press}
  - {name: quiet, alert: quiet}
"""


def kinds(scenario: Scenario) -> list[str]:
    return [step.kind for step in scenario.timeline]


@pytest.mark.parametrize(
    "needed", [["line.unplug"], ["line.unplug", "press"], ["line.noise", "receiver.jam"], []], ids=str
)
def test_only_what_is_needed_is_left(needed: list[str]) -> None:
    shortest = shorten(scenario_of(TIMELINE), lambda one: set(needed) <= set(kinds(one)))
    assert sorted(kinds(shortest)) == sorted(needed)
    assert [one.name for one in shortest.expect] == (["raised", "quiet"] if "press" in needed else ["quiet"])


def test_faults_become_shorter() -> None:
    def fails(scenario: Scenario) -> bool:
        return any(step.kind == "line.unplug" and step.for_s >= 3 for step in scenario.timeline)

    (step,) = shorten(scenario_of(TIMELINE), fails).timeline
    assert step.for_s == 4.0


def test_devices_that_play_no_part_are_left_out() -> None:
    one = scenario_of(TIMELINE)
    more = dict.fromkeys(("post-1", "post-2", "post-3"), one.devices["post-1"])
    shortest = shorten(
        one.model_copy(update={"devices": more}),
        lambda two: "post-1" in two.devices and "line.unplug" in kinds(two),
    )
    assert list(shortest.devices) == ["post-1"]


def test_tries_are_bounded() -> None:
    tries = 0

    def fails(_: Scenario) -> bool:
        nonlocal tries
        tries += 1
        return tries % 2 == 0

    shorten(scenario_of(TIMELINE), fails, most_tries=5)
    assert tries <= 5


def test_the_shortest_timeline_is_a_file_that_can_be_played() -> None:
    shortest = shorten(scenario_of(TIMELINE), lambda one: "receiver.jam" in kinds(one))
    text = scenario_text(shortest)
    assert scenario_text(parse(text, name="again", base=Path("/nonexistent"))) == text
