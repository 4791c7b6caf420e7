"""Somebody in the water, or on a boat that the detector sees now and then."""

from typing import Any

import pytest

from agent.domain.observations import Observation, SeenObject
from tests.sightings import judge, see, thing

RULE = {"kind": "person_in_water", "camera": "cam1", "zone": "low", "where": "the quay"}
FOUND = "person in the water at the quay"


def boat(x: float = 0.5, foot: float = 0.85) -> SeenObject:
    """0.4 wide, 0.2 tall."""
    return SeenObject(track=90, label="boat", score=0.4, box=(x - 0.2, foot - 0.2, x + 0.2, foot))


def swimmer(x: float = 0.5, y: float = 0.8) -> SeenObject:
    return thing(x, y, tall=0.06)


def play(*frames: tuple[SeenObject, ...]) -> list[tuple[float, str]]:
    return judge(RULE, [see(n / 5, *frame) for n, frame in enumerate(frames)])


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("he swims", play(*[(swimmer(),)] * 10), [(1.0, FOUND)]),
        ("he stands on the bank", play(*[(swimmer(y=0.5),)] * 30), []),
        ("he is on a boat", play(*[(swimmer(), boat())] * 30), []),
        ("on a boat that the detector sees in every tenth frame", play(*[(swimmer(), boat()), *[(swimmer(),)] * 9] * 9), []),
        ("he swims beside a boat", play(*[(swimmer(x=0.8), boat())] * 10), [(1.0, FOUND)]),
        ("he swims in front of a boat", play(*[(swimmer(y=0.95), boat())] * 10), [(1.0, FOUND)]),
        (
            "he falls off: the boat is seen, without him",
            play(*[(swimmer(), boat())] * 20, *[(swimmer(x=0.75 + 0.01 * n), boat()) for n in range(10)]),
            [(4.8, FOUND)],
        ),
        (
            "the boat is not seen any more: ten seconds later he counts as swimming",
            play(*[(swimmer(), boat())] * 20, *[(swimmer(),)] * 90),
            [(17.8, FOUND)],
        ),
        ("a flicker on the waves", play(*[(swimmer(),), (), (), ()] * 30), []),
        ("he is pulled out", play(*[(swimmer(),)] * 10, *[(swimmer(), boat())] * 5), [(1.0, FOUND), (2.0, "over")]),
    ],
)  # fmt: skip
def test_person_in_water(name: str, said: list[Any], expected: list[Any]) -> None:
    assert said == expected, name


def test_other_vessels_can_be_named() -> None:
    board = SeenObject(track=9, label="surfboard", score=0.5, box=(0.4, 0.7, 0.6, 0.85))
    seen: list[Observation] = [see(n / 5, swimmer(), board) for n in range(30)]
    assert judge(RULE, seen) == [(1.0, FOUND)]
    assert judge(RULE | {"vessels": ["boat", "surfboard"]}, seen) == []
