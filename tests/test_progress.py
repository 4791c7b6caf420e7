"""Why a rule holds back, as people read it: told from the state of its evaluator, which it does not change."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter

from agent.domain.observations import BlindZone, Observation
from agent.domain.progress import Progress, progress_of
from agent.domain.rule_schedule import closed_text
from agent.domain.schedule import parse_schedule
from agent.local_api.rule_progress import progress_fields
from agent.rules import Rule
from firmware_bridge.readings import Fix, Reading, Switch
from tests.sightings import START, facts, say, see, thing, tick

RULE: TypeAdapter[Any] = TypeAdapter(Rule)
DWELL = {"kind": "zone_dwell", "camera": "cam1", "zone": "left", "dwell": "8s"}


def told(
    config: Mapping[str, Any], observations: Iterable[Observation], later_s: float = 0.0
) -> list[Progress]:
    """The progress after the observations, and so long after the last of them."""
    evaluate, last = RULE.validate_python(config).scheduled_evaluator(), None
    for last in observations:
        list(evaluate(last))
    at, now_s = (START, 1000.0) if last is None else (last.at, last.mono_s)
    return progress_of(evaluate, at, now_s + later_s)


def standing(seconds: float, **how: Any) -> list[Observation]:
    return [see(n / 5, thing(0.2, 0.8, **how)) for n in range(round(seconds * 5) + 1)]


@pytest.mark.parametrize(
    ("changes", "seen", "state", "code", "text"),
    [
        ({}, standing(0.4), "holding", "frames", "seen in 3 of 5 frames"),
        ({"min_score": 0.4}, standing(2, score=0.36), "not_met", "score", "score 0.36 < 0.40"),
        ({"min_size": 0.08}, standing(1, tall=0.04), "not_met", "size", "too small: 0.04 < 0.08"),
        ({"max_size": 0.1}, standing(1, tall=0.2), "not_met", "size", "too large: 0.20 > 0.10"),
        (
            {"zone": "low", "dwell": "1s"},
            [see(0, thing(0.2, 0.3))],
            "not_met",
            "outside",
            "foot point outside low",
        ),
        ({}, standing(3.2), "holding", "dwell", "dwell 3.2 of 8.0 s"),
        ({}, standing(9), "met", "dwell", "dwell 9.0 of 8.0 s"),
        ({}, [see(0, thing(0.2, 0.8), moves=True)], "blind", "moves", "camera moves"),
        ({}, [see(0, thing(0.2, 0.8, label="dog"))], "not_met", "none", "no person in view"),
        ({"kind": "zone_enter", "dwell": None}, standing(3), "met", "met", "met"),
        (
            {},
            [*standing(6), *(see(6 + n / 5, thing(0.7, 0.5)) for n in range(1, 21))],
            "not_met",
            "outside",
            "foot point outside left; dwell 4.0 of 8.0 s",
        ),
        (
            {},
            [*standing(6), *(see(6 + n / 5) for n in range(1, 21))],
            "not_met",
            "dwell",
            "dwell 4.0 of 8.0 s; not detected for 4.0 s",
        ),
    ],
)
def test_each_object_says_what_it_lacks(
    changes: dict[str, Any], seen: list[Observation], state: str, code: str, text: str
) -> None:
    config = {key: value for key, value in (DWELL | changes).items() if value is not None}
    (progress,) = told(config, seen)
    assert (progress.state, progress.code, progress.text) == (state, code, text)
    assert progress.track == (None if code in ("moves", "none") else 1)


def test_an_object_out_of_sight_goes_on_with_its_time() -> None:
    (progress,) = told(DWELL, [*standing(4), see(4.2), see(5)])
    assert progress.text == "dwell 4.0 of 8.0 s; not detected for 1.0 s"


def test_to_ask_changes_nothing() -> None:
    """The findings are those of an evaluator that is never asked."""
    seen = [*standing(6), see(6.2), *[see(n / 5, thing(0.2, 0.8)) for n in range(33, 60)]]
    evaluate, found = RULE.validate_python(DWELL).start(), []
    for one in seen:
        found += [(round(one.mono_s - 1000, 2), fact) for fact in evaluate(one)]
        progress_of(evaluate, one.at, one.mono_s)
    assert found == facts(DWELL, seen)


@pytest.mark.parametrize(
    ("config", "observations", "later_s", "state", "text"),
    [
        (
            {"kind": "switch", "source": "b", "name": "panic_button"},
            [say("b", 0, Switch(name="panic_button", on=False))],
            0,
            "not_met",
            "panic button is off",
        ),
        (
            {"kind": "switch", "source": "b", "name": "door", "hold": "2s"},
            [say("b", 0, Switch(name="door", on=True))],
            0.5,
            "holding",
            "door on for 0.5 of 2.0 s",
        ),
        (
            {"kind": "threshold", "source": "b", "quantity": "depth", "below": 2},
            [say("b", 0, Reading(quantity="depth", value=3.2, unit="m"))],
            0,
            "not_met",
            "3.2 m; below 2",
        ),
        (
            {"kind": "threshold", "source": "b", "quantity": "depth", "below": 2, "hold": "4s"},
            [say("b", 0, Reading(quantity="depth", value=1.5, unit="m"))],
            3,
            "holding",
            "1.5 m, for 3.0 of 4.0 s",
        ),
        (
            {"kind": "silence", "source": "b", "after": "10s"},
            [tick(0)],
            3,
            "holding",
            "silent for 3.0 of 10.0 s",
        ),
        (
            {"kind": "geofence", "source": "g", "circle": {"lat": 32.1, "lon": 118.7, "radius_m": 100}},
            [say("g", 0, Fix(mode="3d", lat=32.1, lon=118.7))],
            0,
            "not_met",
            "100 m inside the limit",
        ),
        (
            {"kind": "geofence", "source": "g", "circle": {"lat": 32.1, "lon": 118.7, "radius_m": 100}},
            [tick(0)],
            0,
            "blind",
            "no position yet",
        ),
    ],
)
def test_rules_on_other_sources(
    config: dict[str, Any], observations: list[Observation], later_s: float, state: str, text: str
) -> None:
    (progress,) = told(config, observations, later_s)
    assert (progress.state, progress.text) == (state, text)


def test_a_count_names_its_limit_and_then_its_time() -> None:
    config = {"kind": "count", "camera": "cam1", "zone": "left", "more_than": 1, "hold": "5s"}
    pairs = [see(n / 5, thing(0.1, 0.8), thing(0.3, 0.8, track=2)) for n in range(20)]
    (one,) = told(config, standing(2))
    (two,) = told(config, pairs)
    assert one.text == "1 in left; more than 1 needed"
    assert (two.state, two.code) == ("holding", "hold")


def test_outside_its_schedule_a_rule_says_until_when() -> None:
    """START is 06:00 UTC, a Saturday."""
    (progress,) = told(DWELL | {"schedule": "Sa 22:00-23:00"}, standing(1))
    assert (progress.state, progress.text) == ("off_schedule", "off schedule until 22:00")
    schedule = parse_schedule("Mo 08:00-09:00")
    assert closed_text(schedule, datetime(2026, 11, 28, 6, 1, tzinfo=UTC)) == "off schedule until Mon 08:00"
    assert closed_text(parse_schedule("PH 08:00-09:00"), START) == "off schedule (PH 08:00-09:00)"


def test_a_blind_zone_is_named_once_instead() -> None:
    rule = RULE.validate_python(DWELL)
    two = [("rail", rule, Progress(state="met", code="met", text="met", track=track)) for track in (1, 2)]
    (fields,) = progress_fields(two, [BlindZone(zone="left", why="too_dark", for_s=3.0)])
    assert (fields["state"], fields["text"], fields["zone"]) == ("blind", "zone blind: too dark", "left")
    assert [one["track"] for one in progress_fields(two)] == [1, 2]
