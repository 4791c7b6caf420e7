"""Looks closer at parts of a camera's frames: which regions to examine, and how their detections are joined.

    whole frame ─▶ detections ─▶ `join` ─▶ Tracker ─▶ Sighting, at once
                                    ▲         │
    regions of the frame before ────┘         └─▶ `regions` ─▶ regions of this frame, in idle time

The result of a frame never waits for its regions: their detections join the next result of the camera, moved
with the camera and with their tracks. An object that only a region shows is reported one frame later.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal, TypeAlias

from agent.vision.egomotion import Egomotion
from agent.vision.far_zones import SmallPeople
from agent.vision.inference_result import CapturedFrame, ExaminedRegion
from agent.vision.regions import Region, Size, plan
from agent.vision.track import label_group
from agent.vision.tracker import ExpectedObject, Tracker
from models.boxes import area, distance, intersection, iou
from models.detection import Box, Detection
from models.tiles import PartDetection, add_parts, without_repeats

RegionMode: TypeAlias = Literal["auto", "always", "never"]

LIMIT = 4
"""Regions of one frame, at most."""
MAX_AGE_S = 1.0
"""Detections of a region are dropped after this time without a frame to join."""
ZONE_EVERY_S, SCAN_EVERY_S = 0.5, 2.0
"""Least time between two plans with far zones, and with the whole frame."""
IN_VAIN_S = 2.0
"""Motion in which a region showed nothing asks for no region this long: waves, trees."""
DOUBTFUL, MAX_DOUBTFUL = 0.15, 8
"""Confidence from which on a detection below the threshold asks for a region; how many do, at most."""
EXPLAINED = 0.3
"""Overlap of a track with the detection that shows it; share of motion that a detection explains."""
SCORE_PENALTY = 0.05
"""Taken from the scores of regions: each more inference is one more chance of a false object. On 78 labelled
pictures with eight regions each, it avoids two fifths of the false objects added."""
REACH = 1.5
"""Distance in sizes within which a detection belongs to a track."""
MOVES_KEPT = 64
"""Number of the latest results whose egomotion is known."""


class CloserLook:
    """The regions of one camera; ``score`` is its confidence threshold. Call `join`, then `regions`, for each
    result in order."""

    def __init__(self, mode: RegionMode, score: float, limit: int = LIMIT) -> None:
        self.mode, self.score, self.limit = mode, score, limit
        self.small = SmallPeople()
        """Where people have too few pixels at the network's input."""
        self.cut: tuple[Detection, ...] = ()
        """Parts of objects in the regions that were joined last: people among them are redacted too."""
        self._turn = self._cell = 0
        self._zone_s = self._scan_s = float("-inf")
        self._pending: list[ExaminedRegion] = []
        self._in_vain: list[tuple[float, Box]] = []
        self._moves: deque[tuple[int, Egomotion | None]] = deque(maxlen=MOVES_KEPT)

    def join(
        self,
        captured: CapturedFrame,
        egomotion: Egomotion | None,
        detections: Sequence[Detection] | None,
        examined: Sequence[ExaminedRegion],
        tracker: Tracker,
    ) -> tuple[Detection, ...] | None:
        """The detections of a frame, and what only the regions examined since the frame before show.

        ``detections`` is None where the detector was skipped: the regions then wait for the next frame.
        ``tracker`` has not got this frame yet.
        """
        self._moves.append((captured.number, egomotion))
        for one in examined:
            self._note(one)
        self._pending += examined
        if detections is None:
            return None
        earliest_s = captured.at_s - MAX_AGE_S
        recent = [one for one in self._pending if earliest_s <= one.captured.at_s]
        self._pending = []
        seen = without_repeats([found for one in recent for found in self._moved(one, captured, tracker)])
        self.cut = tuple(one.detection for one in seen if one.cut)
        if not seen:
            return tuple(detections)
        return add_parts(detections, [one.detection for one in seen if not one.cut], label_group)

    def waits(self) -> bool:
        """Whether regions show an object that no frame has joined yet."""
        return any(found.detection.score >= self.score for one in self._pending for found in one.found)

    def regions(
        self,
        frame_size: Size,
        input_size: Size,
        captured: CapturedFrame,
        detections: Sequence[Detection],
        motion_boxes: Sequence[Box],
        tracker: Tracker,
    ) -> tuple[Region, ...]:
        """The regions of a frame, the most urgent first; ``tracker`` has got the frame.

        ``detections`` are those of the whole frame alone.
        """
        if self.mode == "never":
            return ()
        sure = [one for one in detections if one.score >= self.score]
        expected = tracker.expected(captured.at_s)
        asked = [one.box for one in expected.values() if not _is_shown(one, sure)]
        known = [*(one.box for one in sure), *(one.box for one in expected.values())]
        asked += [one.box for one in self._doubtful(detections) if not _overlaps_any(one.box, known)]
        always, now_s = self.mode == "always", captured.at_s
        anywhere = always or not self.small.people_are_large
        planned = plan(
            frame_size,
            input_size,
            self._unexplained(motion_boxes, sure, now_s) if anywhere else (),
            asked,
            self.small.far_zones if always or now_s - self._zone_s >= ZONE_EVERY_S else (),
            self.limit,
            scan=anywhere and (always or now_s - self._scan_s >= SCAN_EVERY_S),
            turn=self._turn,
            cell=self._cell,
        )
        self._turn += 1
        for one in planned:
            if one.reason == "zone":
                self._zone_s = now_s
            elif one.reason == "scan":
                self._scan_s = now_s
        return planned

    def _note(self, one: ExaminedRegion) -> None:
        """Counts the cells that were examined, and remembers motion in which nothing was."""
        self._cell += one.region.reason in ("zone", "scan")
        if one.region.reason == "motion" and all(found.detection.score < DOUBTFUL for found in one.found):
            self._in_vain.append((one.captured.at_s, one.region.box))

    def _moved(self, one: ExaminedRegion, now: CapturedFrame, tracker: Tracker) -> list[PartDetection]:
        """The detections of a region where they are in a later frame."""
        then, expected = tracker.expected(one.captured.at_s), tracker.expected(now.at_s)
        moves = [move for number, move in self._moves if number > one.captured.number and move is not None]
        moved = []
        for found in one.found:
            detection = found.detection
            box = _shifted(detection, then, expected)
            for move in moves:
                box = move.box(box)
            box = tuple(min(1.0, max(0.0, edge)) for edge in box)  # type: ignore[assignment]  # four edges
            if area(box) > 0:
                score = max(0.0, detection.score - SCORE_PENALTY)
                moved.append(PartDetection(Detection(detection.label, score, box), found.cut))
        return moved

    def _doubtful(self, detections: Sequence[Detection]) -> list[Detection]:
        doubtful = [one for one in detections if DOUBTFUL <= one.score < self.score]
        return sorted(doubtful, key=lambda one: -one.score)[:MAX_DOUBTFUL]

    def _unexplained(self, boxes: Sequence[Box], sure: Sequence[Detection], now_s: float) -> list[Box]:
        """Motion that belongs to no detection, and that no region has just examined in vain."""
        self._in_vain = [(at_s, box) for at_s, box in self._in_vain if now_s - at_s < IN_VAIN_S]
        explains = [*(one.box for one in sure), *(box for _, box in self._in_vain)]
        return [
            box
            for box in boxes
            if not any(intersection(box, other) >= EXPLAINED * area(box) for other in explains)
        ]


def _is_shown(expected: ExpectedObject, sure: Sequence[Detection]) -> bool:
    return any(
        label_group(one.label) == expected.group and iou(one.box, expected.box) >= EXPLAINED for one in sure
    )


def _overlaps_any(box: Box, others: Sequence[Box]) -> bool:
    return any(iou(box, other) >= EXPLAINED for other in others)


def _shifted(detection: Detection, then: dict[int, ExpectedObject], now: dict[int, ExpectedObject]) -> Box:
    """The box of a detection, moved as far as its track is expected to have moved since."""
    near = [
        (distance(detection.box, one.box), number)
        for number, one in then.items()
        if one.group == label_group(detection.label) and number in now
    ]
    away, number = min(near, default=(REACH, 0))
    if away >= REACH:
        return detection.box
    across, down = (sum(now[number].box[axis::2]) / 2 - sum(then[number].box[axis::2]) / 2 for axis in (0, 1))
    left, top, right, bottom = detection.box
    return left + across, top + down, right + across, bottom + down
