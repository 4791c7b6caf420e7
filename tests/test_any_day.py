"""Any observations in any order through every kind of rule: nothing fails, and what is told makes sense."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agent.alerts.rule_engine import RuleEngine
from agent.domain.findings import Finding
from agent.domain.observations import CameraState, Observation, SeenObject, Sighting, Tick
from agent.domain.schedule import parse_schedule
from agent.domain.site import Site
from agent.rules import Rule
from firmware_bridge.readings import Fix, LineState, Reading, Switch, Vessel
from tests.thorough import all_or

START = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
AROUND = Site(timezone="Asia/Shanghai", lat=32.0, lon=118.0, duty=parse_schedule("Mo-Fr 08:00-18:00"))
CAMERA = {"camera": "cam1", "frames": 1, "grace": "2s"}
CONFIGS: dict[str, dict[str, Any]] = {
    "zone_dwell": CAMERA | {"zone": "a", "dwell": "3s"},
    "zone_enter": CAMERA | {"zone": "a", "schedule": "night", "camera_may_move": True},
    "line_cross": CAMERA | {"line": [[0.5, 1], [0.5, 0]]},
    "count": CAMERA | {"zone": "a", "more_than": 1, "fewer_than": 1, "hold": "1s"},
    "wrong_way": CAMERA | {"zone": "a", "flow": [[0.1, 0.5], [0.9, 0.5]], "labels": ["person", "boat"]},
    "stationary": CAMERA | {"zone": "a", "labels": ["person", "boat"], "after": "2s", "ignore_initial": True},
    "person_in_water": CAMERA | {"zone": "a"},
    "beyond_railing": CAMERA | {"line": [[0.5, 1], [0.5, 0]], "beyond": "left"},
    "geofence": {"source": "gnss", "circle": {"radius_m": 50}, "hold": "2s", "lost_after": "5s"},
    "on_post": {"source": "gnss", "unexpected": True, "hold": "2s"},
    "threshold": {"source": "board", "quantity": "depth", "above": 9, "falls_by": 3, "within": "5s"},
    "switch": {"source": "board", "name": "gate", "schedule": "Mo-Fr 22:00-06:00"},
    "silence": {"source": "gnss", "after": "3s"},
    "vessel_close": {"source": "ais", "own": "gnss", "distance_m": 500, "fresh": "20s"},
    "vessel_adrift": {"source": "ais", "hold": "2s", "forget": "20s"},
    "distress_beacon": {"source": "ais", "texts": True, "tests": True, "over_after": "9s"},
}  # fmt: skip

share = st.floats(0, 1)
things = st.builds(
    lambda track, label, score, left, top, wide, tall, zone: SeenObject(
        track=track,
        label=label,
        score=score,
        box=(left, top, min(1, left + wide), min(1, top + tall)),
        zones=("a",) if zone else (),
    ),
    st.integers(1, 4), st.sampled_from(["person", "boat"]), share, share, share, share, share, st.booleans(),
)  # fmt: skip
vessels = st.builds(
    Vessel,
    mmsi=st.integers(1, 3), message=st.sampled_from([1, 14]), station=st.just("class_a"),
    lat=st.floats(31.999, 32.001), lon=st.floats(117.999, 118.001), speed_mps=st.none() | st.floats(0, 3),
    course_deg=st.none() | st.floats(0, 359), heading_deg=st.floats(0, 359), text=st.sampled_from([None, "X"]),
    status=st.sampled_from(["moored", None]), distress=st.sampled_from(["mob", None]), test=st.sampled_from([True, None]),
)  # fmt: skip
values = st.one_of(
    st.tuples(
        st.just("cam1"),
        st.builds(Sighting, frame=st.integers(0, 99), objects=st.lists(things, max_size=4).map(tuple), camera_moves=st.booleans()),
    ),
    st.tuples(st.just("clock"), st.just(Tick())),
    st.tuples(st.just("gnss"), st.builds(Fix, mode=st.just("3d"), lat=st.floats(31.99, 32.01), lon=st.floats(117.99, 118.01), error_m=st.none() | st.floats(0, 500))),
    st.tuples(st.sampled_from(["gnss", "cam1"]), st.sampled_from([Fix(mode="none"), LineState(), CameraState(frames=1, skipped=0, width=1, height=1)])),
    st.tuples(st.just("board"), st.builds(Reading, quantity=st.just("depth"), value=st.floats(-20, 20), unit=st.just("m"))),
    st.tuples(st.just("ais"), vessels),
    st.tuples(st.just("board"), st.builds(Switch, name=st.just("gate"), on=st.booleans())),
)  # fmt: skip
steps = st.tuples(st.floats(-0.5, 4), st.integers(-1, 7200), values)
"""Seconds since the one before (a frame may come late), how far the wall clock went, and what was said."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
@given(days=st.lists(steps, max_size=40))
@settings(deadline=None, max_examples=all_or(30, 60))
def test_any_day(kind: str, days: list[Any]) -> None:
    rule = TypeAdapter(Rule).validate_python({"kind": kind} | CONFIGS[kind]).resolve(AROUND)
    judge, again = rule.scheduled_evaluator(), rule.scheduled_evaluator()
    numbers = count()
    judges = RuleEngine(lambda: str(next(numbers)))
    ids: set[str] = set()
    judges.apply({"it": rule}, START, 1000)
    at, now_s = START, 1000.0
    for passed_s, wall_s, (source, value) in days:
        at, now_s = at + timedelta(seconds=wall_s), now_s + passed_s
        observation = Observation(source, at, now_s, value)
        facts = list(judge(observation))
        assert facts == list(again(observation))
        for fact in facts:
            if isinstance(fact, Finding):
                assert fact.text
                assert fact.since_s is not None
                assert fact.count is None or fact.count >= 0
                assert fact.box is None or all(0 <= edge <= 1 for edge in fact.box)
        for alert in judges.on_observation(observation, at, now_s):
            assert (alert.alert_id in ids) is (alert.phase != "new")
            ids.add(alert.alert_id)
