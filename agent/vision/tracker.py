"""Multi-object tracking by motion and overlap; nothing about appearance is kept.

Low-confidence detections may continue a track for a while, but start none (Zhang et al., ByteTrack, 2022).
The overlap of boxes is weighted by that of their heights, which a stride does not change (Yang et al.,
Hybrid-SORT, 2024). Each track is predicted by a Kalman filter of constant velocity, and moves with the
picture where the camera moves. The field's packages take 430 MB and more; ``bench.tracking`` compares with
one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from agent.vision.egomotion import Egomotion
from agent.vision.track import CONFIRMED_AFTER, TENTATIVE_S, ObjectTrack, box_of, centred, label_group
from models.detection import Box, Detection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SCORE = 0.1
"""Confidence from which on a detection may continue a track."""
OVERLAP, UNSURE_OVERLAP = 0.2, 0.4
"""Least overlap of a match, for detections at normal and at low confidence."""
UNSURE_WEIGHT = 0.5
"""Weight of a low-confidence detection, or of an unconfirmed track, among several candidates."""
BUFFER, NEAR = 0.4, 0.1
NEAR_S = 1.0
"""Small or fast objects, or a low inference rate: a second match with boxes grown by `BUFFER` on each side,
for tracks detected within `NEAR_S` or in the previous inference."""
REACH, REACH_PER_S, MAX_REACH, MIN_HEIGHT_RATIO = 0.2, 0.8, 2.5, 0.6
"""A third match by distance, for tracks detected in the previous inference: this many heights away, more with
time (people walk 0.8 heights a second), of about the same height."""
LOST_REACH, LOST_REACH_PER_S, LOST_HEIGHT_RATIO = 0.2, 0.15, 0.45
"""A fourth match, for tracks that were not detected for longer, behind a van or another person: by the
distance from the way that the object may have gone meanwhile; not where it may have left the picture. The
boxes of small objects vary in height by as much as the last number."""
MISSES_ALLOWED, MAX_UNSEEN_S = 1, 15.0
"""At a low inference rate a track survives this many inferences without detection, for at most this long."""
CROWDED, CROWDED_AFTER = 0.35, 5
"""A detection that overlaps a tracked one by this much may be a duplicate: it is confirmed later."""
LOST_AFTER_S = 4.0
"""A track ends this long after its last confident detection: low-confidence ones may be a pole."""


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """A confirmed object; ``label`` has the most votes of its track; ``sure``: at normal confidence."""

    track: int
    label: str
    score: float
    box: Box
    sure: bool


@dataclass(frozen=True, slots=True)
class ExpectedObject:
    """Where a tracked object, confirmed or not yet, is expected; ``group`` as `label_group`."""

    group: str
    box: Box


class Tracker:
    """Call `track` with all detections of each frame in order; ``score``: confidence that starts a track."""

    def __init__(self, score: float = 0.4) -> None:
        self.score = score
        self._tracks: list[ObjectTrack] = []
        self._numbers = count(1)
        self._inferred_s = float("-inf")

    @property
    def has_unconfirmed(self) -> bool:
        """Whether another inference may confirm a track."""
        return any(not track.confirmed for track in self._tracks)

    def expected(self, at_s: float) -> dict[int, ExpectedObject]:
        """The objects by track number, where they are (or were) at the monotonic time ``at_s``."""
        return {
            track.number: ExpectedObject(track.kind, box_of(track.predict(at_s))) for track in self._tracks
        }

    def track(
        self, detections: Sequence[Detection], now_s: float, egomotion: Egomotion | None = None
    ) -> list[TrackedObject]:
        """The confirmed objects of this frame; ``now_s`` is the frame's monotonic time."""
        self._tracks = [track for track in self._tracks if _alive(track, now_s)]
        for track in self._tracks:
            track.missed += 1
        previous_s, self._inferred_s = self._inferred_s, now_s
        if egomotion is not None:
            for track in self._tracks:
                track.move(egomotion)
        free = list(self._tracks)
        candidates = [one for one in detections if one.score >= MIN_SCORE]
        pairs = self._match(candidates, free, now_s)
        sure = [one for one in candidates if one.score >= self.score]
        recent = [track for track in free if track.seen_s >= min(previous_s, now_s - NEAR_S)]
        pairs += self._match(sure, recent, now_s, BUFFER)
        pairs += _match_by_distance(sure, [track for track in recent if track.seen_s >= previous_s], now_s)
        matched = {track.number for _, track in pairs}
        lost = [one for one in free if one.confirmed and one.number not in matched and not one.at_edge()]
        pairs += _match_by_distance(sure, lost, now_s, lost=True)
        for detection, track in pairs:
            track.update(detection, now_s, detection.score >= self.score)
        for detection in sure:
            track = ObjectTrack(
                next(self._numbers), label_group(detection.label), now_s, now_s, centred(detection.box)
            )
            track.votes[detection.label] = detection.score
            track.needs = CROWDED_AFTER if _overlaps_tracked(detection, pairs) else CONFIRMED_AFTER
            self._tracks.append(track)
        return [
            TrackedObject(
                track.number, track.label, detection.score, detection.box, detection.score >= self.score
            )
            for detection, track in pairs
            if track.confirmed
        ]

    def _match(
        self, detections: list[Detection], tracks: list[ObjectTrack], now_s: float, buffer: float = 0.0
    ) -> list[tuple[Detection, ObjectTrack]]:
        """Pairs, best first; matched detections and tracks are removed from both lists."""
        import numpy as np

        if not detections or not tracks:
            return []
        seen = np.array([centred(one.box) for one in detections])
        expected = np.array([track.predict(now_s) for track in tracks])
        likeness = _overlaps(seen, expected, buffer) * _overlaps(seen[:, 1::2], expected[:, 1::2], buffer)
        kinds = np.array([label_group(one.label) for one in detections])
        likeness *= kinds[:, None] == np.array([track.kind for track in tracks])
        sure = np.array([[one.score >= self.score] for one in detections])
        confirmed = np.array([track.confirmed for track in tracks])
        rows, columns = np.nonzero(likeness >= (NEAR if buffer else np.where(sure, OVERLAP, UNSURE_OVERLAP)))
        likeness *= np.where(sure, 1, UNSURE_WEIGHT) * np.where(confirmed, 1, UNSURE_WEIGHT)
        order = np.argsort(-likeness[rows, columns], kind="stable")
        by_row = _each_once(rows[order].tolist(), columns[order].tolist())
        matched = set(by_row.values())
        pairs = [(detections[row], tracks[column]) for row, column in by_row.items()]
        detections[:] = [one for row, one in enumerate(detections) if row not in by_row]
        tracks[:] = [one for column, one in enumerate(tracks) if column not in matched]
        return pairs


