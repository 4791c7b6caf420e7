"""Which rule a drill proves, and the observations that make it fire. Pure.

A drill proves the chain from the detector to the centre, and not the thresholds: the rule is a copy without
schedule and escalation, the whole picture is its zone, and time is simulated, so that no dwell is waited for.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agent.config.model import Config
from agent.domain.contracts import RulePart
from agent.domain.escalation import SEVERITIES
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.domain.yaml_loader import alternatives
from agent.rules.camera_rule import CameraRule
from agent.rules.count import Count
from agent.rules.switch import SwitchRule
from agent.rules.threshold import Threshold
from agent.rules.zone_dwell import ZoneDwell
from agent.rules.zone_enter import ZoneEnter
from agent.vision.camera import Camera
from agent.vision.tracker import Tracker
from firmware_bridge.readings import Reading, Switch
from models.detection import Detection

OWN = "drill"
"""The name of the rule, the source and the zone that a drill makes up where the configuration has none."""
FRAME_S = 0.2
SETTLE_S = 15.0
"""Simulated time that a rule gets beyond its own waits."""
MAX_SIMULATED_S = 3600.0


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """A rule to prove, under its name; with a camera where the clip goes through its detector."""

    name: str
    rule: RulePart
    camera_name: str | None = None
    camera: Camera | None = None

    def simulated_s(self) -> float:
        """How much time the observations of the drill span."""
        rule = self.rule
        certain_s = (
            2 * rule.frames * FRAME_S + rule.grace.total_seconds() if isinstance(rule, CameraRule) else 0
        )
        return rule.rediscovery_time.total_seconds() + certain_s + SETTLE_S


def plan_drill(config: Config, rule: str | None, camera: str | None, *, vision: bool) -> DrillPlan:
    """The rule named, or else the most severe one that can be drilled. ValueError with the alternatives.

    ``vision``: whether detectors can run here. Rules on cameras go first, then rules on a source.
    """
    cameras = config.cameras() if vision else {}
    if camera is not None and camera not in cameras:
        missing = "" if vision else "; the extra ringpost[vision] is not installed"
        raise ValueError(f"no camera {camera!r}; {alternatives(camera, cameras)}{missing}")
    plans = {name: plan for name, plan in _plans(config, cameras) if camera in (None, plan.camera_name)}
    if rule is not None:
        if rule not in plans:
            kind = f" of kind {config.rules[rule].kind}" if rule in config.rules else ""
            raise ValueError(f"no rule {rule!r}{kind} that a drill can prove; {alternatives(rule, plans)}")
        return plans[rule]
    if plans and (any(plan.camera for plan in plans.values()) or not cameras):
        return min(plans.values(), key=_rank)
    if cameras:
        name = camera or next(iter(cameras))
        return DrillPlan(OWN, ZoneEnter(camera=name, zone=OWN), name, cameras[name])
    return DrillPlan(OWN, SwitchRule(source=OWN, name=OWN))


def _rank(plan: DrillPlan) -> tuple[bool, int]:
    return plan.camera is None, -SEVERITIES.index(plan.rule.severity)


def _plans(config: Config, cameras: dict[str, Camera]) -> Iterator[tuple[str, DrillPlan]]:
    for name, rule in config.rules.items():
        if rule.rediscovery_time.total_seconds() > MAX_SIMULATED_S:
            continue
        bare: dict[str, Any] = {
            "schedule": None, "need_ack": False, "ack_within": None, "escalate": None,
        }  # fmt: skip
        match rule:
            case ZoneEnter() | ZoneDwell() if rule.camera in cameras:
                bare |= {"min_size": 0.0, "max_size": 1.0}
            case Count() if rule.camera in cameras:
                bare |= {"min_size": 0.0, "max_size": 1.0, "hysteresis": 0}
                bare |= {"more_than": 0, "fewer_than": None}
            case SwitchRule():
                yield name, DrillPlan(name, rule.model_copy(update=bare))
                continue
            case Threshold() if rule.above is not None or rule.below is not None:
                yield name, DrillPlan(name, rule.model_copy(update=bare))
                continue
            case _:
                continue
        yield name, DrillPlan(name, rule.model_copy(update=bare), rule.camera, cameras[rule.camera])


def seen_plan(plan: DrillPlan, seen: Sequence[Sequence[Detection]]) -> DrillPlan:
    """The plan for what the detector found in the frames of the clip. ValueError where it found nothing."""
    found = [one for frame in seen for one in frame]
    if not found or not all(seen):
        raise ValueError(f"the detector of {plan.camera_name} found nothing in the clip")
    best = max(found, key=lambda one: one.score)
    wanted = {"labels": (best.label,), "min_score": min(0.4, 0.7 * best.score)}
    return replace(plan, rule=plan.rule.model_copy(update=wanted))


def drill_observations(
    plan: DrillPlan, seen: Sequence[Sequence[Detection]], at: datetime, now_s: float
) -> Iterator[Observation]:
    """Observations up to ``now_s`` that make the rule fire, with a tick each simulated second."""
    span_s = plan.simulated_s()
    start, start_s = at - timedelta(seconds=span_s), now_s - span_s
    frames = math.ceil(span_s / FRAME_S)
    tracker = Tracker(min((one.score for frame in seen for one in frame), default=0.4) * 0.9)
    for number in range(frames):
        after_s = number * FRAME_S
        instant, instant_s = start + timedelta(seconds=after_s), start_s + after_s
        for source, value in _values(plan, seen, tracker, number, instant_s):
            yield Observation(source, instant, instant_s, value)
        if number % round(1 / FRAME_S) == 0:
            yield Observation("clock", instant, instant_s, Tick())


def _values(
    plan: DrillPlan, seen: Sequence[Sequence[Detection]], tracker: Tracker, number: int, now_s: float
) -> Iterator[tuple[str, Any]]:
    rule = plan.rule
    if plan.camera_name is not None:
        there_and_back = [*seen, *seen[-2:0:-1]]
        tracked = tracker.track(there_and_back[number % len(there_and_back)], now_s)
        zone = (rule.zone_name if isinstance(rule, CameraRule) else None) or OWN
        yield (
            plan.camera_name,
            Sighting(
                frame=number + 1,
                objects=tuple(
                    SeenObject(track=one.track, label=one.label, score=one.score, box=one.box, zones=(zone,))
                    for one in tracked
                ),
            ),
        )
    elif isinstance(rule, SwitchRule):
        if number == 0:
            yield rule.source, Switch(name=rule.name, on=rule.on)
    elif isinstance(rule, Threshold) and number % round(1 / FRAME_S) == 0:
        beyond = 1.0 + rule.hysteresis
        value = rule.above + beyond if rule.above is not None else (rule.below or 0.0) - beyond
        yield rule.source, Reading(quantity=rule.quantity, value=value, unit="(made up)")
