"""The share of people redacted in pictures, and the cost of a picture and of a visibility check.

The first part needs the labelled pictures of ``../shared``, and reports if they are missing.
"""

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.evidence.jpeg import QualityHint, encode_picture
from agent.vision.visibility import VisibilityMonitor, VisibilitySettings
from bench.covering import measure
from models.detection import Frame
from simulators.scene import Scene

PICTURES = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "pictures"


def covered() -> dict[str, Any]:
    """The share of labelled people, upright, redacted in stored and in exported pictures."""
    kept, leaves = (measure(PICTURES, "default", 0, way) for way in ("kept", "leaves"))
    asked = ("people", "to nine tenths", "less than half", "covered for nothing")
    return {f"{key}, kept and as it leaves": (kept[key], leaves[key]) for key in asked}


def cost() -> dict[str, Any]:
    """Milliseconds and bytes of one picture of 1080 lines, and milliseconds of one visibility check."""
    frames: list[Frame] = [
        np.asarray(cv2.resize(Scene(0, 60).picture(step / 5), (1920, 1080)), np.uint8) for step in range(30)
    ]
    coverage = VisibilityMonitor(
        {"rail": [(0.25, 0.5), (0.75, 0.5), (0.75, 1), (0.25, 1)]}, VisibilitySettings()
    )
    hint = QualityHint()
    pictures, sizes, looks, judged = [], [], [], []
    for second, frame in enumerate(frames):
        began_s = time.perf_counter()
        sizes.append(len(encode_picture(frame, [(0.4, 0.3, 0.6, 1.0)], {}, hint=hint)))
        pictures.append(time.perf_counter() - began_s)
        began_s = time.perf_counter()
        coverage.check(frame, float(second))
        looks.append(time.perf_counter() - began_s)
        grey = np.asarray(cv2.cvtColor(cv2.resize(frame, (320, 180)), cv2.COLOR_BGR2GRAY), np.uint8)
        began_s = time.perf_counter()
        coverage.reasons(grey, 1.0)
        judged.append(time.perf_counter() - began_s)
    return {
        "picture ms": round(1000 * float(np.median(pictures)), 1),
        "picture bytes": int(np.median(sizes)),
        "look at the view ms (1080 lines)": round(1000 * float(np.median(looks)), 2),
        "of which on the grey picture ms": round(1000 * float(np.median(judged)), 2),
    }


if __name__ == "__main__":
    here = covered() if PICTURES.exists() else {"people": "not measured: ../shared is not here"}
    print(json.dumps(here | cost()))
