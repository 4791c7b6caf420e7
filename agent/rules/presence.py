"""One object that is in view or was a moment ago, and how certain it is. Pure."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.domain.observations import SeenObject
from agent.domain.zones import Corner, foot_of
from models.detection import Box

SCORES, SCORES_EVERY_S, SCORES_S, LEAST_SCORES = 15, 0.15, 10.0, 5
"""How sure one is of an object is the median of this many scores, that far apart, none older than this as
long as some are left: one sure frame convinces nobody."""
DOUBTED_BELOW = 0.8
"""Who was sure enough is so until the median falls below this share of ``min_score``."""
SEEN_SHARE, SEEN_OVER_S, FIRST_SHARE = 0.3, 6.0, 0.6
"""Who is seen in fewer than this share of the sightings, over so long or twice the grace, is not certain."""
PATIENT_LOOKS, LOST_SHARE = 60, 0.15
"""Who is seen in few of the looks is certain where that share held over so many, until of late it is below
the second."""
STILL_S, STILL_AFTER_S, MOVED = 60.0, 10.0, 0.5
"""A thing, not a living one, that stood still for the second (its middle within this share of its longer
side) is parked: lost by the detector for up to the first it is still there, unless it drove off in sight."""
LIVING = frozenset(
    {"person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
)
TRAIL_EVERY_S, TRAIL = 0.15, 80


@dataclass(slots=True)
class Presence:
    """One object, whatever numbers its track had. Both clocks say since when it is here.

    ``sure``: seen often and sure enough to be told. ``trail``: where its foot was, (monotonic, corner).
    """

    number: int
    seen: SeenObject
    since: datetime
    since_s: float
    last_s: float
    best: float = 0.0
    sure: bool = False
    trail: deque[tuple[float, Corner]] = field(default_factory=lambda: deque(maxlen=TRAIL))
    scores: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=SCORES))
    evidence_s: float = 0.0
    """For how much longer it was seen than missed."""
    share: float = FIRST_SHARE
    first_s: float = 0.0
    seen_s: float = 0.0
    looks: int = 0
    """Since the first it was seen for the second, in so many looks, with it or without."""
    missed: int = 0
    elsewhere: bool = False
    """It was seen to leave."""
    stands: tuple[float, Box] | None = None
    """Since when (monotonic) it has not moved from where."""

    def lasted_s(self) -> float:
        """How long it was here until its last sighting, less the times for which it was hidden."""
        return self.last_s - self.since_s

    def parked(self) -> bool:
        """Whether it is a thing that has stood still for long enough to be known."""
        return (
            self.seen.label not in LIVING
            and self.stands is not None
            and self.last_s - self.stands[0] >= STILL_AFTER_S
        )

    def update(self, thing: SeenObject, at: datetime, now_s: float) -> None:
        """It is seen, here; a flicker that was doubted away begins anew."""
        seldom = self.seen_s < SEEN_SHARE * (now_s - self.first_s)
        if not self.sure and self.evidence_s <= 0 and seldom:
            self.since, self.since_s, self.first_s, self.seen_s, self.looks = at, now_s, now_s, 0.0, 0
        self.seen, self.last_s, self.elsewhere, self.missed = thing, now_s, False, 0
        self.best = max(self.best, thing.score)
        if thing.sure and (not self.scores or now_s - self.scores[-1][0] >= SCORES_EVERY_S):
            self.scores.append((now_s, thing.score))
        while len(self.scores) > LEAST_SCORES and now_s - self.scores[0][0] > SCORES_S:
            self.scores.popleft()
        if self.stands is None or moved(self.stands[1], thing.box):
            self.stands = now_s, thing.box
        if not self.trail or now_s - self.trail[-1][0] >= TRAIL_EVERY_S:
            self.trail.append((now_s, foot_of(thing.box)))

    def reappear(self, now_s: float, over_s: float) -> None:
        """It was hidden until now: certain anew, and the time is taken off."""
        hidden_s = now_s - self.last_s
        left_s = max(0.0, self.lasted_s() - hidden_s)
        self.since += timedelta(seconds=now_s - left_s - self.since_s)
        self.since_s = now_s - left_s
        self.share *= math.exp(-hidden_s / over_s)
        self.sure, self.evidence_s = False, 0.0

    def weigh(self, look: "LookWeight", need_s: float, patience_s: float | None) -> None:
        """One more look, with it or without: is it certain? Also who is seen in few of the looks, but so for
        ``patience_s``."""
        seen = self.last_s == look.now_s
        self.evidence_s = max(0.0, self.evidence_s + (look.counts_s if seen else -look.counts_s))
        self.seen_s += look.passed_s if seen else 0.0
        self.missed += not seen
        self.looks += 1
        over_s = STILL_S if self.parked() and not self.elsewhere else look.over_s
        self.share += (1 - math.exp(-look.passed_s / over_s)) * (seen - self.share)
        scores = sorted(score for _, score in self.scores)
        score = scores[len(scores) // 2] if scores else 0.0
        lasted_s = look.now_s - self.first_s
        often = (
            patience_s is not None
            and lasted_s >= patience_s
            and self.looks >= PATIENT_LOOKS
            and self.seen_s >= SEEN_SHARE * lasted_s
        )
        least = LOST_SHARE if often else SEEN_SHARE
        if self.sure and (score < DOUBTED_BELOW * look.min_score or self.share < least):
            self.sure, self.evidence_s = False, 0.0
        elif not self.sure and score >= look.min_score:
            self.sure = self.share >= SEEN_SHARE and (self.evidence_s >= need_s or (seen and often))


@dataclass(frozen=True, slots=True)
class LookWeight:
    """What a look is worth: when it was, how long after the one before, for how long it counts as evidence;
    over how long shares are taken, and which score is wanted."""

    now_s: float
    passed_s: float
    counts_s: float
    over_s: float
    min_score: float


def describe(found: Sequence[Presence]) -> str:
    """``person``, or ``3 persons``; ``3 objects`` where they are not of one kind."""
    labels = {presence.seen.label for presence in found}
    if len(found) == 1:
        return labels.pop()
    return f"{len(found)} {plural(labels.pop()) if len(labels) == 1 else 'objects'}"


def plural(label: str) -> str:
    """English, as the labels are."""
    if label == "person":
        return "people"
    return label + ("es" if label.endswith(("s", "x", "ch", "sh")) else "s")


def moved(one: Box, other: Box) -> bool:
    """Whether what stood in the one box stands elsewhere in the other."""
    across = (one[0] + one[2] - other[0] - other[2]) / 2
    down = (one[1] + one[3] - other[1] - other[3]) / 2
    side = max(one[2] - one[0], one[3] - one[1])
    return bool((across**2 + down**2) ** 0.5 > MOVED * side)
