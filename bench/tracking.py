"""Stability of track numbers: our tracker, and a reference on the same detections if one is given.

    python -m bench.tracking [PYTHON]

PYTHON is an interpreter with the package ``trackers`` (Apache-2.0, 660 MB installed; never a dependency).
Scenes with exact tracks: people who cross, occlude each other and are sometimes not detected, at several
rates; people who are hidden for two seconds; and the boat clips of ../shared with the default detector.
Switches and breaks: as in CLEAR MOT.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from agent.vision.motion_gate import MotionGate, MotionSettings
from agent.vision.tracker import Tracker
from models.boxes import area, intersection, iou
from models.detection import Box, Detection

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "clips"
Truth: TypeAlias = dict[int, Box]


@dataclass
class Scene:
    """Frames in order: monotonic time, true boxes, detections, egomotion of the camera."""

    name: str
    fps: float
    score: float = 0.4
    frames: list[tuple[float, Truth, list[Detection], Any]] = field(default_factory=list)


def people(seed: int, fps: float, count: int = 8, seconds: float = 40.0, pan: float = 0.0) -> Scene:
    """People who cross each other's path in a 16:9 picture; ``pan``: picture widths a second."""
    from agent.vision.egomotion import Egomotion

    chance = random.Random(seed)
    walkers = []
    for _ in range(count):
        y, speed = chance.uniform(0.35, 0.95), chance.choice([-1, 1]) * chance.uniform(0.02, 0.12)
        began, tall = chance.uniform(-20, 25), 0.1 + 0.35 * y
        walkers.append((y, speed, began, tall, chance.uniform(0.28, 0.4), chance.uniform(0.5, 0.8)))
    scene = Scene(f"{count} people, {fps:g} fps" + (", panning" if pan else ""), fps)
    for step in range(int(seconds * fps)):
        at_s = step / fps
        truth: Truth = {}
        seen: list[Detection] = []
        shift = pan * at_s
        for number, (y, speed, began, tall, thick, sure) in enumerate(
            sorted(walkers, reverse=True)
        ):  # nearest first
            x = (0.0 if speed > 0 else 1.0) + speed * (at_s - began) + pan * 20 - shift
            wide = tall * thick * 9 / 16
            box = (x - wide / 2, y - tall, x + wide / 2, y)
            if not 0.02 < x < 0.98 or at_s < began:
                continue
            truth[number] = box
            hidden = max(
                (intersection(box, other) / area(box) for other in truth.values() if other is not box),
                default=0.0,
            )
            score = chance.gauss(sure, 0.12) - 0.6 * hidden
            if hidden > 0.75 or score < 0.1 or chance.random() < 0.03:
                continue
            jitter = [chance.gauss(0, 0.04) for _ in range(4)]
            noisy = (
                box[0] + jitter[0] * wide,
                box[1] + jitter[1] * tall / 2,
                box[2] + jitter[2] * wide,
                box[3] + jitter[3] * tall / 2,
            )
            seen.append(Detection("person", min(score, 0.99), noisy))
        if chance.random() < 0.05:
            x, y = chance.random() * 0.9, chance.random() * 0.7
            seen.append(Detection("person", chance.uniform(0.1, 0.6), (x, y, x + 0.05, y + 0.2)))
        moved = Egomotion((1, 0, -pan / fps), (0, 1, 0)) if pan and step else None
        scene.frames.append((at_s, truth, seen, moved))
    return scene


