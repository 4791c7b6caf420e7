"""Regions: recall of small people and boats with and without them, and what they cost.

    python -m bench.regions [pictures|clips|pipeline …]

``pictures``: the labelled pictures of ../shared, at the default confidence threshold. A single picture has no
motion and no track: each gets k regions, of doubtful detections and of the scan. ``clips``: the boat clips of
../shared with exact tracks, at 5 frames a second, with all that is planned. ``pipeline``: the cameras of a
device on a clip, with and without regions: whole frames a second, delay of their results, CPU.
"""

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import models
from agent.domain.observations import CameraState, Sighting
from agent.vision.camera import Camera
from agent.vision.closer_look import LIMIT, CloserLook
from agent.vision.inference_result import CapturedFrame, ExaminedRegion
from agent.vision.motion_gate import MotionGate, MotionSettings
from agent.vision.tracker import Tracker
from models.boxes import area, intersection, iou
from models.detection import Box, Detection
from models.session import Loaded
from models.tiles import detect_part

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision"
CLIP = Path(__file__).parent / "clip_1080p.mp4"
SCORE = 0.4
LABELS = ("person", "boat")
HEIGHTS_PX, HEIGHTS_SHARE = (32, 64), (0.05, 0.1)
"""Upper bounds of the sizes that are counted apart: pixels of the picture, shares of its height."""
BUDGETS, MOST = (0, 1, 2, 4, 8), 8
"""Numbers of regions of a picture."""
RUN_S, WARM_S = 20.0, 5.0


class Tally:
    """Hits and truths by label and size, and false positives; the detections are those from `SCORE` on."""

    def __init__(self) -> None:
        self.hits, self.truths = Counter[str](), Counter[str]()
        self.false, self.frames, self.inferences, self.cpu_s = Counter[str](), 0, 0, 0.0

    def count(
        self, found: Iterable[Detection], truth: Sequence[tuple[str, Box]], ignored: Sequence[Box], rows: int
    ) -> None:
        """Counts one frame. A detection is a hit at an overlap of a half; ``ignored`` are crowds."""
        free = list(truth)
        self.frames += 1
        for label, box in truth:
            self.truths.update(_names(label, box, rows))
        for one in sorted(found, key=lambda one: -one.score):
            if one.score < SCORE or one.label not in LABELS:
                continue
            best = max(
                ((iou(one.box, box), (label, box)) for label, box in free if label == one.label), default=None
            )
            if best is not None and best[0] >= 0.5:
                free.remove(best[1])
                self.hits.update(_names(*best[1], rows))
            elif not any(intersection(one.box, box) > 0.5 * area(one.box) for box in ignored):
                self.false[one.label] += 1

    def row(self) -> dict[str, Any]:
        """Recall by label and size (truths in brackets), false positives, inferences and CPU of a frame."""
        return {
            **{f"{key} ({n})": round(self.hits[key] / n, 3) for key, n in sorted(self.truths.items())},
            **{f"false {label}": self.false[label] for label in LABELS},
            "inferences": round(self.inferences / max(1, self.frames), 2),
            "cpu ms": round(self.cpu_s * 1000 / max(1, self.frames), 1),
        }  # fmt: skip


def _names(label: str, box: Box, rows: int) -> list[str]:
    share = box[3] - box[1]
    names = [label]
    names += [f"{label} < {px} px" for px in HEIGHTS_PX if share * rows < px]
    return names + [f"{label} < {part:.0%} of the frame" for part in HEIGHTS_SHARE if share < part]


def pictures(folder: Path = SHARED / "pictures") -> dict[str, dict[str, Any]]:
    """The labelled pictures: whole, and with the first k of the planned regions."""
    import cv2

    detect = models.find("default").at(0.1).load()
    truth = json.loads((folder / "instances.json").read_text())
    names = {one["id"]: one["name"] for one in truth["categories"]}
    rows: dict[str, Tally] = {}
    for image in truth["images"]:
        frame: Any = cv2.imread(str(folder / image["file_name"]))
        if frame is None:
            frame = cv2.imread(str(folder / "images" / Path(image["file_name"]).name))
        objects, crowds = [], []
        for label in truth["annotations"]:
            if label["image_id"] == image["id"] and names[label["category_id"]] in LABELS:
                left, top, wide, tall = label["bbox"]
                width, height = image["width"], image["height"]
                box = (left / width, top / height, (left + wide) / width, (top + tall) / height)
                if label.get("iscrowd"):
                    crowds.append(box)
                else:
                    objects.append((names[label["category_id"]], box))
        began_s = time.thread_time()
        whole = detect(frame)
        whole_s = time.thread_time() - began_s
        captured, look, tracker = (
            CapturedFrame(0, 0.0, frame),
            CloserLook("always", SCORE, MOST),
            Tracker(SCORE),
        )
        examined = _examine(detect, look, captured, whole, (), tracker)
        one_s = (time.thread_time() - began_s - whole_s) / max(1, len(examined))
        for count in BUDGETS:
            chosen = examined[:count]
            joined = look.join(captured, None, whole, chosen, tracker) or ()
            tally = rows.setdefault(f"{count} regions" if count else "whole frame", Tally())
            tally.inferences, tally.cpu_s = (
                tally.inferences + 1 + len(chosen),
                tally.cpu_s + whole_s + one_s * len(chosen),
            )
            tally.count(joined, objects, crowds, image["height"])
    return {name: tally.row() for name, tally in rows.items()}


