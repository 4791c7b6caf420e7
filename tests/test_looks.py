"""A camera that is looked at too seldom for its rules is blind, and that is told with its figures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.loader import parse
from agent.config.model import Config
from agent.config.notes import config_notes
from agent.domain.findings import Cleared, Finding
from agent.domain.inference_rate import STALE_AFTER_S, InferenceRate, RequiredRate
from agent.domain.observations import CameraState, Observation
from agent.mqtt.envelope import Envelope
from agent.positioning.device_position import DevicePosition
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.messages import MessageFactory
from agent.reporting.reporter import Reporter
from agent.runtime.health import Health
from tests.sightings import say as say_it
from tests.sightings import see, thing, tick

CONFIG = """\
schema_version: 1
device: d
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: s, post: p, timezone: UTC}}
broker: {{url: "mqtt://127.0.0.1:1"}}
sources:
  cam1: {{kind: camera, url: x.mp4, purpose: a test, fps: {fps}, zones: {{
    left: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], low: [[0, 0.6], [1, 0.6], [1, 1], [0, 1]]}}}}
rules:
  rail: {{kind: zone_dwell, camera: cam1, zone: left, dwell: 5s}}
  gate: {{kind: zone_enter, camera: cam1, zone: low}}
  sight: {{kind: blind, camera: cam1}}
  left-sight: {{kind: blind, camera: cam1, zone: left}}
  quiet: {{kind: silence, source: cam1}}