def hidden(kind: str, seed: int, fps: float) -> Scene:
    """One or two people who are hidden for two seconds: behind a van or a post, or by each other."""
    chance = random.Random(seed)
    tall, foot = chance.uniform(0.15, 0.45), chance.uniform(0.6, 0.95)
    pace, wide = tall * chance.uniform(0.55, 0.9) * 9 / 16, 0.34 * tall * 9 / 16
    scene = Scene(f"hidden for 2 s: {kind}, {fps:g} fps", fps)
    for step in range(int(12 * fps)):
        at_s = step / fps
        stops_s = min(at_s, 5.0) + max(0.0, at_s - 7.0) - 5.0
        unseen = 5 <= at_s < 7
        people = {
            "walks behind a van": [(0.5 + pace * (at_s - 6), unseen)],
            "stands behind a post": [(0.5, unseen)],
            "stops behind a post": [(0.5 + pace * stops_s, unseen)],
            "two cross": [(0.5 + pace * (at_s - 6), False), (0.5 - pace * (at_s - 6), False)],
        }[kind]
        truth: Truth = {}
        seen: list[Detection] = []
        for number, (x, is_hidden) in enumerate(people):
            box = (x - wide / 2, foot - 0.03 * number - tall, x + wide / 2, foot - 0.03 * number)
            if is_hidden or (number and intersection(box, truth[0]) / area(box) > 0.4):
                continue
            truth[number] = box
            off = [chance.gauss(0, 0.04) for _ in range(4)]
            noisy = (
                box[0] + off[0] * wide,
                box[1] + off[1] * tall / 2,
                box[2] + off[2] * wide,
                box[3] + off[3] * tall / 2,
            )
            if chance.random() > 0.05:
                seen.append(Detection("person", min(0.95, max(0.12, chance.gauss(0.65, 0.1))), noisy))
        scene.frames.append((at_s, truth, seen, None))
    return scene


def clip(path: Path, step: int) -> Scene:
    """Boats, each ``step``-th frame of a clip with its exact tracks beside it."""
    import models
    from agent.vision.video_file import frames

    detect = models.find("default").at(0.1).load()
    gate = MotionGate(MotionSettings(camera_moves=True))
    truth: dict[int, Truth] = {}
    sizes: tuple[int, int] = (1280, 720)
    for line in path.with_suffix(".gt.txt").read_text().split():
        number, target, left, top, wide, tall = (float(one) for one in line.split(",")[:6])
        box = (left / sizes[0], top / sizes[1], (left + wide) / sizes[0], (top + tall) / sizes[1])
        truth.setdefault(int(number) - 1, {})[int(target)] = box
    scene = Scene(f"{path.stem}, {25 / step:g} fps", 25 / step)
    for number, at_s, frame in frames(str(path)):
        if number % step == 0:
            boats = [one for one in detect(frame) if one.label == "boat"]
            moved = gate.decide(frame, at_s).egomotion
            scene.frames.append((at_s, truth.get(number, {}), boats, moved))
    return scene


def ours(scene: Scene, egomotion: bool = True) -> list[dict[int, Box]]:
    """Track number and box from our tracker, for each frame."""
    tracker = Tracker(scene.score)
    return [
        {one.track: one.box for one in tracker.track(seen, 1000 + at_s, moved if egomotion else None)}
        for at_s, _, seen, moved in scene.frames
    ]


REFERENCE = """
import json, sys
import numpy as np, supervision as sv, trackers
kind, settings = sys.argv[1], json.loads(sys.argv[2])
for line in sys.stdin:
    scene = json.loads(line)
    tracker = getattr(trackers, kind)(frame_rate=scene["fps"], **settings)
    out = []
    for boxes in scene["frames"]:
        rows = np.array(boxes, np.float32).reshape(-1, 5)
        none = np.zeros(len(rows), int)
        found = tracker.update(sv.Detections(xyxy=rows[:, :4], confidence=rows[:, 4], class_id=none))
        ids = found.tracker_id if found.tracker_id is not None else np.full(len(found), -1)
        out.append([[int(i), *map(float, b)] for i, b in zip(ids, found.xyxy) if i >= 0])
    print(json.dumps(out), flush=True)
"""

KINDS: dict[str, tuple[str, dict[str, float]]] = {
    "ByteTrack": ("ByteTrackTracker", {}),
    "ByteTrack, our score": (
        "ByteTrackTracker",
        {"track_activation_threshold": 0.4, "high_conf_det_threshold": 0.4},
    ),
    "OC-SORT": ("OCSORTTracker", {}),
    "OC-SORT, our score": ("OCSORTTracker", {"high_conf_det_threshold": 0.4}),
    "SORT": ("SORTTracker", {}),
}
"""The package's trackers with defaults, and with the score at which ours starts a track."""


