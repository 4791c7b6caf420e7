"""Too many, too few: numbers judged with hysteresis and a hold time."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.observations import Observation
from agent.parts import Finding
from agent.rules import Rule
from tests.sightings import facts, judge, see, thing

CROWD = {"kind": "count", "camera": "cam1", "zone": "low", "hold": "2s", "grace": "1s", "frames": 1}


def crowd(*numbers: int) -> list[Observation]:
    """One sighting a second, with so many people in it."""
    return [
        see(second, *(thing(0.05 + 0.1 * n, 0.9, track=n) for n in range(number)))
        for second, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    ("limits", "numbers", "expected"),
    [
        ({"more_than": 3}, [3] * 9, []),
        ({"more_than": 3}, [4] * 9, [(2, "4 people at low, more than 3")]),
        ({"more_than": 3, "hold": "4s"}, [4, 4, 2, 2, 2, 4, 4, 2, 2, 2], []),
        ({"more_than": 3}, [5] * 4 + [3] * 4, [(2, "5 people at low, more than 3"), (5, "over")]),
        (
            {"more_than": 3, "hysteresis": 2},
            [4] * 4 + [2] * 3 + [1] * 3,
            [(2, "4 people at low, more than 3"), (8, "over")],
        ),
        ({"fewer_than": 2}, [2] * 9, []),
        ({"fewer_than": 2}, [1] * 4, [(2, "1 person at low, fewer than 2")]),
        ({"fewer_than": 2}, [0] * 4 + [2], [(2, "0 people at low, fewer than 2"), (4, "over")]),
        (
            {"fewer_than": 1, "more_than": 2},
            [0] * 4 + [3] * 4,
            [(2, "0 people at low, fewer than 1"), (4, "over"), (6, "3 people at low, more than 2")],
        ),
        ({"more_than": 3, "where": "the gate"}, [4] * 3, [(2, "4 people at the gate, more than 3")]),
    ],
)
def test_count(limits: dict[str, Any], numbers: list[int], expected: list[Any]) -> None:
    assert judge(CROWD | limits, crowd(*numbers)) == expected


def test_a_finding_has_the_number_and_the_box_around_all() -> None:
    found = [fact for _, fact in facts(CROWD | {"more_than": 2}, crowd(*[3] * 5))][-1]
    assert isinstance(found, Finding)
    assert (found.count, found.label, found.zone, found.source) == (3, "person", "low", "cam1")
    assert found.box == pytest.approx((0.0, 0.7, 0.3, 0.9))
    assert found.since_s == 1000


def test_who_is_hidden_for_less_than_the_grace_still_counts() -> None:
    assert judge(CROWD | {"fewer_than": 2}, crowd(*[2, 1] * 10)) == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, "needs more_than, fewer_than, or both"),
        ({"more_than": 2, "hysteresis": 3}, "it would never be over"),
        ({"more_than": 3, "fewer_than": 3, "hysteresis": 1}, "leave no number that is fine"),
        ({"fewer_than": 0}, "greater than or equal to 1"),
    ],
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Rule).validate_python(CROWD | limits)
