"""The input sized by the picture's aspect against one size: ``python -m bench.input_size [ROUNDS]``.

CPU time of one inference with the fitting, the variants in turns, so that a busy machine slows all of them.
Then, each in a process of its own: milliseconds of loading and of the first inference at each new size, and
megabytes of memory after redaction's passes (four orientations and tiles) on 16:9 and 4:3 pictures.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import models
from agent.privacy.redaction import REDACTION_MIN_SCORE, find_people
from models.card import Card
from models.detection import Frame

BEFORE = {"width": 416, "height": 416, "pad": 0, "by_aspect": False}
VARIANTS = {
    "by aspect": {},
    "416x416, pad 0": BEFORE,
    "512x288, pad 0": {**BEFORE, "width": 512, "height": 288},
}
PICTURES = {"16:9": (720, 1280), "4:3": (480, 640), "16:9 rotated": (1280, 720)}


def card(variant: str) -> Card:
    """The default card with another input."""
    found = models.find("default")
    prepared = found.input.model_copy(update=VARIANTS[variant])
    return found.at(REDACTION_MIN_SCORE).model_copy(update={"input": prepared, "proof": None})


def picture(rows: int, columns: int) -> Frame:
    """The photograph of the self-test at another size: noise alone would finish without boxes."""
    import cv2

    proof = models.find("default").proof
    assert proof is not None
    photograph = cv2.imread(str(proof.picture))
    assert photograph is not None
    return np.asarray(cv2.resize(photograph, (columns, rows)), np.uint8)


def ratios(rounds: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds of each variant by kind of picture, and its ratio to the first variant's."""
    loaded = {variant: card(variant).load() for variant in VARIANTS}
    result: dict[str, dict[str, float]] = {}
    for kind, shape in PICTURES.items():
        frame = picture(*shape)
        took: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for _ in range(rounds + 3):
            for variant, detect in loaded.items():
                began = time.process_time()
                detect(frame)
                took[variant].append((time.process_time() - began) * 1000)
        ms = {variant: statistics.median(some[3:]) for variant, some in took.items()}
        result[kind] = {f"{variant}, ms": round(one, 1) for variant, one in ms.items()}
        first, second = list(ms.values())[:2]
        result[kind]["by aspect / 416x416"] = round(first / second, 3)
    return result


def most_mb() -> float:
    """The most memory of this process so far."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def memory(variant: str) -> dict[str, float | dict[str, float]]:
    """Loading, first inferences and memory of one variant, in this process."""
    before_mb = most_mb()
    began = time.monotonic()
    detect = card(variant).load()
    load_ms = (time.monotonic() - began) * 1000
    first_ms: dict[str, float] = {}
    for kind, shape in PICTURES.items():
        frame = picture(*shape)
        for name in (kind, f"{kind} again"):
            began = time.monotonic()
            detect(frame)
            first_ms[name] = round((time.monotonic() - began) * 1000)
    for shape in ((1080, 1920), (480, 640)):
        find_people(picture(*shape), detect)
    return {"load_ms": round(load_ms), "first_ms": first_ms, "memory_mb": round(most_mb() - before_mb)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print(json.dumps(memory(sys.argv[2])))
    else:
        print(json.dumps({"cpu": ratios(int(sys.argv[1]) if sys.argv[1:] else 40)}, indent=1))
        for one in VARIANTS:
            done = subprocess.run(
                [sys.executable, "-m", "bench.input_size", "memory", one], check=True, capture_output=True
            )
            print(json.dumps({one: json.loads(done.stdout)}))