def _overlaps_tracked(detection: Detection, pairs: Sequence[tuple[Detection, ObjectTrack]]) -> bool:
    import numpy as np

    tracked = [other.box for other, _ in pairs if label_group(other.label) == label_group(detection.label)]
    if not tracked:
        return False
    boxes = np.array([centred(box) for box in tracked])
    return bool(_overlaps(np.array([centred(detection.box)]), boxes, 0.0).max() >= CROWDED)


def _alive(track: ObjectTrack, now_s: float) -> bool:
    unseen_s = now_s - track.sure_s
    soon = unseen_s <= (LOST_AFTER_S if track.confirmed else TENTATIVE_S)
    return soon or (track.missed <= MISSES_ALLOWED and unseen_s <= MAX_UNSEEN_S)


def _match_by_distance(
    detections: list[Detection], tracks: Sequence[ObjectTrack], now_s: float, lost: bool = False
) -> list[tuple[Detection, ObjectTrack]]:
    """Pairs within reach, nearest first; matched detections are removed from ``detections``.

    ``lost``: where the track may have stopped or gone on: from its last position along its speed.
    """
    import numpy as np

    if not detections or not tracks:
        return []
    seen = np.array([centred(one.box) for one in detections])[:, None]
    expected = np.array([track.predict(now_s) for track in tracks])
    unseen_s = now_s - np.array([track.seen_s for track in tracks])
    tall, height = seen[..., 3], expected[:, 3]
    if lost:
        start = np.array([track.state[:2] for track in tracks])
        whole = np.array([track.speed[:2] for track in tracks]) * unseen_s[:, None]
        gone = ((seen[..., :2] - start) * whole).sum(-1) / ((whole**2).sum(-1) + 1e-9)
        nearest = start + gone.clip(0, 1)[..., None] * whole
        reach, least = LOST_REACH + LOST_REACH_PER_S * unseen_s, LOST_HEIGHT_RATIO
    else:
        nearest = expected[:, :2]
        reach, least = np.minimum(REACH + REACH_PER_S * unseen_s, MAX_REACH), MIN_HEIGHT_RATIO
    # fractions of the picture: the reach is longer across than down
    distance = np.hypot(*np.moveaxis(seen[..., :2] - nearest, -1, 0)) / np.maximum(tall, height)
    kinds = np.array([label_group(one.label) for one in detections])
    same = kinds[:, None] == np.array([track.kind for track in tracks])
    alike = np.minimum(tall, height) >= least * np.maximum(tall, height)
    rows, columns = np.nonzero(same & alike & (distance <= reach))
    order = np.argsort(distance[rows, columns], kind="stable")
    pairs = _each_once(rows[order].tolist(), columns[order].tolist())
    found = [(detections[row], tracks[column]) for row, column in pairs.items()]
    detections[:] = [one for row, one in enumerate(detections) if row not in pairs]
    return found


def _each_once(rows: Sequence[int], columns: Sequence[int]) -> dict[int, int]:
    """The column of each row, from pairs with the best first."""
    by_row: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows, columns, strict=True):
        if row not in by_row and column not in taken:
            by_row[row] = column
            taken.add(column)
    return by_row


def _overlaps(
    ours: "NDArray[np.float64]", theirs: "NDArray[np.float64]", buffer: float
) -> "NDArray[np.float64]":
    """Intersection over union of each with each: of boxes as centre and size (N x 4), or of one side (N x 2);
    grown by ``buffer`` a side."""
    import numpy as np

    sides = ours.shape[1] // 2
    one, other = ours[:, None], theirs[None]
    half_one, half_other = one[..., sides:] * (0.5 + buffer), other[..., sides:] * (0.5 + buffer)
    shared = np.minimum(one[..., :sides] + half_one, other[..., :sides] + half_other) - np.maximum(
        one[..., :sides] - half_one, other[..., :sides] - half_other
    )
    both = shared.clip(0).prod(-1)
    whole = (2 * half_one).prod(-1) + (2 * half_other).prod(-1)
    result: NDArray[np.float64] = both / (whole - both + 1e-12)
    return result
