"""Somebody on the wrong side of a railing, by a zone or by the railing's line."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.domain.findings import Finding
from agent.rules import Rule
from tests.sightings import facts, judge, see, thing

ZONE = {"kind": "beyond_railing", "camera": "cam1", "zone": "left", "where": "the east railing"}
LINE = {"kind": "beyond_railing", "camera": "cam1", "line": [[0.5, 0.9], [0.5, 0.3]], "beyond": "left"}


def walk(rule: dict[str, Any], *xs: float, y: float = 0.8) -> list[tuple[float, str]]:
    return judge(rule, [see(n / 5, thing(x, y)) for n, x in enumerate(xs)])


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("he climbs over", walk(ZONE, 0.7, 0.6, 0.45, 0.4), [(0.6, "person beyond the east railing")]),
        ("he stands at it", walk(ZONE, *[0.52] * 50), []),
        ("he leans over it for one frame", walk(ZONE, *[0.52] * 9, 0.49, *[0.52] * 9), []),
        ("by the line", walk(LINE, 0.7, 0.6, 0.45, 0.4), [(0.6, "person beyond the railing")]),
        ("nearer to the line than a box trembles", walk(LINE, *[0.495] * 9), []),
        ("past the end of the line is another place", walk(LINE, *[0.4] * 9, y=0.95), []),
        ("the other side", walk(LINE | {"beyond": "right"}, *[0.4] * 9), []),
        ("he comes back", walk(LINE, *[0.4] * 5, *[0.6] * 20), [(0.2, "person beyond the railing"), (4.0, "over")]),
    ],
)  # fmt: skip
def test_beyond_railing(name: str, said: list[Any], expected: list[Any]) -> None:
    assert said == expected, name


def test_it_is_critical_and_wants_an_answer() -> None:
    rule = TypeAdapter(Rule).validate_python(ZONE)
    assert (rule.severity, rule.need_ack) == ("critical", True)


def test_a_line_has_no_zone_but_a_camera_and_a_box() -> None:
    (_, found), *_ = facts(LINE, [see(n / 5, thing(0.4, 0.8)) for n in range(3)])
    assert isinstance(found, Finding)
    assert (found.key, found.source, found.zone, found.label) == ("cam1", "cam1", None, "person")
    assert found.box is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"zone": None}, "give the zone beyond the railing, or the railing's line"),
        ({"line": [[0.5, 0.9], [0.5, 0.3]]}, "line and beyond"),
        ({"beyond": "left"}, "line and beyond"),
        ({"line": [[0.5, 0.9]], "beyond": "left"}, "a line has two ends"),
    ],
)
def test_what_has_no_far_side_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Rule).validate_python(ZONE | change)