def _examine(
    detect: Loaded,
    look: CloserLook,
    captured: CapturedFrame,
    whole: Sequence[Detection],
    motion: Sequence[Box],
    tracker: Tracker,
) -> list[ExaminedRegion]:
    rows, columns = captured.frame.shape[:2]
    size = (columns, rows)
    regions = look.regions(size, detect.input_size(*size), captured, whole, motion, tracker)
    return [
        ExaminedRegion(captured, one, found=detect_part(detect, captured.frame, one.box)) for one in regions
    ]


def clips(step: int = 5) -> dict[str, dict[str, Any]]:
    """The boat clips, each ``step``-th frame: what is told (confirmed tracks) with and without regions."""
    from agent.vision.video_file import frames

    detect = models.find("default").at(0.1).load()
    table: dict[str, dict[str, Any]] = {}
    for path in sorted((SHARED / "clips").glob("*_synthetic.mp4")):
        truth: dict[int, list[tuple[str, Box]]] = {}
        for line in path.with_suffix(".gt.txt").read_text().split():
            number, _, left, top, wide, tall = (float(one) for one in line.split(",")[:6])
            box = (left / 1280, top / 720, (left + wide) / 1280, (top + tall) / 720)
            truth.setdefault(int(number) - 1, []).append(("boat", box))
        for mode in ("never", "auto", "always"):
            look, tracker = CloserLook(mode, SCORE), Tracker(SCORE)  # type: ignore[arg-type]  # the three modes
            gate = MotionGate(MotionSettings(camera_moves="pan" in path.stem), finds_boxes=True)
            tally, examined = Tally(), list[ExaminedRegion]()
            for number, at_s, frame in frames(str(path)):
                if number % step:
                    continue
                began_s = time.thread_time()
                captured, decision = CapturedFrame(number, at_s, frame), gate.decide(frame, at_s)
                whole = [one for one in detect(frame) if one.label == "boat"]
                joined = look.join(captured, decision.egomotion, whole, examined, tracker)
                told = tracker.track(joined or (), at_s, decision.egomotion)
                examined = _examine(detect, look, captured, whole, decision.boxes, tracker)
                for one in examined:
                    one.found = [part for part in one.found if part.detection.label == "boat"]
                tally.cpu_s += time.thread_time() - began_s
                tally.inferences += 1 + len(examined)
                boxes = [Detection("boat", 1.0, one.box) for one in told if one.sure]
                tally.count(boxes, truth.get(number, []), (), 720)
            table[f"{path.stem}, {mode}"] = tally.row()
    return table


def pipeline() -> dict[str, dict[str, Any]]:
    """One and four cameras on one clip of 1080 lines, at 5 inferences a second each."""
    return {
        f"{count} cameras, regions {mode}, {fps:g} fps": asyncio.run(_cameras(count, mode, fps))
        for count, fps in ((1, 5.0), (1, 10.0), (4, 5.0))
        for mode in ("never", "auto", "always")
    }


async def _cameras(count: int, mode: str, fps: float) -> dict[str, Any]:
    delays_ms: list[float] = []
    states: list[CameraState] = []

    def note(value: object) -> None:
        if isinstance(value, Sighting):
            delays_ms.append(value.delay_s * 1000)
        elif isinstance(value, CameraState):
            states.append(value)

    cameras = [
        Camera.model_validate(
            {
                "kind": "camera", "url": str(CLIP), "loop": True, "purpose": "a measurement", "fps": fps,
                "detector": {"regions": mode},
            }
        )
        for _ in range(count)
    ]  # fmt: skip
    tasks = [asyncio.ensure_future(camera.run(note)) for camera in cameras]
    await asyncio.sleep(WARM_S)
    delays_ms.clear()
    states.clear()
    began_s, cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(RUN_S)
    passed_s, used_s = time.monotonic() - began_s, time.process_time() - cpu_s
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    cuts = statistics.quantiles(delays_ms, n=100, method="inclusive")
    return {
        "whole frames a second": round(len(delays_ms) / passed_s, 2),
        "delay p50 ms": round(cuts[49], 1),
        "delay p99 ms": round(cuts[98], 1),
        "regions a second": round(sum(one.regions for one in states) / max(1, len(states)) * count, 1),
        "wanted": round(sum(one.regions_wanted for one in states) / max(1, len(states)) * count, 1),
        "cores": round(used_s / passed_s, 2),
    }


def main(parts: Sequence[str]) -> int:
    """Prints the tables."""
    if not SHARED.exists() and set(parts) & {"pictures", "clips"}:
        print("not measured: ../shared/data/vision is not here")
        parts = [one for one in parts if one == "pipeline"]
    print(f"score {SCORE}, at most {LIMIT} regions a frame")
    for part in parts:
        for name, row in {"pictures": pictures, "clips": clips, "pipeline": pipeline}[part]().items():
            print(f"{name:36}", "  ".join(f"{key} {value:g}" for key, value in row.items()), flush=True)
    return 0


if __name__ == "__main__":
    from agent.runtime.logging_setup import set_up_log

    set_up_log("error")
    sys.exit(main(sys.argv[1:] or ["pictures", "clips", "pipeline"]))
