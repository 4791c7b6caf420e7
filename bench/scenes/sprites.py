"""Cut-outs with transparency: walkers from the fixed-camera clips, things from boxes in photographs.

A walker is cut by the difference to the clip's median, so its gait is real; a thing is cut by GrabCut from
its labelled box. Only cut-outs that looked right on a contact sheet are listed
(``python -m bench.scenes sprites``). Choosing seeds use the even walkers, reporting seeds the odd ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.video_file import frames
from bench.scenes import BUILD, VERSION, VISION

Picture = NDArray[np.uint8]
PixelBox = tuple[int, int, int, int]
DARK = 105
"""Grey level below which a dark bird stands out from dry grass; GrabCut finds nothing there."""
STEP = 2
"""Every second frame of the clips (10 a second) is used."""


@dataclass(frozen=True)
class Sprite:
    """Frames with alpha (rows x columns x 4); ``faces``: -1 left, 1 right, 0 neither; ``metres`` tall."""

    name: str
    label: str
    metres: float
    frames: tuple[Picture, ...]
    faces: int = 0


TRACKS: dict[str, tuple[str, int, int, PixelBox]] = {
    "dark jacket": ("vtest", 22, 45, (712, 271, 43, 119)),
    "black coat, blonde": ("vtest", 326, 355, (328, 366, 50, 137)),
    "grey shoulders": ("vtest", 116, 147, (704, 283, 44, 114)),
    "red jacket": ("vtest", 357, 393, (532, 127, 21, 63)),
    "leather jacket": ("vtest", 122, 146, (210, 153, 37, 80)),
    "red and blue": ("vtest", 315, 334, (620, 235, 39, 102)),
    "suit": ("vtest", 267, 286, (614, 189, 40, 87)),
    "black coat": ("vtest", 267, 290, (632, 275, 38, 100)),
    "black coat, back": ("vtest", 315, 337, (556, 267, 38, 100)),
    "all black": ("vtest", 111, 126, (713, 233, 44, 91)),
    "jeans": ("vtest", 252, 266, (555, 231, 36, 110)),
    "jeans, side": ("vtest", 176, 192, (495, 187, 28, 94)),
    "jeans, front": ("vtest", 371, 389, (593, 218, 28, 103)),
    "black jacket": ("vtest", 185, 197, (494, 254, 46, 100)),
    "red jacket, back": ("vtest", 212, 227, (716, 278, 43, 105)),
    "red jacket, far": ("vtest", 270, 282, (159, 169, 29, 69)),
    "grey shoulders, left": ("vtest", 348, 359, (715, 220, 38, 95)),
    "black coat, waiting": ("vtest", 296, 307, (639, 305, 33, 109)),
    "grey dress": ("one-by-one-person-detection", 37, 88, (380, 37, 156, 375)),
    "grey pullover": ("one-by-one-person-detection", 470, 565, (376, 22, 139, 389)),
    "black shirt": ("one-by-one-person-detection", 382, 418, (345, 33, 164, 360)),
}
"""By name: clip, first and last frame (of every second one), and the box in the first frame."""
NEAR = ("grey dress", "grey pullover", "black shirt")
"""Walkers with enough pixels for heights of half the picture and more."""
THINGS: dict[str, tuple[str, float, str, PixelBox]] = {
    "van": ("car", 2.1, "label 14", (0, 0, 0, 0)),
    "white van": ("car", 2.2, "clip vtest", (650, 38, 80, 64)),
    "bus": ("bus", 3.0, "label 157", (0, 0, 0, 0)),
    "motor boat": ("boat", 2.2, "outline images/openimages_2cd17895052069e9.jpg", (674, 480, 575, 170)),
    "rowing boat": ("boat", 1.2, "label 190", (0, 0, 0, 0)),
    "guinea fowl": ("bird", 0.55, "images/coco_train2017_000000041888.jpg", (203, 203, 132, 108)),
}
"""By name: label, height in metres, and where it is cut from."""


HULL = (
    (672, 562), (742, 506), (830, 494), (1040, 488), (1112, 498), (1160, 512), (1246, 526), (1240, 546),
    (1180, 572), (1120, 602), (1000, 626), (840, 638), (730, 640), (690, 622), (678, 590),
)  # fmt: skip
"""The motor boat's outline in its photograph, drawn by hand: GrabCut keeps the quay behind it."""


@cache
def frames_of(clip: str) -> tuple[Picture, ...]:
    """Every second frame of a clip of ``../shared``."""
    video = frames(str(VISION / "clips" / f"{clip}.mp4"))
    return tuple(frame for number, _, frame in video if number % STEP == 0)


