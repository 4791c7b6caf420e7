"""How often the second look agrees: with true detections, and with false ones, on labelled pictures.

A detection is true where it overlaps a label of its class by half, false where by less than 0.3 and no crowd
is there. ``python -m bench.second_look PICTURES [VERIFY_MODEL]``: the detections of the default model at 0.4,
each looked at again as an alert's object is, by the same or another model.
"""

import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2

import models
from agent.evidence.object_crop import score_in_crop
from models.boxes import area, intersection, iou

SCORE, AGREES = 0.4, 0.4
TRUE, FALSE = 0.5, 0.3


def measure(pictures: Path, verify_model: str = "default") -> dict[str, Any]:
    """By class: true and false detections, the share of each that is verified, and the time of a look."""
    truth = json.loads((pictures / "instances.json").read_text())
    names = {one["id"]: one["name"] for one in truth["categories"]}
    first, second = (models.find(name).at(0.1).load() for name in ("default", verify_model))
    verified: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    took_ms: list[float] = []
    for image in truth["images"]:
        frame: Any = cv2.imread(str(pictures / "images" / Path(image["file_name"]).name))
        if frame is None:
            continue
        rows, columns = frame.shape[:2]
        labels = [
            (names[one["category_id"]], bool(one.get("iscrowd")), _box(one["bbox"], columns, rows))
            for one in truth["annotations"]
            if one["image_id"] == image["id"]
        ]
        for found in first(frame):
            if found.score < SCORE or found.label not in names.values():
                continue
            own = [box for name, crowd, box in labels if name == found.label and not crowd]
            best = max((iou(found.box, box) for box in own), default=0.0)
            crowds = [box for name, crowd, box in labels if name == found.label and crowd]
            in_crowd = any(intersection(found.box, box) > 0.5 * area(found.box) for box in crowds)
            if FALSE <= best < TRUE or (best < FALSE and in_crowd):
                continue
            began_s = time.perf_counter()
            score = score_in_crop(second, frame, found.box, (found.label,))
            took_ms.append((time.perf_counter() - began_s) * 1000)
            verified[found.label, best >= TRUE].append(score >= AGREES)
            verified["all", best >= TRUE].append(score >= AGREES)
    return {
        **{
            label: {
                word: {"detections": len(one), "verified": round(sum(one) / len(one), 3)}
                for word, is_true in (("true", True), ("false", False))
                if (one := verified.get((label, is_true)))
            }
            for label in sorted({label for label, _ in verified})
        },
        "look_ms_p50": round(statistics.median(took_ms), 1),
    }


def _box(bbox: list[float], columns: int, rows: int) -> tuple[float, float, float, float]:
    left, top, wide, tall = bbox
    return left / columns, top / rows, (left + wide) / columns, (top + tall) / rows


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), *sys.argv[2:3]), indent=1))