"""


def config(fps: float = 5) -> Config:
    return parse(CONFIG.format(fps=fps), name="c.yaml", base=Path())


def state(second: float, frames: int, skipped: int = 0) -> Observation:
    return say_it("cam1", second, CameraState(frames=frames, skipped=skipped, width=4, height=3))


def camera(per_s: float, seconds: float, start_s: float = 0.0, taken: int = 0) -> Iterator[Observation]:
    """A camera of 25 frames a second that is looked at ``per_s``: sightings, a state each 5 s, and ticks."""
    looks = 0
    for second in range(int(start_s), int(start_s + seconds)):
        while looks < (second - start_s + 1) * per_s:
            at_s = start_s + looks / per_s
            looks += 1
            yield see(at_s, thing(0.3, 0.8))
        yield tick(second + 0.99)
        if second % 5 == 4:
            came = 25 * (second + 1)
            yield state(second + 1, came, came - taken - looks)


def told(rule: str, observations: Iterator[Observation], fps: float = 5) -> list[tuple[float, str]]:
    """What a rule says, and when it is over, where that changes."""
    decide, said = config(fps).rules[rule].scheduled_evaluator(), []
    for one in observations:
        for fact in decide(one):
            text = fact.text if isinstance(fact, Finding) else "over"
            assert isinstance(fact, Finding | Cleared)
            if (said[-1][1] if said else "over") != text:
                said.append((round(one.mono_s - 1000, 1), text))
    return said


RAIL, GATE = "zone_dwell rail needs 0.5", "zone_enter gate needs 1"


@pytest.mark.parametrize(
    ("rule", "per_s", "text"),
    [
        ("sight", 0.2, f"cam1 is analysed 0.2 times a second; {RAIL}, {GATE}"),
        ("sight", 0.6, f"cam1 is analysed 0.6 times a second; {GATE}"),
        ("sight", 1.0, None),
        ("sight", 5.0, None),
        ("left-sight", 0.2, f"cam1 is analysed 0.2 times a second; {RAIL}"),
        ("left-sight", 0.6, None),
        ("quiet", 0.2, f"cam1 analysed 0.2 times a second; {RAIL}, {GATE}"),
        ("quiet", 0.6, f"cam1 analysed 0.6 times a second; {GATE}"),
        ("quiet", 1.0, None),
    ],
)
def test_looks_too_rare_for_a_rule_are_told(rule: str, per_s: float, text: str | None) -> None:
    sees = (one for one in camera(per_s, 60))
    said = told(rule, (with_view(one) for one in sees) if rule != "quiet" else sees)
    assert [what for _, what in said][:1] == ([text] if text else [])
    if text:
        assert said[0][0] <= 30
        assert all(what.split(";")[1:] == text.split(";")[1:] for _, what in said)


def with_view(one: Observation) -> Observation:
    """A look at the zones for each tick of the clock, so that nothing but the looks can be at fault."""
    from agent.domain.observations import View

    ticks = one.source == "clock"
    return say_it("cam1", one.mono_s - 1000, View(zones=("left", "low"))) if ticks else one


@pytest.mark.parametrize("rule", ["sight", "quiet"])
def test_it_is_over_once_looks_come_often_enough(rule: str) -> None:
    slow = list(camera(0.2, 60))
    fast = list(camera(5.0, 60, start_s=60, taken=12))
    sees = (with_view(one) if rule == "sight" and one.source == "clock" and one.mono_s % 2 < 1 else one for one in slow + fast)  # fmt: skip
    said = told(rule, sees)
    assert said[-1][1] == "over"
    assert 60 < said[-1][0] <= 100
    assert sum(what == "over" for _, what in said) == 1


def test_between_the_limits_it_stays_as_it_was() -> None:
    """0.9 of what is needed: neither begins nor ends it, so that a camera at the edge does not flap."""
    rate = InferenceRate("cam1", [RequiredRate("zone_dwell rail", "left", 0.5)])
    for second, taken in [(0, 0), (20, 9), (40, 18), (60, 22), (80, 31), (100, 42)]:
        rate.on_observation(state(second, taken))
        short = rate.shortfall(1000 + second)
        assert (short is not None) == (second in (60, 80))
    assert rate.shortfall(1100 + STALE_AFTER_S + 1) is None


def test_a_camera_that_was_opened_anew_is_measured_anew() -> None:
    rate = InferenceRate("cam1", [RequiredRate("zone_dwell rail", "left", 0.5)])
    for second, taken in [(0, 500), (5, 525), (10, 3), (15, 28), (20, 53), (25, 78), (30, 103)]:
        rate.on_observation(state(second, taken))
        assert rate.shortfall(1000 + second) is None


def test_status_says_it_whatever_rules_there_are() -> None:
    reporter = Reporter(
        config(),
        MessageFactory(Envelope(device="d"), ClockWatch()),
        Health(),
        DevicePosition(config().locator_settings().position),
        {},
    )
    for one in camera(0.2, 40):
        reporter.on_observation(one)
    assert reporter.reasons(1040) == [f"cam1: blind: analysed 0.2 times a second; {RAIL}, {GATE}"]


RULES = config().rules


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.floats(0.2, 30), st.floats(0, 0.4), st.integers(0, 99))
def test_who_stands_is_told_or_the_rule_is_said_to_be_blind(fps: float, jitter: float, seed: int) -> None:
    """From the detector on: never both silent and not blind."""
    import random

    from agent.vision.tracker import Tracker
    from models.detection import Detection

    chance, tracker = random.Random(seed), Tracker()
    rules = {name: RULES[name].scheduled_evaluator() for name in ("rail", "gate", "sight")}
    told: dict[str, float] = {}
    second, looks, stated, seconds = 0.0, 0, 0, 60
    man = thing(0.3, 0.8)
    while second < seconds:
        observations: list[Observation] = []
        if second >= stated + 5:
            stated = int(second)
            observations.append(state(second, looks))
        seen = [Detection("person", 0.85, man.box)] if chance.random() < 0.95 else []
        things = [thing(0.3, 0.8, track=one.track) for one in tracker.track(seen, second)]
        looks += 1
        observations.append(see(second, *things))
        for name, decide in rules.items():
            for one in observations:
                if any(isinstance(fact, Finding) for fact in decide(one)):
                    told.setdefault(name, second)
        second += (1 + chance.uniform(-jitter, jitter)) / fps
    blind = "sight" in told
    assert ("rail" in told and "gate" in told) or blind
    assert blind or fps < 1.5 or max(told.values()) < 20


@pytest.mark.parametrize(
    ("fps", "said"),
    [
        (0.3, ["sources.cam1.fps: 0.3 inferences per second are too few: zone_enter gate needs 1, and will report blind"]),
        (0.8, ["sources.cam1.fps: 0.8 inferences per second are too few: zone_enter gate needs 1, and will report blind"]),
        (1, []),
        (5, []),
    ],
)  # fmt: skip
def test_check_warns_of_too_few_frames_a_second(fps: float, said: list[str]) -> None:
    assert list(config_notes(config(fps))) == said


def test_check_warns_of_more_cameras_than_a_small_board_bears() -> None:
    cameras: dict[str, Any] = {}
    text = CONFIG.format(fps=5)
    one, rule = (
        text.split("sources:\n")[1].split("rules:\n")[0],
        "  gate{}: {{kind: zone_enter, camera: cam{}, zone: low}}\n",
    )
    for number in range(2, 8):
        cameras[one.replace("cam1", f"cam{number}")] = rule.format(number, number)
    text = text.replace(one, one + "".join(cameras)) + "".join(cameras.values())
    notes = list(config_notes(parse(text, name="c.yaml", base=Path())))
    assert notes == [
        "the rules need 7 inferences per second in all; a Raspberry Pi 4 has about 5: fewer cameras or tiles, or a faster machine"
    ]


def test_a_restart_ends_no_silence_that_goes_on() -> None:
    """A fresh judge that was told what is active says nothing before it was measured how often looks come."""
    rule = config().rules["quiet"]
    first = rule.scheduled_evaluator()
    found = next(fact for one in camera(0.2, 60) for fact in first(one) if isinstance(fact, Finding))
    fresh = rule.scheduled_evaluator({found.key: found})
    said = [fact for one in camera(0.2, 60, start_s=60, taken=12) for fact in fresh(one)]
    assert said
    assert all(isinstance(fact, Finding) for fact in said)
    well = rule.scheduled_evaluator({found.key: found})
    assert any(isinstance(fact, Cleared) for one in camera(5, 60, start_s=60, taken=12) for fact in well(one))
