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
from agent.vision.tracker import TrackedObject, Tracker
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

    def settling_s(self) -> float:
        """How long the rule may take to be certain of what it sees, beside its own waits."""
        rule = self.rule
        if not isinstance(rule, CameraRule):
            return SETTLE_S
        return SETTLE_S + 2 * rule.frames * FRAME_S + rule.grace.total_seconds()

    def instants(self) -> list[float]:
        """The simulated seconds of the observations: frame by frame at first, then one each second."""
        fine_s, wait_s = self.settling_s(), self.rule.rediscovery_time.total_seconds()
        fine = [number * FRAME_S for number in range(math.ceil(fine_s / FRAME_S))]
        return fine + [fine_s + number for number in range(math.ceil(wait_s) + 1)]


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
    instants = plan.instants()
    sights = _tracked(seen) if seen else []
    zone = (plan.rule.zone_name if isinstance(plan.rule, CameraRule) else None) or OWN
    for number, after_s in enumerate(instants):
        ago_s = instants[-1] - after_s
        instant, instant_s = at - timedelta(seconds=ago_s), now_s - ago_s
        whole = after_s % 1 < FRAME_S / 2 or after_s % 1 > 1 - FRAME_S / 2 or after_s > plan.settling_s()
        if plan.camera_name is not None:
            objects = tuple(
                SeenObject(track=one.track, label=one.label, score=one.score, box=one.box, zones=(zone,))
                for one in sights[number % len(sights)]
            )
            sighting = Sighting(frame=number + 1, objects=objects)
            yield Observation(plan.camera_name, instant, instant_s, sighting)
        elif whole or not number:
            for source, value in _values(plan.rule, first=not number):
                yield Observation(source, instant, instant_s, value)
        if whole:
            yield Observation("clock", instant, instant_s, Tick())


def _tracked(seen: Sequence[Sequence[Detection]]) -> list[list[TrackedObject]]:
    """The tracked objects of the clip, there and back, once its tracks are confirmed."""
    there_and_back = [*seen, *seen[-2:0:-1]]
    tracker = Tracker(min(one.score for frame in seen for one in frame) * 0.9)
    tracked = [
        tracker.track(there_and_back[number % len(there_and_back)], number * FRAME_S)
        for number in range(2 * len(there_and_back))
    ]
    return tracked[len(there_and_back) :]


def _values(rule: RulePart, *, first: bool) -> Iterator[tuple[str, Any]]:
    """The made-up values of a rule on a source at one instant."""
    if isinstance(rule, SwitchRule):
        if first:
            yield rule.source, Switch(name=rule.name, on=rule.on)
    elif isinstance(rule, Threshold):
        beyond = 1.0 + rule.hysteresis
        value = rule.above + beyond if rule.above is not None else (rule.below or 0.0) - beyond
        yield rule.source, Reading(quantity=rule.quantity, value=value, unit="(made up)")
