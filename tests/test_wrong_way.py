"""Against the flow, judged by where feet went."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.rules import Rule
from tests.sightings import judge, see, thing

RULE = {
    "kind": "wrong_way",
    "frames": 3,
    "camera": "cam1",
    "zone": "low",
    "flow": [[0.2, 0.8], [0.6, 0.8]],
    "labels": ["car"],
}
FOUND = "car going the wrong way in low"


def drive(*xs: float, y: float = 0.8, climb: float = 0.0, label: str = "car") -> list[tuple[float, str]]:
    path = [thing(x, y - climb * n, label=label) for n, x in enumerate(xs)]
    return judge(RULE, [see(n / 5, one) for n, one in enumerate(path)])


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("with the flow", drive(*[0.1 + 0.02 * n for n in range(40)]), []),
        ("against it", drive(*[0.9 - 0.02 * n for n in range(4)]), [(0.6, FOUND)]),
        ("it stands", drive(*[0.5] * 40), []),
        ("it trembles", drive(*[0.5, 0.48] * 20), []),
        ("it backs up a little", drive(*[0.5 - 0.01 * n for n in range(5)]), []),
        ("it crosses the road", drive(*[0.5 - 0.005 * n for n in range(15)], y=0.95, climb=0.02), []),
        ("it is no car", drive(*[0.9 - 0.02 * n for n in range(40)], label="boat"), []),
        ("it is elsewhere", drive(*[0.9 - 0.02 * n for n in range(40)], y=0.5), []),
        (
            "it turns round and goes the right way",
            drive(*[0.9 - 0.02 * n for n in range(10)], *[0.72 + 0.02 * n for n in range(10)]),
            [(0.6, FOUND), (3.4, "over")],
        ),
        (
            "it went the wrong way and parks: over when that is ten seconds ago",
            drive(*[0.9 - 0.02 * n for n in range(10)], *[0.72] * 60),
            [(0.6, FOUND), (11.4, "over")],
        ),
    ],
)
def test_wrong_way(name: str, said: list[Any], expected: list[Any]) -> None:
    assert said == expected, name


def test_a_new_track_number_is_no_new_way() -> None:
    jump = [see(n / 5, thing(0.5 + 0.3 * (n % 2), 0.8, track=n, label="car")) for n in range(40)]
    assert judge(RULE, jump) == []


@pytest.mark.parametrize("flow", [[[0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]], [[0, 0], [0, 2]], "up"])
def test_what_is_no_arrow_is_refused(flow: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Rule).validate_python(RULE | {"flow": flow})
