"""Gives detections lasting numbers: by motion and overlap, nothing of how one looks.

Unsure detections may continue a track, for a while, but begin none (Zhang et al., ByteTrack, 2022). Overlap
of boxes is weighed by that of heights, which a stride leaves as they are (Yang et al., Hybrid-SORT, 2024).
Each track moves on by a Kalman filter of constant velocity, and with the picture where the camera moves. The
field's packages cost 430 MB and more; ``bench.tracking`` holds this against one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from agent.vision.egomotion import Egomotion
from agent.vision.track import CONFIRMED_AFTER, TENTATIVE_S, _centred, _Track, kind_of
from models.detection import Box, Detection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONTINUES = 0.1
"""A detection with this score may continue a track."""
OVERLAP, UNSURE_OVERLAP = 0.2, 0.4
DOUBT = 0.5
"""Where several compete, so much counts the overlap of an unsure detection, or with a track not confirmed."""
BUFFER, NEAR = 0.4, 0.1
NEAR_S = 1.0
"""What is small, fast or seldom looked at may match without overlap: boxes grown by `BUFFER` on each side, of
what was seen so lately, or in the look before."""
REACH, REACH_PER_S, REACH_AT_MOST, SAME_HEIGHT = 0.2, 0.8, 2.5, 0.6
"""What matched nothing may still be what was seen in the look before: so many heights away, more the longer
that is ago (people walk 0.8 heights a second), of about the same height."""
MISSED, LONGEST_S = 1, 15.0
"""However slow the looks are, a track survives so many without it, unless they take longer than that."""
CROWDED, CROWDED_AFTER = 0.35, 5
"""A detection that overlaps a tracked one by so much may be the same seen twice, and needs more."""
LOST_AFTER_S = 4.0
"""After this long without a sure detection a track is no more: what is left may be a pole."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """An object in this frame; ``label`` is what its track was taken for most."""

    track: int
    label: str
    score: float
    box: Box
    sure: bool


class Tracker:
    """``track`` it all detections of each frame in order; ``score`` is what begins a track."""

    def __init__(self, score: float = 0.4) -> None:
        self._score = score
        self._tracks: list[_Track] = []
        self._numbers = count(1)
        self._looked_s = float("-inf")

    @property
    def doubts(self) -> bool:
        """Whether something was seen that only another look can confirm."""
        return any(not track.confirmed for track in self._tracks)

    def track(
        self, detections: Sequence[Detection], now_s: float, egomotion: Egomotion | None = None
    ) -> list[Tracked]:
        """The confirmed objects of this frame; ``now_s`` is the frame's monotonic time."""
        self._tracks = [track for track in self._tracks if _kept(track, now_s)]
        for one in self._tracks:
            one.missed += 1
        before_s, self._looked_s = self._looked_s, now_s
        if egomotion is not None:
            for track in self._tracks:
                track.move(egomotion)
        free = list(self._tracks)
        some = [one for one in detections if one.score >= CONTINUES]
        pairs = self._match(some, free, now_s)
        sure = [one for one in some if one.score >= self._score]
        free = [track for track in free if track.seen_s >= min(before_s, now_s - NEAR_S)]
        pairs += self._match(sure, free, now_s, BUFFER)
        pairs += _reach(sure, [track for track in free if track.seen_s >= before_s], now_s)
        for detection, track in pairs:
            track.follow(detection, now_s, detection.score >= self._score)
        for detection in sure:
            track = _Track(
                next(self._numbers), kind_of(detection.label), now_s, now_s, _centred(detection.box)
            )
            track.votes[detection.label] = detection.score
            track.needs = CROWDED_AFTER if _crowds(detection, pairs) else CONFIRMED_AFTER
            self._tracks.append(track)
        return [
            Tracked(track.number, track.label, detection.score, detection.box, detection.score >= self._score)
            for detection, track in pairs
            if track.confirmed
        ]

    def _match(
        self, detections: list[Detection], tracks: list[_Track], now_s: float, buffer: float = 0.0
    ) -> list[tuple[Detection, _Track]]:
        """Pairs, best first; what is matched leaves both lists."""
        import numpy as np

        if not detections or not tracks:
            return []
        seen = np.array([_centred(one.box) for one in detections])
        expected = np.array([track.ahead(now_s) for track in tracks])
        likeness = _overlaps(seen, expected, buffer) * _overlaps(seen[:, 1::2], expected[:, 1::2], buffer)
        kinds = np.array([kind_of(one.label) for one in detections])
        likeness *= kinds[:, None] == np.array([track.kind for track in tracks])
        sure = np.array([[one.score >= self._score] for one in detections])
        confirmed = np.array([track.confirmed for track in tracks])
        rows, columns = np.nonzero(likeness >= (NEAR if buffer else np.where(sure, OVERLAP, UNSURE_OVERLAP)))
        likeness *= np.where(sure, 1, DOUBT) * np.where(confirmed, 1, DOUBT)
        order = np.argsort(-likeness[rows, columns], kind="stable")
        by_row: dict[int, int] = {}
        by_column: dict[int, int] = {}
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            if row not in by_row and column not in by_column:
                by_row[row], by_column[column] = column, row
        pairs = [(detections[row], tracks[column]) for row, column in by_row.items()]
        detections[:] = [one for row, one in enumerate(detections) if row not in by_row]
        tracks[:] = [one for column, one in enumerate(tracks) if column not in by_column]
        return pairs


def _crowds(detection: Detection, pairs: Sequence[tuple[Detection, _Track]]) -> bool:
    import numpy as np

    there = [other.box for other, _ in pairs if kind_of(other.label) == kind_of(detection.label)]
    if not there:
        return False
    boxes = np.array([_centred(box) for box in there])
    return bool(_overlaps(np.array([_centred(detection.box)]), boxes, 0.0).max() >= CROWDED)


def _kept(track: _Track, now_s: float) -> bool:
    unseen_s = now_s - track.sure_s
    soon = unseen_s <= (LOST_AFTER_S if track.confirmed else TENTATIVE_S)
    return soon or (track.missed <= MISSED and unseen_s <= LONGEST_S)


def _reach(
    detections: list[Detection], tracks: Sequence[_Track], now_s: float
) -> list[tuple[Detection, _Track]]:
    """Pairs of those left over that lie within reach, nearest first; who is matched leaves ``detections``."""
    near = []
    for row, detection in enumerate(detections):
        x, y, _, tall = _centred(detection.box)
        for column, track in enumerate(tracks):
            if kind_of(detection.label) != track.kind:
                continue
            at_x, at_y, _, height = track.ahead(now_s)
            both = max(tall, height)
            away = (
                math.hypot(x - at_x, y - at_y) / both
            )  # in shares of the picture: across it reaches farther than down
            reach = min(REACH + REACH_PER_S * (now_s - track.seen_s), REACH_AT_MOST)
            if away <= reach and min(tall, height) >= SAME_HEIGHT * both:
                near.append((away, row, column))
    pairs: dict[int, int] = {}
    for _, row, column in sorted(near):
        if row not in pairs and column not in pairs.values():
            pairs[row] = column
    found = [(detections[row], tracks[column]) for row, column in pairs.items()]
    detections[:] = [one for row, one in enumerate(detections) if row not in pairs]
    return found


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
