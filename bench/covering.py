"""How many labelled people are covered in pictures: ``python -m bench.covering PICTURES [MODEL]``.

PICTURES is a folder with ``instances.json`` (COCO). Each picture is rotated, as by the mounting or
configuration of a camera, and takes each path of a picture: as stored (one inference), as exported at once
(all inferences), and as exported later from the recording (all inferences on the stored picture). A head is
the upper seventh of a person's box, over the middle two fifths of its width; it is bare if less than half of
it is covered.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import models
from agent.evidence.jpeg import decode_jpeg, encode_picture, read_label
from agent.privacy.redaction import (
    FILL,
    REDACTION_MIN_SCORE,
    REDACTION_PASSES,
    find_people,
    person_boxes,
    redact,
)
from models.detection import Box, Detect, Frame

TALL_PX, HEAD_PX = 32, 64
WAYS = ("kept", "leaves", "leaves later")


def _turned_box(x: float, y: float, wide: float, tall: float, columns: int, rows: int, turn: int) -> Box:
    """A label in pixels as fractions of its picture turned clockwise by ``turn`` quarters."""
    left, top, right, bottom = x / columns, y / rows, (x + wide) / columns, (y + tall) / rows
    for _ in range(turn):
        left, top, right, bottom = 1 - bottom, left, 1 - top, right
    return left, top, right, bottom


def _part(grey: Any, box: Box) -> Any:
    rows, columns = grey.shape
    left, top = round(box[0] * columns), round(box[1] * rows)
    return grey[top : max(top + 1, round(box[3] * rows)), left : max(left + 1, round(box[2] * columns))]


def _people(way: str, frame: Frame, detect: Detect) -> list[Box]:
    """The boxes redacted in the picture on this path."""
    if way == "leaves":
        return [*person_boxes(detect(frame)), *find_people(frame, detect)]
    kept = list(person_boxes(detect(frame)))
    if way == "kept":
        return kept
    jpeg = encode_picture(frame, kept, {})
    assert read_label(jpeg)["covered"]
    return [*kept, *find_people(decode_jpeg(jpeg), detect)]


def measure(pictures: Path, model: str, turn: int, way: str) -> dict[str, Any]:
    """One row of the table."""
    truth = json.loads((pictures / "instances.json").read_text())
    person = next(one["id"] for one in truth["categories"] if one["name"] == "person")
    detect = models.find(model).at(REDACTION_MIN_SCORE).load()
    shares, wasted, visible, took = [], [], [], []
    for image in truth["images"]:
        upright = cv2.imread(str(pictures / image["file_name"]))
        assert upright is not None, image["file_name"]
        rows, columns = upright.shape[:2]
        frame = np.ascontiguousarray(np.rot90(upright, -turn), np.uint8)
        began_s = time.perf_counter()
        people = _people(way, frame, detect)
        took.append(time.perf_counter() - began_s)
        grey = (redact(np.full_like(frame, 255), people) == FILL).all(axis=2)
        labelled = np.zeros(grey.shape, bool)
        for one in truth["annotations"]:
            if one["image_id"] == image["id"] and one["category_id"] == person and not one.get("iscrowd"):
                x, y, wide, tall = one["bbox"]
                at: Callable[..., Box] = partial(_turned_box, columns=columns, rows=rows, turn=turn)
                box, head = at(x, y, wide, tall), at(x + 0.3 * wide, y, 0.4 * wide, tall / 7)
                shares.append((_part(grey, box).mean(), tall, _part(grey, head).mean()))
                _part(labelled, box)[:] = True
        wasted.append(float((grey & ~labelled).mean()))
        visible.append(float((~grey).mean()))
    share, tall, head = np.array(shares).T
    return {
        "turned": 90 * turn,
        "way": way,
        "people": len(share),
        "to nine tenths": round(float((share >= 0.9).mean()), 3),
        "less than half": int((share < 0.5).sum()),
        "not at all": int((share == 0).sum()),
        f">={TALL_PX} px to nine tenths": round(float((share[tall >= TALL_PX] >= 0.9).mean()), 3),
        f"heads bare, >={HEAD_PX} px": int(((tall >= HEAD_PX) & (head < 0.5)).sum()),
        "covered for nothing": round(float(np.mean(wasted)), 3),
        "median visible": round(statistics.median(visible), 2),
        "ms": round(1000 * statistics.median(took)),
    }


def main(arguments: list[str]) -> int:
    """Prints the table. Exit code 0, with a message, if there are no pictures."""
    pictures, model = Path(arguments[0]), arguments[1] if len(arguments) > 1 else "default"
    if not (pictures / "instances.json").is_file():
        print(f"not measured: {pictures}/instances.json is not here")
        return 0
    for way in WAYS:
        for turn in range(4):
            row = measure(pictures, model, turn, way)
            if turn == 0:
                print(f"\n{'as it ' + way:18}" + " | ".join(key for key in row if key != "way"))
            print(f"{'':18}" + " | ".join(f"{row[key]!s:>{len(key)}}" for key in row if key != "way"))
            sys.stdout.flush()
    print(f"\n{REDACTION_PASSES} looks before a picture leaves; {model}, at {REDACTION_MIN_SCORE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
