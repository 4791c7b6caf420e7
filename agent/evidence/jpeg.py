"""A picture as it is stored and as it leaves: a redacted JPEG of limited size with a label in it.

The label is JSON in the JPEG's comment (marker FFFE): camera, time, and the boxes of people. So a picture
from the disk can be redacted again; one without a label is refused. Where the detector could not look for
people, ``people`` is null, and a redacted picture is filled from edge to edge.
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
from models.picture import decode_picture

STEPS = (
    *((1280, 80), (1280, 65), (1280, 50), (960, 60), (960, 45)),
    *((640, 55), (640, 45), (480, 45), (320, 30), (160, 30)),
)
"""Longer side (pixels) and JPEG quality, best first, tried until the JPEG is small enough.

Each of these qualities keeps black exactly zero."""
MAX_SIDE = max(side for side, _ in STEPS)
MAX_ASPECT_RATIO = 16
"""Of the longer side by the shorter; no camera has more."""
WHOLE_PICTURE: Box = (0.0, 0.0, 1.0, 1.0)
COMMENT, SCAN = 0xFE, 0xDA
"""JPEG markers."""
MAX_COMMENT_BYTES = 65_533


class QualityHint:
    """The step of `STEPS` at which one camera's last picture was small enough: the next one starts there."""

    def __init__(self) -> None:
        self._step = self._count = 0

    def first_step(self) -> int:
        """The step to start with; every 20th time one step better."""
        self._count += 1
        return max(0, self._step - (self._count % 20 == 0))

    def accept(self, step: int) -> None:
        """A picture of this step was small enough."""
        self._step = step


def encode_picture(
    frame: Frame,
    people: Sequence[Box] | None,
    label: Mapping[str, Any],
    *,
    blackout: Sequence[Sequence[Corner]] = (),
    unredacted: bool = False,
    max_bytes: int = 64_000,
    hint: QualityHint | None = None,
    max_side: int = MAX_SIDE,
) -> bytes:
    """``frame`` as a JPEG of at most ``max_bytes`` and ``max_side`` pixels; people are redacted unless
    ``unredacted``.

    ``people`` None means that their places are unknown: the whole picture is redacted. ``blackout`` polygons
    (corners in 0..1) are always black. ValueError where no picture can be made.
    """
    people = without_nested(people) if people is not None else None
    boxes = [
        [_outward(box[0], -1), _outward(box[1], -1), _outward(box[2], 1), _outward(box[3], 1)]
        for box in people or ()
    ]
    comment = encode({**label, "covered": not unredacted, "people": None if people is None else boxes})
    if min(frame.shape[:2]) * MAX_ASPECT_RATIO < max(frame.shape[:2]):
        raise ValueError(f"no picture: {frame.shape[1]} x {frame.shape[0]} pixels")
    if len(comment) > MAX_COMMENT_BYTES:
        raise ValueError(f"no picture: its label can't hold the boxes of {len(boxes)} people")
    filled: Sequence[Box] = () if unredacted else [WHOLE_PICTURE] if people is None else people
    jpeg = _small_jpeg(frame, filled, blackout, max_bytes - len(comment) - 4, hint, max_side)
    if jpeg is None:
        raise ValueError(f"no JPEG of {max_bytes} bytes can be made of it")
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _small_jpeg(
    frame: Frame,
    filled: Sequence[Box],
    blackout: Sequence[Sequence[Corner]],
    max_bytes: int,
    hint: QualityHint | None,
    max_side: int,
) -> bytes | None:
    """The redacted frame at the first of `STEPS` that fits into ``max_bytes``; None where none does.

    Each step redacts the resized frame, so that resizing blurs nothing into a redacted area.
    """
    import cv2
    import numpy as np

    longer = max(frame.shape[:2])
    # bytes of the picture at full size and quality 1, estimated from the last try
    weight: float | None = None
    for step in range(hint.first_step() if hint else 0, len(STEPS)):
        side, quality = STEPS[step]
        scale = min(1.0, min(side, max_side) / longer)
        if weight is not None and weight * scale**2 * quality > 1.1 * max_bytes and step < len(STEPS) - 1:
            continue
        small = frame
        if scale < 1:
            resized = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            small = np.asarray(resized, np.uint8)
        redacted = redact(small, filled, blackout)
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        good, data = cv2.imencode(".jpg", redacted, options)
        jpeg = data.tobytes()
        if good and len(jpeg) <= max_bytes:
            if hint:
                hint.accept(step)
            return jpeg
        weight = len(jpeg) / (scale**2 * quality)
    return None


def _outward(edge: float, direction: int) -> float:
    """An edge rounded to three digits, away from the middle of its box."""
    return direction * math.ceil(direction * edge * 1000) / 1000


def without_nested(boxes: Sequence[Box]) -> list[Box]:
    """The boxes that lie in no other box, largest first."""
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
    people: Sequence[Box] | None = (),
    blackout: Sequence[Sequence[Corner]] = (),
    unredacted: bool = False,
    max_bytes: int = 64_000,
    max_side: int = MAX_SIDE,
) -> bytes:
    """A stored picture, redacted again by the present rules, with ``label`` added to its own label.

    Redacted areas stay redacted. ``people`` were found in it by a later detector pass, beside those of its
    label; None where that pass could not run. ValueError where the JPEG or its label is damaged.
    """
    stored = read_label(jpeg)
    frame = decode_jpeg(jpeg)
    known = stored.pop("people")
    boxes = None if people is None or known is None else [*map(_box, known), *people]
    unredacted = unredacted and not stored.pop("covered")
    return encode_picture(
        frame,
        boxes,
        stored | dict(label),
        blackout=blackout,
        unredacted=unredacted,
        max_bytes=max_bytes,
        max_side=max_side,
    )


def decode_jpeg(jpeg: bytes) -> Frame:
    """The pixels of a stored picture. ValueError where it is damaged."""
    try:
        return decode_picture(jpeg)
    except ValueError as error:
        raise ValueError(f"the picture is damaged: {error}") from error


def _box(edges: Sequence[float]) -> Box:
    left, top, right, bottom = edges
    return left, top, right, bottom


def read_label(jpeg: bytes) -> dict[str, Any]:
    """The label of a picture. ValueError where it is missing, damaged, or lacks the boxes of people."""
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
    raise ValueError("the picture has no label with the boxes of people")


_BOXES = TypeAdapter(list[list[float]] | None)
