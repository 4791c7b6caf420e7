"""Who is in a zone, and since when: what the rules on pictures share. Pure: sightings in, presences out."""

import math
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from agent.domain.observations import Observation, SeenObject, Sighting
from agent.domain.zones import Corner, foot_of
from agent.vision.track import kind_of
from models.boxes import iou
from models.detection import Box

FRAME_S, SLOW_SHARE, A_LOOK_S = 0.2, 0.4, 1 / 3
"""``frames`` are fifths of a second. A look counts for the time since the look before, up to a fifth; a slow
one for the second, a share of that time, up to the third: however slow they are, one convinces nobody."""
KNOWN_S, ARRIVES_S = 0.9, 0.3
"""Who was seen for the first, wherever, is certain; he is here once he was here for the second."""
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
HIDDEN_S = 30.0
"""Who vanished where he stood, and appears there again within this, is the same; the time out of sight is
taken off the time that he was seen."""
STILL_S, STILL_AFTER_S, MOVED = 60.0, 10.0, 0.5
"""A thing, not a living one, that stood still for the second (its middle within this share of its longer
side) is parked: lost by the detector for up to the first it is still there, unless it drove off in sight."""
LIVING = frozenset(
    {"person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
)
MISSED, LONGEST_S = 1, 15.0
"""However slow the looks are, who is missed in so many is still there, unless they take longer than that."""
TRAIL_EVERY_S, TRAIL = 0.15, 80
REOPENED = 10
"""A camera whose frames are numbered so much lower than before was opened anew."""
SAME_PLACE = 0.3
"""A new track number that overlaps this much with one who is out of sight is the same one."""


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

    def take(self, thing: SeenObject, at: datetime, now_s: float) -> None:
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

    def appear(self, now_s: float, over_s: float) -> None:
        """It was hidden until now: certain anew, and the time is taken off."""
        hidden_s = now_s - self.last_s
        left_s = max(0.0, self.lasted_s() - hidden_s)
        self.since += timedelta(seconds=now_s - left_s - self.since_s)
        self.since_s = now_s - left_s
        self.share *= math.exp(-hidden_s / over_s)
        self.sure, self.evidence_s = False, 0.0

    def weigh(self, look: "Look", need_s: float, patience_s: float | None) -> None:
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
class Look:
    """What a look is worth: when it was, how long after the one before, for how long it counts as evidence;
    over how long shares are taken, and which score is wanted."""

    now_s: float
    passed_s: float
    counts_s: float
    over_s: float
    min_score: float


class OccupancyTracker:
    """A judge's eye on one camera: ``look`` answers each of its sightings with all who are there.

    One who is out of sight or elsewhere for up to ``grace_s`` is still there: at the edge of a zone nobody
    comes and goes with each frame. With ``keeps``, what is parked and lost by the detector is there for
    longer (`STILL_S`). One whom the tracker gives a new number while he stands where he stood keeps his time.
    While the camera itself moves, nobody comes: where its zones are then is not known. Track numbers are
    those of one life of the camera.
    """

    def __init__(
        self,
        camera: str,
        labels: Collection[str],
        fits: Callable[[SeenObject], bool],
        *,
        frames: int,
        min_score: float,
        grace_s: float,
        moving: bool = False,
        keeps: bool = False,
        patience_s: float | None = None,
    ) -> None:
        self._camera, self._labels, self._fits = camera, frozenset(labels), fits
        self._min_score, self._grace_s, self._moving = min_score, grace_s, moving
        self._keeps, self._patience_s = keeps, patience_s
        self._need_s = (frames - 0.5) * FRAME_S
        self._at_most_s = min(A_LOOK_S, frames * FRAME_S / 2)
        self._there: dict[int, Presence] = {}
        self._hidden: dict[int, Presence] = {}
        self._known: dict[int, float] = {}  # by track: for how much longer it was seen than missed, anywhere
        self._numbers = count(1)
        self.looked_s: float | None = None
        """When it last saw a picture in which its zones are where they should be."""
        self.view = 0
        """Counts how often the camera moved or was opened anew: what was where is known within one view."""
        self._frame = 0

    def forget(self) -> None:
        """Nobody knows any more who is there."""
        self._there.clear()
        self._hidden.clear()

    def look(self, observation: Observation) -> list[Presence] | None:
        """All who are there, sure or not; None where this was no sighting to judge by."""
        sighting = observation.value
        if observation.source != self._camera or not isinstance(sighting, Sighting):
            return None
        now_s = observation.mono_s
        if sighting.frame < self._frame - REOPENED:  # its tracker counts from the start again
            self.view += 1
            self._there = {-presence.number: presence for presence in self._there.values()}
            self._hidden = {-presence.number: presence for presence in self._hidden.values()}
            self._known = {}
        self._frame = sighting.frame
        if sighting.camera_moves and not self._moving:
            self.view += 1
            for presence in self._there.values():
                presence.trail.clear()
            return None
        look = self._worth(now_s)
        self.looked_s = now_s
        numbers = {thing.track for thing in sighting.objects}
        known = {track: self._known.get(track, 0.0) - look.counts_s for track in self._known.keys() - numbers}
        for thing in sighting.objects:
            if thing.label in self._labels:
                self._meet(thing, numbers, observation, look)
                if thing.sure:
                    known[thing.track] = min(self._known.get(thing.track, 0.0) + look.counts_s, 2 * KNOWN_S)
        self._known = {track: known_s for track, known_s in known.items() if known_s > 0}
        for track, presence in list(self._there.items()):
            certain = known.get(track, 0.0) >= KNOWN_S
            need_s = min(self._need_s, ARRIVES_S) if certain else self._need_s
            presence.weigh(look, need_s, self._patience_s)
            self._part(track, presence, now_s)
        for track, presence in list(self._hidden.items()):
            if now_s - presence.last_s > min(HIDDEN_S, presence.lasted_s()):
                del self._hidden[track]
        return list(self._there.values())

    def _worth(self, now_s: float) -> Look:
        passed_s = 0.0 if self.looked_s is None else now_s - self.looked_s
        counts_s = min(passed_s if passed_s > 0 else FRAME_S, max(FRAME_S, SLOW_SHARE * passed_s))
        counts_s = min(counts_s, self._at_most_s)
        return Look(now_s, passed_s, counts_s, max(SEEN_OVER_S, 2 * self._grace_s), self._min_score)

    def _part(self, track: int, presence: Presence, now_s: float) -> None:
        """Who is out of sight for too long is there no more; who vanished where he stood may be hidden."""
        unseen_s = now_s - presence.last_s
        if unseen_s <= self._grace_s or (presence.missed <= MISSED and unseen_s <= LONGEST_S):
            return
        if self._keeps and presence.parked() and not presence.elsewhere and unseen_s <= STILL_S:
            return
        del self._there[track]
        if not presence.elsewhere:
            self._hidden[track] = presence

    def _meet(
        self, thing: SeenObject, numbers: Collection[int], observation: Observation, look: Look
    ) -> None:
        before = self._there.get(thing.track)
        if not self._fits(thing):
            if before is not None:
                before.elsewhere = True
            self._hidden.pop(thing.track, None)
            return
        now_s = observation.mono_s
        if before is None:
            before = self._inherit(thing, numbers) or self._appeared(thing, look)
        if before is None:
            before = Presence(next(self._numbers), thing, observation.at, now_s, now_s, first_s=now_s)
        self._there[thing.track] = before
        before.take(thing, observation.at, now_s)

    def _inherit(self, thing: SeenObject, numbers: Collection[int]) -> Presence | None:
        """Whom ``thing`` continues under a new track number: unseen now, same kind, same place."""
        return _nearest(self._there, thing, numbers)

    def _appeared(self, thing: SeenObject, look: Look) -> Presence | None:
        """Who was hidden, and is back where he stood, or under the number that he had."""
        presence = self._hidden.pop(thing.track, None) or _nearest(self._hidden, thing, ())
        if presence is not None:
            presence.appear(look.now_s, look.over_s)
        return presence


def _nearest(presences: dict[int, Presence], thing: SeenObject, but: Collection[int]) -> Presence | None:
    """Takes out the one that overlaps most with ``thing``, of its kind and none of the tracks ``but``."""
    left = {
        track: iou(presence.seen.box, thing.box)
        for track, presence in presences.items()
        if track not in but and kind_of(presence.seen.label) == kind_of(thing.label)
    }
    nearest = max(left, key=left.__getitem__, default=None)
    return presences.pop(nearest) if nearest is not None and left[nearest] > SAME_PLACE else None


def who(found: Sequence[Presence]) -> str:
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