def reference(
    python: str, kind: str, settings: dict[str, float]
) -> Callable[[list[Scene]], list[list[dict[int, Box]]]]:
    """The package's tracker in pixels of 1280 x 720."""

    def run(scenes: list[Scene]) -> list[list[dict[int, Box]]]:
        lines = [
            json.dumps(
                {
                    "fps": scene.fps,
                    "frames": [
                        [
                            [
                                one.box[0] * 1280,
                                one.box[1] * 720,
                                one.box[2] * 1280,
                                one.box[3] * 720,
                                one.score,
                            ]
                            for one in seen
                        ]
                        for _, _, seen, _ in scene.frames
                    ],
                }
            )
            for scene in scenes
        ]
        done = subprocess.run(
            [python, "-c", REFERENCE, kind, json.dumps(settings)],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            check=True,
        )
        return [
            [
                {one[0]: (one[1] / 1280, one[2] / 720, one[3] / 1280, one[4] / 720) for one in frame}
                for frame in json.loads(line)
            ]
            for line in done.stdout.splitlines()
        ]

    return run


def count(scene: Scene, tracks: Iterable[dict[int, Box]]) -> dict[str, float]:
    """Switches, breaks, share of the truth that was tracked (recall), and false boxes."""
    last: dict[int, int] = {}
    tracked: dict[int, bool] = {}
    switches = breaks = hit = false = 0
    for (_, truth, _, _), boxes in zip(scene.frames, tracks, strict=True):
        pairs = sorted(
            (
                (-(1.0 if last.get(target) == number else 0.0) - overlap, target, number)
                for target, box in truth.items()
                for number, other in boxes.items()
                if (overlap := iou(box, other)) >= 0.5
            ),
        )
        matched: dict[int, int] = {}
        for _, target, number in pairs:
            if target not in matched and number not in matched.values():
                matched[target] = number
        for target in truth:
            if target in matched:
                switches += target in last and last[target] != matched[target]
                breaks += target in tracked and not tracked[target]
                last[target] = matched[target]
                tracked[target] = True
            elif target in tracked:
                tracked[target] = False
        hit += len(matched)
        false += len(boxes) - len(matched)
    whole = sum(len(truth) for _, truth, _, _ in scene.frames)
    return {"switches": switches, "breaks": breaks, "recall": round(hit / whole, 3), "false": false}


HIDDEN = ("walks behind a van", "stands behind a post", "stops behind a post", "two cross")


def scenes() -> list[Scene]:
    """All scenes that are available."""
    made = [people(seed, fps) for fps in (2.0, 5.0, 10.0, 25.0) for seed in range(4)]
    made += [people(seed, 5.0, pan=0.08) for seed in range(4)]
    made += [people(seed, 10.0, count=30) for seed in range(2)]
    made += [hidden(kind, seed, fps) for kind in HIDDEN for fps in (2.0, 5.0) for seed in range(12)]
    return made + [clip(path, step) for path in sorted(CLIPS.glob("*_synthetic.mp4")) for step in (1, 5)]


def main(python: str | None) -> dict[str, Any]:
    """Sums by scene name and tracker."""
    todo = scenes()
    tracks = {"ours": [ours(scene) for scene in todo]}
    tracks["ours, camera not followed"] = [ours(scene, egomotion=False) for scene in todo]
    for name, (kind, settings) in KINDS.items() if python else ():
        tracks[name] = reference(str(python), kind, settings)(todo)
    table: dict[str, Any] = {}
    for kind, runs in tracks.items():
        for scene, run in zip(todo, runs, strict=True):
            row = table.setdefault(scene.name, {}).setdefault(kind, {})
            for key, value in count(scene, run).items():
                row[key] = round(row.get(key, 0) + value, 3)
    for name, rows in table.items():
        runs = sum(scene.name == name for scene in todo)
        for row in rows.values():
            row["recall"] = round(row["recall"] / runs, 3)
    return table


def figures(table: dict[str, Any]) -> dict[str, float]:
    """Ours in short: the scenes of people by numbers, and of boats."""
    short: dict[str, float] = {}
    for what, names in (
        ("people", [one for one in table if "people" in one]),
        ("boats", [one for one in table if "boat" in one]),
    ):
        for key in ("switches", "breaks"):
            short[f"{what}_{key}"] = sum(table[name]["ours"][key] for name in names)
    return short


if __name__ == "__main__":
    found = main(sys.argv[1] if sys.argv[1:] else None)
    for name, rows in found.items():
        print(name)
        for kind, row in rows.items():
            print(f"  {kind:28}", "  ".join(f"{key} {value:g}" for key, value in row.items()))
    print(json.dumps(figures(found)))
