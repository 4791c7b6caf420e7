"""One object that is or was in view, and how certain its presence is. Pure."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.domain.observations import SeenObject
from agent.domain.zones import Corner, foot_of
from models.detection import Box

MAX_SCORES, SCORE_INTERVAL_S, SCORE_MAX_AGE_S, MIN_SCORES = 15, 0.15, 10.0, 5
"""The confidence of a presence is the median of up to so many scores, at least so far apart, not older than
this while enough are left (the last number): a single confident frame is not enough."""
DOUBTED_BELOW = 0.8
"""A certain presence becomes uncertain when the median falls below this share of ``min_score``."""
LEAK_RATE = 0.5
"""The default of rules with a dwell time: who is hidden for less than two thirds of the time is reported."""
SEEN_SHARE, SEEN_OVER_S, FIRST_SHARE = 0.3, 6.0, 0.6
"""A presence detected in less than this share of the sightings, over this time or twice the grace, is
uncertain. A new presence starts with the third number as its share."""
RARELY_SEEN_LOOKS, LOST_SHARE = 60, 0.15
"""A rarely detected presence is certain once `SEEN_SHARE` has held over so many inferences, until its recent
share falls below the second number."""
PARKED_S, PARKED_AFTER_S, MOVED = 60.0, 10.0, 0.5
"""An inanimate object that has not moved for the second time (its centre within this share of its longer
side) is parked: it stays present while undetected for up to the first, unless it was seen to leave."""
ANIMATE_LABELS = frozenset(
    {"person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
)
TRAIL_INTERVAL_S, MAX_TRAIL = 0.15, 80


@dataclass(slots=True)
class Presence:
    """One object, across changes of its track number, with its arrival on both clocks.

    ``sure``: detected often and confidently enough to be reported. ``trail``: its foot points, each with its
    monotonic time.
    """

    number: int
    seen: SeenObject
    since: datetime
    since_s: float
    last_s: float
    best: float = 0.0
    sure: bool = False
    trail: deque[tuple[float, Corner]] = field(default_factory=lambda: deque(maxlen=MAX_TRAIL))
    scores: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MAX_SCORES))
    evidence_s: float = 0.0
    """Seconds for which it was detected, minus those for which it was missed."""
    share: float = FIRST_SHARE
    first_s: float = 0.0
    seen_s: float = 0.0
    looks: int = 0
    """Since ``first_s`` it was detected for ``seen_s`` seconds, over so many inferences in all."""
    missed: int = 0
    left_area: bool = False
    """It was seen outside the area of the rule."""
    outside_s: float = -math.inf
    """When it was last detected outside the area (monotonic)."""
    stands: tuple[float, Box] | None = None
    """Since when (monotonic) it has not moved, and its box."""

    def lasted_s(self) -> float:
        """Seconds from its arrival to its last detection, less what leaked while it was hidden or outside."""
        return self.last_s - self.since_s

    def left_s(self, now_s: float, leak: "Leak") -> float:
        """What is left of `lasted_s` of a presence that is hidden or outside: a leaky sum."""
        lasted_s = min(self.lasted_s(), leak.most_s) if self.left_area else self.lasted_s()
        return max(0.0, lasted_s - leak.rate * (now_s - self.last_s))

    def parked(self) -> bool:
        """Whether it is an inanimate object that has stood still for `PARKED_AFTER_S`."""
        return (
            self.seen.label not in ANIMATE_LABELS
            and self.stands is not None
            and self.last_s - self.stands[0] >= PARKED_AFTER_S
        )

    def update(self, seen: SeenObject, at: datetime, now_s: float) -> None:
        """Takes a detection in the area; a presence that had lost all evidence starts anew."""
        seldom = self.seen_s < SEEN_SHARE * (now_s - self.first_s)
        if not self.sure and self.evidence_s <= 0 and seldom:
            self.since, self.since_s, self.first_s, self.seen_s, self.looks = at, now_s, now_s, 0.0, 0
        self.seen, self.last_s, self.left_area, self.missed = seen, now_s, False, 0
        self.best = max(self.best, seen.score)
        if seen.sure and (not self.scores or now_s - self.scores[-1][0] >= SCORE_INTERVAL_S):
            self.scores.append((now_s, seen.score))
        while len(self.scores) > MIN_SCORES and now_s - self.scores[0][0] > SCORE_MAX_AGE_S:
            self.scores.popleft()
        if self.stands is None or moved(self.stands[1], seen.box):
            self.stands = now_s, seen.box
        if not self.trail or now_s - self.trail[-1][0] >= TRAIL_INTERVAL_S:
            self.trail.append((now_s, foot_of(seen.box)))

    def reappear(self, now_s: float, over_s: float, leak: "Leak") -> None:
        """Takes a detection after it was hidden or outside: it has to become certain again, and its time has
        leaked."""
        away_s = now_s - self.last_s
        since_s = now_s - self.left_s(now_s, leak)
        self.since += timedelta(seconds=since_s - self.since_s)
        self.since_s = since_s
        if self.left_area:  # it was detected, outside the area
            self.first_s += away_s
            self.share = max(self.share, FIRST_SHARE)
        else:
            self.share *= math.exp(-away_s / over_s)
        self.sure, self.evidence_s = False, 0.0

    def weigh(self, look: "LookWeight", need_s: float, patience_s: float | None) -> None:
        """Updates the certainty by one inference, with or without a detection of it.

        ``patience_s``: after so long a rarely detected presence counts as certain as well; None: never.
        """
        seen = self.last_s == look.now_s
        self.evidence_s = max(0.0, self.evidence_s + (look.counts_s if seen else -look.counts_s))
        self.seen_s += look.passed_s if seen else 0.0
        self.missed += not seen
        self.looks += 1
        over_s = PARKED_S if self.parked() and not self.left_area else look.over_s
        self.share += (1 - math.exp(-look.passed_s / over_s)) * (seen - self.share)
        scores = sorted(score for _, score in self.scores)
        score = scores[len(scores) // 2] if scores else 0.0
        lasted_s = look.now_s - self.first_s
        often = (
            patience_s is not None
            and lasted_s >= patience_s
            and self.looks >= RARELY_SEEN_LOOKS
            and self.seen_s >= SEEN_SHARE * lasted_s
        )
        least = LOST_SHARE if often else SEEN_SHARE
        if self.sure and (score < DOUBTED_BELOW * look.min_score or self.share < least):
            self.sure, self.evidence_s = False, 0.0
        elif not self.sure and score >= look.min_score:
            self.sure = self.share >= SEEN_SHARE and (self.evidence_s >= need_s or (seen and often))


@dataclass(frozen=True, slots=True)
class Leak:
    """How the time of a presence leaks: seconds for each second hidden or outside; and how much of its time
    one keeps that was seen to leave, so that a short return after a long stay is not another stay."""

    rate: float = 1.0
    most_s: float = math.inf


@dataclass(frozen=True, slots=True)
class LookWeight:
    """The weight of one inference: its time, the time since the one before, the evidence that it counts for,
    the time constant of shares, and the required score."""

    now_s: float
    passed_s: float
    counts_s: float
    over_s: float
    min_score: float


def describe(presences: Sequence[Presence]) -> str:
    """``person``, ``3 people``, or ``3 objects`` where their labels differ."""
    labels = {presence.seen.label for presence in presences}
    if len(presences) == 1:
        return labels.pop()
    return f"{len(presences)} {plural(labels.pop()) if len(labels) == 1 else 'objects'}"


def plural(label: str) -> str:
    """The English plural of a label."""
    if label == "person":
        return "people"
    return label + ("es" if label.endswith(("s", "x", "ch", "sh")) else "s")


def moved(before: Box, after: Box) -> bool:
    """Whether an object has moved between two boxes, by more than `MOVED` of its longer side."""
    across = (before[0] + before[2] - after[0] - after[2]) / 2
    down = (before[1] + before[3] - after[1] - after[3]) / 2
    side = max(before[2] - before[0], before[3] - before[1])
    return bool((across**2 + down**2) ** 0.5 > MOVED * side)
