"""Rules judged by lists of observations: no loop, no clock."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.domain.findings import Cleared, Finding
from agent.domain.observations import CameraState, Observation, SeenObject, Sighting, Tick
from agent.rules import Rule
from firmware_bridge.readings import Fix, LineState, Switch

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


def say(source: str, second: float, value: Any) -> Observation:
    return Observation(source, START + timedelta(seconds=second), 1000 + second, value)


def person(
    track: int = 1, zones: tuple[str, ...] = ("rail",), score: float = 0.8, left: float = 0.4
) -> SeenObject:
    return SeenObject(track=track, label="person", score=score, box=(left, 0.2, left + 0.1, 0.6), zones=zones)


def see(second: float, *objects: SeenObject, camera: str = "cam1") -> Observation:
    return say(camera, second, Sighting(frame=int(second * 5), objects=objects, delay_s=0.04))


def judge(config: dict[str, Any], observations: Iterable[Observation]) -> list[tuple[float, str, str]]:
    """(second, finding or over, text or key) where the answer changes from the one before."""
    rule = TypeAdapter(Rule).validate_python(config)
    decide = rule.start()
    said: list[tuple[float, str, str]] = []
    for observation in observations:
        for fact in decide(observation):
            kind = "finding" if isinstance(fact, Finding) else "over"
            if not said or said[-1][1] != kind:
                text = fact.text if isinstance(fact, Finding) else fact.key
                said.append((observation.mono_s - 1000, kind, text))
    return said


DWELL = {"kind": "zone_dwell", "camera": "cam1", "zone": "rail", "dwell": "5s", "grace": "2s", "frames": 3}
ENTER = {"kind": "zone_enter", "camera": "cam1", "zone": "rail", "grace": "2s", "frames": 3}


@pytest.mark.parametrize(
    ("name", "observations", "expected"),
    [
        ("stays long enough", [see(t, person()) for t in range(9)], [(5, "finding", "person at rail for 5 s")]),
        ("leaves in time", [see(t, person()) for t in range(5)] + [see(t) for t in range(5, 20)], []),
        (
            "leaves later: over once he has been elsewhere for the grace",
            [see(t, person()) for t in range(8)] + [see(8 + t / 5, person(zones=())) for t in range(9)],
            [(5, "finding", "person at rail for 5 s"), (pytest.approx(9.2), "over", "rail")],
        ),
        (
            "vanishes: over after the grace",
            [see(t, person()) for t in range(8)] + [see(t) for t in range(8, 12)],
            [(5, "finding", "person at rail for 5 s"), (10, "over", "rail")],
        ),
        (
            "hidden for less than the grace keeps his time",
            [see(t, *([] if t == 3 else [person()])) for t in range(7)],
            [(5, "finding", "person at rail for 5 s")],
        ),
        (
            "a new track number in the same place keeps his time",
            [see(t, person(track=1 if t < 3 else 2)) for t in range(7)],
            [(5, "finding", "person at rail for 5 s")],
        ),
        (
            "two who pass one after the other do not add up",
            [see(t, person(1, left=0.1 * t)) for t in range(4)]
            + [see(t, person(2, left=0.1 * (8 - t))) for t in range(4, 8)],
            [],
        ),
        ("other labels do not count", [see(t, SeenObject(track=1, label="dog", score=0.9, box=(0.4, 0.2, 0.5, 0.6), zones=("rail",))) for t in range(9)], []),
        ("outside the zone does not count", [see(t, person(zones=("road",))) for t in range(9)], []),
        ("an unsure object does not begin to dwell", [see(t, person(score=0.2)) for t in range(9)], []),
        ("another camera does not count", [see(t, person(), camera="cam2") for t in range(9)], []),
        (
            "a blind camera ends nothing",
            [see(t, person()) for t in range(7)] + [say("clock", t, Tick()) for t in range(7, 60)],
            [(5, "finding", "person at rail for 5 s")],
        ),
        (
            "two at once are one finding",
            [see(t, person(1), person(2, left=0.7)) for t in range(7)],
            [(5, "finding", "2 people at rail for 5 s")],
        ),
    ],
)  # fmt: skip
def test_zone_dwell(name: str, observations: list[Observation], expected: list[tuple]) -> None:
    assert judge(DWELL, observations) == expected, name


@pytest.mark.parametrize(
    ("name", "observations", "expected"),
    [
        ("three frames make a visitor", [see(t / 5, person()) for t in range(4)], [(pytest.approx(0.4), "finding", "person in rail")]),
        ("one flicker does not", [see(0, person()), *(see(t / 5) for t in range(1, 30))], []),
        (
            "he leaves",
            [see(t / 5, person()) for t in range(5)] + [see(t / 5, person(zones=())) for t in range(5, 19)],
            [(pytest.approx(0.4), "finding", "person in rail"), (pytest.approx(3.0), "over", "rail")],
        ),
    ],
)  # fmt: skip
def test_zone_enter(name: str, observations: list[Observation], expected: list[tuple]) -> None:
    assert judge(ENTER, observations) == expected, name


def test_a_finding_carries_what_it_rests_on() -> None:
    decide = TypeAdapter(Rule).validate_python(DWELL).start()
    facts = [fact for t in range(7) for fact in decide(see(t, person(score=0.7 + t / 50)))]
    last = facts[-1]
    assert isinstance(last, Finding)
    assert (last.since, last.since_s, last.count, last.label) == (START, 1000, 1, "person")
    assert last.score == pytest.approx(0.82)
    assert last.latency_s == 0.04
    assert last.box == (0.4, 0.2, 0.5, 0.6)


SWITCH = {"kind": "switch", "source": "board", "name": "panic_button"}


@pytest.mark.parametrize(
    ("config", "said", "expected"),
    [
        ({}, [False, True, True, False], [(0, "over", "panic_button"), (1, "finding", "panic button on"), (3, "over", "panic_button")]),
        ({"on": False}, [True, False], [(0, "over", "panic_button"), (1, "finding", "panic button off")]),
    ],
)  # fmt: skip
def test_switch(config: dict[str, Any], said: list[bool], expected: list[tuple]) -> None:
    observations = [say("board", t, Switch(name="panic_button", on=on)) for t, on in enumerate(said)]
    others = [
        say("board", 9, Switch(name="tamper", on=True)),
        say("other", 9, Switch(name="panic_button", on=True)),
    ]
    assert judge(SWITCH | config, observations + others) == expected


def test_a_switch_that_is_on_for_less_than_the_hold_is_nothing() -> None:
    """The board tells a change once; time passes by ticks."""
    on, off = Switch(name="panic_button", on=True), Switch(name="panic_button", on=False)
    bounce = [say("board", t / 10, on if t % 2 else off) for t in range(20)]
    ticks = [say("clock", t, Tick()) for t in range(2, 9)]
    held = SWITCH | {"hold": "3s"}
    assert [one[1] for one in judge(held, [*bounce, say("board", 2, off), *ticks])] == ["over"]
    assert judge(held, [*bounce, *ticks])[1:] == [(5, "finding", "panic button on")]


FIX = Fix(mode="none")


@pytest.mark.parametrize(
    ("name", "observations", "expected"),
    [
        ("speaks", [say("gnss", t, FIX) for t in range(30)], [(0, "over", "gnss")]),
        (
            "falls silent and comes back",
            [say("gnss", 0, FIX), *(say("clock", t, Tick()) for t in range(1, 14)), say("gnss", 14, FIX)],
            [(0, "over", "gnss"), (11, "finding", "gnss silent for 11 s"), (14, "over", "gnss")],
        ),
        ("never spoke", [say("clock", t, Tick()) for t in range(13)], [(11, "finding", "gnss silent for 11 s")]),
        (
            "what the line says of itself is no sign of life",
            [say("gnss" if t % 2 else "clock", t, LineState() if t % 2 else Tick()) for t in range(14)],
            [(12, "finding", "gnss silent for 12 s")],
        ),
        (
            "nor is what the camera says of itself",
            [say("gnss", 1, CameraState(frames=0, skipped=0, width=1, height=1)), say("clock", 12, Tick())],
            [(12, "finding", "gnss silent for 11 s")],
        ),
    ],
)  # fmt: skip
def test_silence(name: str, observations: list[Observation], expected: list[tuple]) -> None:
    assert judge({"kind": "silence", "source": "gnss", "after": "10s"}, observations) == expected, name


def test_a_clock_that_jumps_breaks_no_silence() -> None:
    later = [Observation("clock", START + timedelta(days=1), 1000 + t, Tick()) for t in range(9)]
    assert (
        judge({"kind": "silence", "source": "gnss", "after": "10s"}, [say("gnss", 0, FIX), *later])[1:] == []
    )


@pytest.mark.parametrize(
    "config", [DWELL | {"dwel": "5s"}, DWELL | {"labels": []}, DWELL | {"dwell": "soon"}]
)
def test_a_rule_that_cannot_be_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Rule).validate_python(config)


def test_over_names_the_key_of_the_finding() -> None:
    decide = TypeAdapter(Rule).validate_python(ENTER).start()
    facts = [fact for t in range(30) for fact in decide(see(t / 5, *([person()] if t < 5 else [])))]
    assert {fact.key for fact in facts} == {"rail"}
    assert isinstance(facts[-1], Cleared)
