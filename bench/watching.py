"""Savings and misses of the motion gate; cost of tracker and rules with 50 objects in the picture.

Saved: CPU of the whole agent on an empty scene, gate on against gate off. Missed: each track of a second or
more that is found in the clips of ../shared with inference on every frame, and not with the gate.
"""

import asyncio
import json
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.alerts.rule_engine import RuleEngine
from agent.config.loader import parse
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.domain.zones import zones_of
from agent.vision.motion_gate import MotionGate, MotionSettings
from agent.vision.tracker import Tracker
from bench.pipeline import run_agent
from models.boxes import iou
from models.detection import Box, Detection

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "clips"
WIDTH, HEIGHT, FPS, IDLE_S, RUN_S = 1280, 720, 10, 10, 12.0
FIELD = frozenset({"person", "bicycle", "car", "motorcycle", "bus", "truck", "boat"})
EVENT_S = 1.0
LOOKS = 300

FIFTY = """\
schema_version: 1
device: bench
kind: checkpoint_camera
place: {ring: perimeter, domain: ground, site: bench, post: p, timezone: UTC}
broker: {url: "mqtt://127.0.0.1:9"}
sources:
  cam: {kind: camera, url: x.mp4, purpose: a measurement, zones: {
    floor: [[0, 0.3], [1, 0.3], [1, 1], [0, 1]], left: [[0, 0], [0.4, 0], [0.4, 1], [0, 1]],
    steps: [[0.6, 0.2], [0.8, 0.2], [0.8, 0.9], [0.6, 0.9]]}}
rules:
  dwell: {kind: zone_dwell, camera: cam, zone: left, dwell: 20s}
  enter: {kind: zone_enter, camera: cam, zone: steps}
  line: {kind: line_cross, camera: cam, line: [[0.5, 0], [0.5, 1]]}
  crowd: {kind: count, camera: cam, zone: floor, more_than: 40}
  wrong: {kind: wrong_way, camera: cam, zone: steps, flow: [[0.5, 0.9], [0.5, 0.3]]}
  still: {kind: stationary, camera: cam, zone: floor, labels: [person], after: 1m}
"""


@dataclass(frozen=True)
class Track:
    """One object's boxes by time."""

    label: str
    boxes: dict[float, Box]


def figures() -> dict[str, Any]:
    """All figures of this part."""
    return {**_idle(), **_missed(), **_fifty()}


def _idle() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "idle.mp4"
        _write_idle(clip)
        cpu = {}
        for gate in ("false", "true"):
            options = f"fps: {FPS}, motion: {{gate: {gate}}}"
            run = asyncio.run(run_agent(Path(name) / gate, options, RUN_S, clip=clip))
            cpu[gate] = run.cpu_share
    return {
        "idle_cpu_of_one_core_without_gate": round(cpu["false"], 3),
        "idle_cpu_of_one_core_with_gate": round(cpu["true"], 3),
        "idle_cpu_spared_factor": round(cpu["false"] / cpu["true"], 1),
    }


def _write_idle(path: Path) -> None:
    """The scene without the man, with the noise of a sensor; MPEG-4, which OpenCV's wheel can write."""
    import cv2

    from simulators.scene import Scene

    scene = Scene(comes_s=1e6, leaves_s=2e6)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for number in range(IDLE_S * FPS):
        writer.write(cv2.resize(scene.picture(number / FPS), (WIDTH, HEIGHT)))
    writer.release()


def _missed() -> dict[str, Any]:
    looked = spared = 0
    events: list[str] = []
    missed: list[str] = []
    for path in sorted(CLIPS.glob("*.mp4")):
        frames = _seen(path)
        whole, _ = _tracks(frames, MotionSettings())
        gated, looks = _tracks(frames, MotionSettings(gate=True))
        looked += looks
        spared += len(frames) - looks
        for track in whole:
            if max(track.boxes) - min(track.boxes) >= EVENT_S:
                events.append(f"{path.stem}: {track.label} at {min(track.boxes):.1f} s")
                if not any(_same(track, other) for other in gated):
                    missed.append(events[-1])
    for line in missed:
        print(f"missed: {line}")
    return {
        "clip_frames_looked_at_with_gate": round(looked / max(1, looked + spared), 3),
        "clip_events": len(events),
        "clip_events_missed_with_gate": len(missed),
    }


