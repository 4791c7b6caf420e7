"""One picture as it is kept and as it leaves: a JPEG, people covered, of a limited size, with its own label.

The label is JSON in the JPEG's comment (marker FFFE): whose camera, when, and where people are in it. So a
picture can be covered again by whoever takes it from the disk, and one without a label is none. Where nobody
could look for people, ``people`` is null, and a covered picture is covered from edge to edge.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from agent.domain.message import encode
from agent.domain.zones import Corner
from agent.privacy.redaction import redact
from models.detection import Box, Frame

STEPS = (
    *((1280, 80), (1280, 65), (1280, 50), (960, 60), (960, 45)),
    *((640, 55), (640, 45), (480, 45), (320, 30), (160, 30)),
)
"""Longer side and quality, best first, until it is small enough. Each quality keeps black exactly zero."""
THINNEST = 16
"""No camera's picture is so many times longer than it is high, or higher than it is wide."""
EVERYWHERE: Box = (0.0, 0.0, 1.0, 1.0)
COMMENT, SCAN = 0xFE, 0xDA
LONGEST_COMMENT = 65_533


class QualityHint:
    """At which step the pictures of one camera are small enough: the next is tried there first."""

    def __init__(self) -> None:
        self._step = self._count = 0

    def first(self) -> int:
        """Where to begin; now and then one step better."""
        self._count += 1
        return max(0, self._step - (self._count % 20 == 0))

    def settle(self, step: int) -> None:
        self._step = step


def picture(
    frame: Frame,
    people: Sequence[Box] | None,
    label: Mapping[str, Any],
    *,
    blackout: Sequence[Sequence[Corner]] = (),
    uncovered: bool = False,
    most_bytes: int = 64_000,
    habit: QualityHint | None = None,
) -> bytes:
    """``frame`` as a JPEG; people are covered unless ``uncovered``. ValueError where it can't be made.

    Where ``people`` is None, nobody knows where they are: all of the picture is covered.
    """
    import cv2
    import numpy as np

    people = outermost(people) if people is not None else None
    where = [[_out(box[0], -1), _out(box[1], -1), _out(box[2], 1), _out(box[3], 1)] for box in people or ()]
    comment = encode({**label, "covered": not uncovered, "people": None if people is None else where})
    longer = max(frame.shape[:2])
    if min(frame.shape[:2]) * THINNEST < longer:
        raise ValueError(f"no picture: {frame.shape[1]} x {frame.shape[0]} pixels")
    if len(comment) > LONGEST_COMMENT:
        raise ValueError(f"no picture: there are {len(where)} people in it, more than its label can tell")
    filled: Sequence[Box] = () if uncovered else [EVERYWHERE] if people is None else people
    room = most_bytes - len(comment) - 4
    weight: float | None = None  # bytes of the whole picture at quality 1, as the last try makes one think
    for step in range(habit.first() if habit else 0, len(STEPS)):
        side, quality = STEPS[step]
        scale = min(1.0, side / longer)
        if weight is not None and weight * scale**2 * quality > 1.1 * room and step < len(STEPS) - 1:
            continue
        small = frame
        if scale < 1:
            resized = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            small = np.asarray(resized, np.uint8)
        shown = redact(small, filled, blackout)
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        good, data = cv2.imencode(".jpg", shown, options)
        jpeg = data.tobytes()
        if good and len(jpeg) <= room:
            if habit:
                habit.settle(step)
            return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
        weight = len(jpeg) / (scale**2 * quality)
    raise ValueError(f"no JPEG of {most_bytes} bytes can be made of it")


def _out(edge: float, way: int) -> float:
    """An edge to three digits, never further in."""
    return way * math.ceil(way * edge * 1000) / 1000


def outermost(boxes: Sequence[Box]) -> list[Box]:
    """The boxes that lie in no other one."""
    kept: list[Box] = []
    for box in sorted(set(boxes), key=lambda one: (one[0] - one[2]) * (one[3] - one[1])):  # largest first
        if not any(
            one[0] <= box[0] and one[1] <= box[1] and one[2] >= box[2] and one[3] >= box[3] for one in kept
        ):
            kept.append(box)
    return kept


def reencode(
    jpeg: bytes,
    label: Mapping[str, Any],
    *,
    found: Sequence[Box] | None = (),
    blackout: Sequence[Sequence[Corner]] = (),
    uncovered: bool = False,
    most_bytes: int = 64_000,
) -> bytes:
    """A picture that was kept, covered once more as it has to be now, with ``label`` added to its own.

    What was covered stays so. ``found`` are people whom a later look found in it, None where that look could
    not be. ValueError where it is damaged, or does not say where people are in it.
    """
    kept = label_of(jpeg)
    frame = decoded(jpeg)
    known = kept.pop("people")
    people = None if found is None or known is None else [*map(_box, known), *found]
    uncovered = uncovered and not kept.pop("covered")
    return picture(
        frame,
        people,
        kept | dict(label),
        blackout=blackout,
        uncovered=uncovered,
        most_bytes=most_bytes,
    )


def decoded(jpeg: bytes) -> Frame:
    """The pixels of a picture that was kept. ValueError where it is damaged."""
    import cv2
    import numpy as np

    frame = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise ValueError("the picture is damaged")
    return np.asarray(frame, np.uint8)


def _box(edges: Sequence[float]) -> Box:
    left, top, right, bottom = edges
    return left, top, right, bottom


def label_of(jpeg: bytes) -> dict[str, Any]:
    """The label of a picture. ValueError where it has none that says where people are."""
    at = 2
    while jpeg[at : at + 1] == b"\xff" and at + 4 <= len(jpeg) and jpeg[at + 1] != SCAN:
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == COMMENT:
            try:
                label = json.loads(jpeg[at + 4 : at + 2 + size])
                _BOXES.validate_python(label["people"], strict=True)
                if isinstance(label["covered"], bool):
                    return dict(label)
            except (RecursionError, TypeError, KeyError) as error:
                raise ValueError("the picture's label is damaged") from error
        at += 2 + size
    raise ValueError("the picture does not say where people are in it")


_BOXES = TypeAdapter(list[list[float]] | None)
