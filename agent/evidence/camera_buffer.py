"""The frames of one camera in memory: the newest, the next to record, and the best picture of each track."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agent.domain.findings import Finding
from agent.domain.observations import SeenObject, View
from agent.evidence.jpeg import QualityHint
from agent.privacy.redaction import FrameWithPeople, LargerPicture
from models.detection import Box, Frame

LINGER_S = 2.0
"""A person detected this long ago is still redacted: a detector that misses a frame reveals nobody."""
TRACK_MEMORY_S = 60.0
MAX_TRACKS = 32


@dataclass(frozen=True, slots=True)
class EvidenceFrame:
    """One frame, the boxes to redact in it, and the objects tracked in it; ``at_s`` is monotonic."""

    camera: str
    number: int
    at: datetime
    at_s: float
    frame: Frame
    people: tuple[Box, ...]
    objects: tuple[SeenObject, ...]
    larger: LargerPicture | None = None
    """For a picture that leaves: the same moment in a larger stream."""
    later_s: float | None = None
    """A picture of the larger stream: the seconds by which it is later than ``at``."""


@dataclass(slots=True)
class BestPicture:
    """The clearest picture of one track so far, and when the track was last seen (monotonic)."""

    clarity: float
    seen_s: float
    jpeg: bytes


@dataclass(slots=True)
class CameraBuffer:
    """One camera. ``waiting`` is the next frame to record; a newer one replaces it."""

    newest: EvidenceFrame | None = None
    waiting: EvidenceFrame | None = None
    view: View | None = None
    recorded_s: float = float("-inf")
    quality_hint: QualityHint = field(default_factory=QualityHint)
    _recent_people: deque[tuple[float, tuple[Box, ...]]] = field(default_factory=deque)
    _best: dict[int, BestPicture] = field(default_factory=dict)
    """By track."""

    def people(self, frame: FrameWithPeople, now_s: float) -> tuple[Box, ...]:
        """The boxes to redact in a frame of ``now_s``: its own, and those of the last `LINGER_S` seconds."""
        while self._recent_people and now_s - self._recent_people[0][0] > LINGER_S:
            self._recent_people.popleft()
        lingering = [box for _, boxes in self._recent_people for box in boxes]
        self._recent_people.append((now_s, frame.confident))
        return (*frame.people, *lingering)

    def keep_best(self, frame: EvidenceFrame, jpeg: bytes) -> None:
        """Keeps ``jpeg`` for each track that it shows more clearly than any before; forgets old tracks."""
        for seen in frame.objects:
            best, value = self._best.get(seen.track), clarity(seen)
            if best is None or value > best.clarity:
                self._best[seen.track] = BestPicture(value, frame.at_s, jpeg)
            else:
                best.seen_s = frame.at_s
        for track in sorted(self._best, key=lambda number: self._best[number].seen_s):
            old = frame.at_s - self._best[track].seen_s > TRACK_MEMORY_S
            if old or len(self._best) > MAX_TRACKS:
                del self._best[track]

    def clearest(self, finding: Finding, frame: EvidenceFrame) -> EvidenceFrame | bytes:
        """The best picture of what ``finding`` is about: ``frame`` itself, or an earlier JPEG."""
        seen = _object_of(finding, frame.objects)
        best = self._best.get(seen.track) if seen is not None else None
        if frame.larger or seen is None or best is None or best.clarity <= clarity(seen):
            return frame
        return best.jpeg


def clarity(seen: SeenObject) -> float:
    """How well an object can be seen: confident, large, and not cut off by the edge of the picture."""
    left, top, right, bottom = seen.box
    cut_off = min(left, top, 1 - right, 1 - bottom) < 0.005
    return float(seen.score * ((right - left) * (bottom - top)) ** 0.5 * (0.7 if cut_off else 1.0))


def _object_of(finding: Finding, objects: Sequence[SeenObject]) -> SeenObject | None:
    """The object that a finding is about: the nearest box among those with its label."""
    box = finding.box
    if box is None:
        return None
    candidates = [seen for seen in objects if finding.label in (None, seen.label)]
    return min(
        candidates,
        key=lambda seen: sum(abs(a - b) for a, b in zip(seen.box, box, strict=True)),
        default=None,
    )