def _seen(path: Path, fps: float = 5.0) -> list[tuple[float, Any, tuple[Detection, ...]]]:
    """Frames at about ``fps``: time, small picture for the gate, detections."""
    import cv2

    import models
    from agent.vision.video_file import frames

    detect = models.find("default").at(0.1).load()
    found: list[tuple[float, Any, tuple[Detection, ...]]] = []
    for _, at_s, frame in frames(str(path)):
        if not found or at_s - found[-1][0] >= 0.95 / fps:
            small = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA)
            found.append((at_s, small, tuple(one for one in detect(frame) if one.label in FIELD)))
    return found


def _tracks(
    frames: list[tuple[float, Any, tuple[Detection, ...]]], motion: MotionSettings
) -> tuple[list[Track], int]:
    """The tracks, and the number of frames with an inference."""
    gate, tracker = MotionGate(motion), Tracker()
    tracks: dict[int, Track] = {}
    looks = 0
    for at_s, small, seen in frames:
        glance = gate.decide(small, at_s)
        if glance.reason is None:
            continue
        looks += 1
        told = tracker.track(seen, at_s, glance.egomotion)
        if told:
            gate.detected(at_s)
        for one in told:
            tracks.setdefault(one.track, Track(one.label, {})).boxes[at_s] = one.box
    return list(tracks.values()), looks


def _same(track: Track, other: Track) -> bool:
    """Whether both are the same object: close in time, with a similar box then."""
    return any(
        abs(at_s - other_s) <= EVENT_S and iou(box, other_box) >= 0.3
        for at_s, box in track.boxes.items()
        for other_s, other_box in other.boxes.items()
    )


def _fifty() -> dict[str, Any]:
    config = parse(FIFTY, name="bench", base=Path("/"))
    camera = config.sources["cam"]
    began = datetime(2026, 11, 28, tzinfo=UTC)
    judges = RuleEngine(lambda: "an id")
    judges.apply(config.rules, began, 0.0)
    tracker = Tracker()
    track_ms, rules_ms, there = [], [], []
    for number in range(LOOKS):
        at_s, seen = number / 5, _crowd(number / 5)
        began_s = time.perf_counter()
        told = tracker.track(seen, at_s)
        objects = tuple(
            SeenObject(
                track=one.track,
                label=one.label,
                score=one.score,
                box=one.box,
                zones=zones_of(one.box, camera.zones),
                sure=one.sure,
            )
            for one in told
        )
        tracked_s = time.perf_counter()
        at = began + timedelta(seconds=at_s)
        for source, value in (("cam", Sighting(frame=number, objects=objects)), ("clock", Tick())):
            judges.on_observation(Observation(source, at, at_s, value), at, at_s)
        rules_ms.append((time.perf_counter() - tracked_s) * 1000)
        track_ms.append((tracked_s - began_s) * 1000)
        there.append(len(objects))
    return {
        "objects_a_frame": round(statistics.mean(there), 1),
        "tracker_and_zones_ms_a_frame": round(statistics.median(track_ms), 2),
        "six_rules_ms_a_frame": round(statistics.median(rules_ms), 2),
    }


def _crowd(at_s: float) -> list[Detection]:
    """Fifty people who walk to and fro, with the jitter of a detector."""
    chance = random.Random(int(at_s * 1000))
    found = []
    for number in range(50):
        way = (0.037 * number + at_s * (0.01 + 0.001 * number)) % 2
        x, y = min(way, 2 - way) * 0.95, 0.1 + 0.8 * (number % 10) / 10 + 0.01 * (number // 10)
        jitter = [chance.gauss(0, 0.001) for _ in range(4)]
        box = (x + jitter[0], y + jitter[1], x + 0.03 + jitter[2], y + 0.09 + jitter[3])
        found.append(Detection("person", chance.uniform(0.42, 0.9), box))
    return found


if __name__ == "__main__":
    from agent.runtime.logging_setup import set_up_log

    set_up_log("error")
    print(json.dumps(figures()))
