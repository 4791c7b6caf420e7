"""What stands still, and since when."""

from typing import Any

import pytest

from agent.domain.observations import Observation, SeenObject
from tests.sightings import judge, see, thing

RULE = {
    "kind": "stationary",
    "camera": "cam1",
    "zone": "low",
    "labels": ["car", "boat"],
    "after": "60s",
    "frames": 3,
}
FOUND = "car standing in low for 60 s"


def car(x: float = 0.5, track: int = 1) -> SeenObject:
    return thing(x, 0.8, track=track, label="car")


def seconds(*things: SeenObject | None, start: int = 0) -> list[Observation]:
    """One sighting a second; None is one with nothing in it."""
    return [see(start + n, *([] if one is None else [one])) for n, one in enumerate(things)]


@pytest.mark.parametrize(
    ("name", "observations", "expected"),
    [
        ("it stands", seconds(*[car()] * 70), [(60, FOUND)]),
        ("it drives on in time", seconds(*[car()] * 50, *[None] * 60), []),
        ("it rolls slowly", seconds(*[car(0.1 + 0.005 * n) for n in range(150)]), []),
        ("its box trembles", seconds(*[car(0.5), car(0.52)] * 35), [(60, FOUND)]),
        ("it comes and then stands", seconds(*[car(0.1 + 0.1 * n) for n in range(5)], *[car(0.5)] * 70), [(64, FOUND)]),
        (
            "a bus hides it, and the tracker gives it a new number",
            seconds(*[car()] * 30, *[None] * 20, *[car(track=7)] * 30),
            [(60, FOUND)],
        ),
        ("it drives away", seconds(*[car()] * 70, *[None] * 70), [(60, FOUND), (130, "over")]),
        (
            "it drives away in sight",
            seconds(*[car()] * 70, *[car(0.6), car(0.7), car(0.8)]),
            [(60, FOUND), (71, "over")],
        ),
        ("two are one finding", [see(n, car(0.2), car(0.7, 2)) for n in range(70)], [(60, "2 cars standing in low for 60 s")]),
    ],
)  # fmt: skip
def test_stationary(name: str, observations: list[Observation], expected: list[Any]) -> None:
    assert judge(RULE, observations) == expected, name


def test_what_was_there_from_the_start_is_not_told_until_it_has_moved() -> None:
    rule = RULE | {"ignore_initial": True}
    assert judge(rule, seconds(*[car()] * 200)) == []
    assert judge(rule, seconds(*[car()] * 100, *[car(0.8)] * 70)) == [(160, FOUND)]
    late = [see(n, car(0.2, 1), *([car(0.7, 2)] if n >= 20 else [])) for n in range(90)]
    assert judge(rule, late) == [(80, FOUND)]


def test_a_long_stay_is_told_in_minutes() -> None:
    assert judge(RULE | {"after": "3m"}, seconds(*[car()] * 200)) == [(180, "car standing in low for 3 min")]
