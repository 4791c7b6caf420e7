"""Crossings judged by lists of sightings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.config.loader import parse
from agent.config.notes import config_notes
from agent.domain.findings import Finding
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.rules.line_cross import LineCross
from tests.sightings import see, thing

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
LINE = [[0.5, 0.9], [0.5, 0.1]]
"""Upwards: its right side is the right of the picture."""


def judge(xs: list[float | None], y: float = 0.5, label: str = "person", **more: Any) -> list[str]:
    decide = LineCross.model_validate({"camera": "cam1", "line": LINE} | more).start()
    said: list[str] = []
    for step, x in enumerate(xs):
        box = (0.0, 0.0, 0.0, 0.0) if x is None else (x - 0.02, y - 0.2, x + 0.02, y)
        thing = SeenObject(track=1, label=label, score=0.8, box=box)
        value = Tick() if x is None else Sighting(frame=step, objects=(thing,))
        facts = decide(Observation("cam1", START + timedelta(seconds=step), 1000 + step, value))
        said += [fact.text if isinstance(fact, Finding) else f"over {fact.key}" for fact in facts]
    return said


RIGHT, LEFT = "person crossed to the right (left 0, right 1)", "person crossed to the left (left 1, right 0)"


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"xs": [0.3, 0.4, 0.6]}, [RIGHT]),
        ({"xs": [0.6, 0.4]}, [LEFT]),
        ({"xs": [0.4, 0.6] + [None] * 6}, [RIGHT, "over right"]),
        ({"xs": [0.4, 0.6, 0.4]}, [RIGHT, "person crossed to the left (left 1, right 1)"]),
        ({"xs": [0.4, 0.6, 0.4], "to": "left"}, ["person crossed to the left (left 1, right 1)"]),
        ({"xs": [0.495, 0.505, 0.495, 0.505]}, []),
        ({"xs": [0.4, 0.505, 0.495, 0.505, 0.6]}, [RIGHT]),
        ({"xs": [0.4, 0.6], "y": 0.95}, []),
        ({"xs": [0.4, 0.6], "label": "dog"}, []),
        ({"xs": [0.4, 0.6], "min_score": 0.9}, []),
    ],
)
def test_who_crosses_is_counted_on_his_side(case: dict[str, Any], expected: list[str]) -> None:
    assert judge(**case) == expected


@pytest.mark.parametrize("line", [[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5]], [[0, 0], [0, 2]]])
def test_what_is_no_line_is_refused(line: Any) -> None:
    with pytest.raises(ValidationError):
        LineCross.model_validate({"camera": "cam1", "line": line})


def cross(*frames: tuple[Any, ...], **more: Any) -> list[str]:
    decide = LineCross.model_validate({"camera": "cam1", "line": LINE} | more).start()
    said = [fact for n, frame in enumerate(frames) for fact in decide(see(n / 5, *frame))]
    return [fact.text for fact in said if isinstance(fact, Finding)]


def test_a_new_track_number_on_the_line_counts_once() -> None:
    path = [(thing(0.44 + 0.02 * n, 0.5, track=1 if n < 4 else 2),) for n in range(8)]
    assert cross(*path) == [RIGHT]


def test_who_is_certain_only_beyond_the_line_has_crossed_it() -> None:
    assert cross(*[(thing(0.4 + 0.1 * n, 0.5),) for n in range(4)], frames=4) == [RIGHT]


def test_a_detection_that_jumps_over_the_line_once_is_nobody() -> None:
    assert cross((thing(0.4, 0.5),), (), (), (thing(0.6, 0.5),), (), (), frames=3) == []


def test_two_who_cross_at_once_are_two() -> None:
    both = [(thing(0.4 + 0.1 * n, 0.4), thing(0.6 - 0.1 * n, 0.7, track=2)) for n in range(3)]
    assert cross(*both) == [RIGHT, "person crossed to the left (left 1, right 1)"]


def test_a_changed_rule_counts_on_and_nobody_twice() -> None:
    """It hears the crossings before the change again."""
    rule = LineCross.model_validate({"camera": "cam1", "line": LINE})
    frames = [
        see(n / 5, *([thing(0.4 + 0.1 * (n % 10), 0.5, track=1 + n // 10)] if n % 10 < 4 else []))
        for n in range(24)
    ]
    before = rule.start()
    found = [fact for one in frames for fact in before(one) if isinstance(fact, Finding)]
    assert [fact.text[-17:] for fact in found] == [f"(left 0, right {n})" for n in (1, 2, 3)]
    changed = rule.resume({"right": found[-1]})
    again = [fact.text for one in frames for fact in changed(one) if isinstance(fact, Finding)]
    assert again == [found[-1].text] * 3
    later = [see(20 + n / 5, thing(0.4 + 0.1 * n, 0.5, track=9)) for n in range(4)]
    (fourth,) = [fact for one in later for fact in changed(one) if isinstance(fact, Finding)]
    assert "right 4" in fourth.text


def test_a_camera_that_turns_counts_nobody() -> None:
    """Everything in the picture jumps over the line; afterwards people are where they are."""
    decide = LineCross.model_validate({"camera": "cam1", "line": LINE}).start()
    still = [thing(0.3 + 0.02 * n, 0.5, track=n) for n in range(5)]
    turned = [thing(0.7 + 0.02 * n, 0.5, track=n) for n in range(5)]
    sightings = [see(n / 5, *still) for n in range(5)]
    sightings += [see(1 + n / 5, *turned, moves=n < 3) for n in range(10)]
    assert [fact for one in sightings for fact in decide(one)] == []


@pytest.mark.parametrize(
    ("line", "on_edge"),
    [
        ([[1, 0], [1, 1]], True),
        ([[0, 1], [1, 1]], True),
        ([[0.005, 0.9], [0, 0.1]], True),
        ([[0.3, 0], [0.6, 0.005]], True),
        ([[0.98, 0], [0.98, 1]], False),
        ([[0, 0], [1, 1]], False),
        (LINE, False),
    ],
)
def test_check_says_that_nobody_crosses_a_line_on_the_edge(line: Any, on_edge: bool) -> None:
    text = f"""\
schema_version: 1
device: d
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: s, post: p}}
broker: {{url: "mqtts://x"}}
sources:
  cam1: {{kind: camera, url: "http://cam/x", purpose: a test, detector: {{labels: [person]}}}}
rules:
  over: {{kind: line_cross, camera: cam1, line: {line}}}
"""
    notes = list(config_notes(parse(text, name="c.yaml", base=Path())))
    assert notes == on_edge * [
        "over: its line lies on the edge of the picture: no crossing is detected there"
    ]
