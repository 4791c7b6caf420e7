"""Gives detections lasting numbers: ByteTrack's association on motion and overlap, nothing of how one looks.

Sure detections are matched first, unsure ones may only continue a track. Each track moves on by a constant
velocity, smoothed. Source: Zhang et al., ByteTrack (2022); the field's packages cost 430 MB and more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from models.detection import Box, Detection

SURE = 0.5
"""Detections with this score or more are matched first."""
LEAST_OVERLAP = 0.1
NEAR = 1.2
"""Without overlap, boxes whose centres are this many of their heights or less apart may still match."""
CONFIRMED_AFTER = 2
"""A track is reported from its n-th detection on: one flicker is nobody."""
LOST_AFTER_S = 4.0
SMOOTHING = 0.5


@dataclass(frozen=True, slots=True)
class Tracked:
    """A detection with the number of its track."""

    track: int
    detection: Detection


@dataclass(slots=True)
class _Track:
    number: int
    detection: Detection
    seen_s: float
    hits: int = 1
    velocity: tuple[float, float, float, float] = field(default=(0.0, 0.0, 0.0, 0.0))

    def expected(self, now_s: float) -> Box:
        """Where the box should be now; what is unseen for long is expected to have slowed down."""
        ahead_s = min(now_s - self.seen_s, 1.0)
        left, top, right, bottom = (
            edge + speed * ahead_s for edge, speed in zip(self.detection.box, self.velocity, strict=True)
        )
        return left, top, right, bottom

    def follow(self, detection: Detection, now_s: float) -> None:
        passed_s = max(now_s - self.seen_s, 1e-3)
        measured = (new - old for new, old in zip(detection.box, self.detection.box, strict=True))
        left, top, right, bottom = (
            SMOOTHING * speed + (1 - SMOOTHING) * moved / passed_s
            for speed, moved in zip(self.velocity, measured, strict=True)
        )
        self.velocity = (left, top, right, bottom)
        self.detection = detection
        self.seen_s = now_s
        self.hits += 1


class Tracker:
    """``track`` it each frame's detections in order."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._numbers = count(1)

    def track(self, detections: Sequence[Detection], now_s: float) -> list[Tracked]:
        """The confirmed objects of this frame; ``now_s`` is the frame's monotonic time."""
        free = [track for track in self._tracks if now_s - track.seen_s <= LOST_AFTER_S]
        self._tracks = list(free)
        told: list[Tracked] = []
        for sure in (True, False):
            group = [one for one in detections if (one.score >= SURE) is sure]
            for detection, track in _match(group, free, now_s):
                if track is not None:
                    track.follow(detection, now_s)
                    free.remove(track)
                else:
                    track = _Track(next(self._numbers), detection, now_s)  # noqa: PLW2901  a new one
                    self._tracks.append(track)
                if track.hits >= CONFIRMED_AFTER:
                    told.append(Tracked(track.number, detection))
        return told


def _match(
    detections: Sequence[Detection], tracks: Sequence[_Track], now_s: float
) -> list[tuple[Detection, _Track | None]]:
    """Each detection with the track that it continues, best pairs first; None where it continues none."""
    pairs = sorted(
        (
            (-likeness, row, column)
            for row, detection in enumerate(detections)
            for column, track in enumerate(tracks)
            if track.detection.label == detection.label
            and (likeness := _likeness(track.expected(now_s), detection.box)) > 0
        ),
    )
    rows: dict[int, _Track] = {}
    taken: set[int] = set()
    for _, row, column in pairs:
        if row not in rows and column not in taken:
            rows[row] = tracks[column]
            taken.add(column)
    return [(detection, rows.get(row)) for row, detection in enumerate(detections)]


def _likeness(one: Box, other: Box) -> float:
    """1 for the same box down to 0 for no match: overlap, or for small and fast things nearness."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    if min(areas) <= 0 or not 0.25 <= areas[0] / areas[1] <= 4:
        return 0.0
    if width > 0 and height > 0:
        overlap = width * height / (sum(areas) - width * height)
        if overlap >= LEAST_OVERLAP:
            return overlap
    tall = max(one[3] - one[1], other[3] - other[1])
    across = (one[0] + one[2] - other[0] - other[2]) / 2
    down = (one[1] + one[3] - other[1] - other[3]) / 2
    distance = (across**2 + down**2) ** 0.5 / tall
    return LEAST_OVERLAP * (1 - distance / NEAR) if distance < NEAR else 0.0