@cache
def median_of(clip: str) -> Picture:
    """The clip without what moves; of the hall, where people stand long, a frame without anybody."""
    frames = frames_of(clip)
    if clip.startswith("one-by-one"):
        return frames[15]
    return np.median(np.stack(frames[:: max(1, len(frames) // 60)]), 0).astype(np.uint8)


def _differs(frame: Picture, background: Picture, least: int) -> Picture:
    apart = cv2.GaussianBlur(cv2.absdiff(frame, background), (0, 0), 1).max(2)
    mask = (apart > least).astype(np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 5), np.uint8)), np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)


def _overlap(one: Sequence[int], other: Sequence[int]) -> int:
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    tall = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return wide * tall if wide > 0 and tall > 0 else 0


def walker(name: str) -> Sprite:
    """A person who walks or stands in a clip, cut out frame by frame."""
    clip, first, last, box = TRACKS[name]
    frames, background = frames_of(clip), median_of(clip)
    found: list[Picture] = []
    begun = box
    for number in range(first, last + 1):
        mask = _differs(frames[number], background, 28 if name in NEAR else 24)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
        fits = [
            (_overlap(box, stats[part, :4]), part)
            for part in range(1, count)
            if 0.8 * box[3] < stats[part, 3] < 1.25 * box[3] and stats[part, 2] < 0.9 * stats[part, 3]
        ]
        if not fits or max(fits)[0] == 0:
            continue
        part = max(fits)[1]
        box = tuple(int(value) for value in stats[part, :4])  # type: ignore[assignment]
        found.append(_cut(frames[number], (parts == part).astype(np.uint8), box))
    across = box[0] + box[2] / 2 - begun[0] - begun[2] / 2
    faces = 0 if name in NEAR or abs(across) < 0.3 * box[3] else (1 if across > 0 else -1)
    return Sprite(name, "person", 1.7, tuple(found), faces)


def _cut(frame: Picture, mask: Picture, box: PixelBox) -> Picture:
    left, top, wide, tall = box
    # eroded: a rim of the old ground would give the person away
    alpha = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)) * 255, (0, 0), 0.9)
    both = np.dstack([frame, alpha])
    return np.ascontiguousarray(both[top : top + tall, left : left + wide])


@cache
def _labels() -> dict[int, tuple[str, list[float]]]:
    truth = json.loads((VISION / "pictures" / "instances.json").read_text())
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    return {one["id"]: (names[one["image_id"]], one["bbox"]) for one in truth["annotations"]}


def thing(name: str) -> Sprite:
    """A vehicle, boat or animal, cut out of one picture."""
    label, metres, where, box = THINGS[name]
    if where.startswith("outline"):
        picture = np.asarray(cv2.imread(str(VISION / "pictures" / where.split()[1])), np.uint8)
        outline = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillPoly(outline, [np.array(HULL, np.int32)], 1)
        return Sprite(name, label, metres, (_cut(picture, outline, box),), -1)
    if where.startswith("clip"):
        picture = median_of(where.split()[1])
    else:
        path, bbox = _labels()[int(where.split()[1])] if where.startswith("label") else (where, list(box))
        picture = np.asarray(cv2.imread(str(VISION / "pictures" / path)), np.uint8)
        box = tuple(round(value) for value in bbox)  # type: ignore[assignment]
    faces = {"van": 1, "guinea fowl": -1, "motor boat": -1}.get(name, 0)
    return Sprite(name, label, metres, (_cut_out(picture, box, label == "bird"),), faces)


def _cut_out(picture: Picture, box: PixelBox, dark: bool) -> Picture:
    left, top = max(0, box[0] - box[2] // 6), max(0, box[1] - box[3] // 6)
    part = picture[top : box[1] + box[3] * 7 // 6, left : box[0] + box[2] * 7 // 6]
    mask: Any = np.zeros(part.shape[:2], np.uint8)
    inside = (max(1, box[0] - left), max(1, box[1] - top), box[2], box[3])
    if dark:
        mask[inside[1] : inside[1] + box[3], inside[0] : inside[0] + box[2]] = 1
        whole = mask * (cv2.GaussianBlur(part, (0, 0), 2).max(2) < DARK).astype(np.uint8)
    else:
        cv2.setRNGSeed(1)
        cv2.grabCut(part, mask, inside, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
        whole = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(whole)
    largest = max(range(1, count), key=lambda one: stats[one, 4])
    where = tuple(int(value) for value in stats[largest, :4])
    return _cut(part, _filled(parts == largest), where)  # type: ignore[arg-type]


def _filled(mask: Any) -> Picture:
    """The mask without holes: windows belong to the vehicle."""
    solid = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(solid, outlines, -1, 1, cv2.FILLED), np.uint8)


@cache
def sprite(name: str) -> Sprite:
    """The cut-out called ``name``; made once and kept in ``build/``."""
    kept = BUILD / f"sprite-{VERSION}" / f"{name.replace(' ', '_').replace(',', '')}.npz"
    if kept.is_file():
        with np.load(kept) as data:
            frames = tuple(data[f"f{number}"] for number in range(len(data.files) - 1))
            label, metres = (THINGS[name][0], THINGS[name][1]) if name in THINGS else ("person", 1.7)
            return Sprite(name, label, metres, frames, int(data["faces"]))
    made = walker(name) if name in TRACKS else thing(name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {f"f{number}": frame for number, frame in enumerate(made.frames)}
    np.savez_compressed(kept, faces=np.int64(made.faces), **arrays)
    return made


def sheet() -> Picture:
    """All cut-outs on one sheet, three frames of each."""
    cells = []
    for name in (*TRACKS, *THINGS):
        frames = sprite(name).frames
        for index in (0, len(frames) // 2, len(frames) - 1):
            alpha = frames[index][..., 3:] / 255
            shown = frames[index][..., :3] * alpha + np.array([200, 60, 200]) * (1 - alpha)
            by = min(80 / shown.shape[1], 130 / shown.shape[0])
            small = cv2.resize(shown.astype(np.uint8), None, fx=by, fy=by)
            cell = np.full((150, 84, 3), 255, np.uint8)
            cell[: small.shape[0], : small.shape[1]] = small
            if index == 0:
                text = f"{name[:11]} {len(frames)} {sprite(name).faces}"
                cv2.putText(cell, text, (0, 145), cv2.FONT_HERSHEY_PLAIN, 0.6, (0, 0, 0))
            cells.append(cell)
    cells += [np.full((150, 84, 3), 255, np.uint8)] * (-len(cells) % 18)
    return np.vstack([np.hstack(cells[start : start + 18]) for start in range(0, len(cells), 18)])
