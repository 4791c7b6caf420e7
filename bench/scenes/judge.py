"""Tracker, rules and alert book of any checkout over cached detections: JSON lines in, JSON lines out.

Run with that checkout first on the path: ``PYTHONPATH=CHECKOUT python -P judge.py``. Imports nothing of the
benches, so that it runs with older checkouts. A line in: configuration, score that starts a track, rate, and
the detections of each frame. A line out: each alert, as seconds, rule, phase, id and count.
"""

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from agent.alerts.rule_engine import RuleEngine
from agent.config.loader import parse
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.domain.zones import zones_of
from agent.vision.tracker import Tracker
from models.detection import Detection

BEGAN = datetime(2026, 11, 28, tzinfo=UTC)
AFTER_S = 30.0
"""The clock goes on for so long after the last frame."""
FIELD = frozenset({"person", "bicycle", "car", "motorcycle", "bus", "truck", "boat"})


def run(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The alerts of one scene."""
    config = parse(job["configuration"], name="bench", base=Path("/"))
    camera: Any = config.sources["cam"]
    numbers = count()
    engine = RuleEngine(lambda: str(next(numbers)))
    engine.apply(config.rules, BEGAN, 0.0)
    tracker, told = Tracker(job["score"]), []
    for number, rows in enumerate(job["frames"]):
        at_s = number / job["fps"]
        seen = [Detection(label, score, tuple(box)) for label, score, box in rows if label in FIELD]
        objects = tuple(
            SeenObject(
                track=one.track,
                label=one.label,
                score=one.score,
                box=one.box,
                zones=zones_of(one.box, camera.zones),
                sure=one.sure,
            )
            for one in tracker.track(seen, at_s)
        )
        for source, value in (("cam", Sighting(frame=number, objects=objects)), ("clock", Tick())):
            told += _observe(engine, source, value, at_s)
    for second in range(int(AFTER_S)):
        told += _observe(engine, "clock", Tick(), len(job["frames"]) / job["fps"] + second)
    return told


def _observe(engine: RuleEngine, source: str, value: Any, at_s: float) -> list[dict[str, Any]]:
    at = BEGAN + timedelta(seconds=at_s)
    return [
        {
            "at_s": round(at_s, 2),
            "rule": alert.policy.rule,
            "phase": alert.phase,
            "id": alert.alert_id,
            "count": alert.finding.count,
        }
        for alert in engine.on_observation(Observation(source, at, at_s, value), at, at_s)
    ]


def main() -> None:
    """Until the input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
