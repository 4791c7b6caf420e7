"""Who is in a zone, and since when: what the rules on pictures share. Pure: sightings in, presences out."""

import math
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from agent.observations import Observation, SeenObject, Sighting
from agent.vision.zones import Corner, foot_of
from models.detection import Box

SCORES = 15
"""How sure one is of an object is the median of this many scores: one sure frame convinces nobody."""
DOUBTED_BELOW = 0.8
"""Who was sure enough is so until the median falls below this share of ``min_score``."""
SEEN_SHARE, SEEN_OVER_S, FIRST_SHARE = 0.3, 6.0, 0.6
"""Who is seen in fewer than this share of the sightings, over so long or twice the grace, is not certain."""
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
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=SCORES))
    hits: int = 0
    share: float = FIRST_SHARE

    def lasted_s(self) -> float:
        """From its first sighting here to its last."""
        return self.last_s - self.since_s

    def take(self, thing: SeenObject, at: datetime, now_s: float) -> None:
        """It is seen, here; a flicker that was doubted away begins anew."""
        if not self.sure and self.hits == 0:
            self.since, self.since_s = at, now_s
        self.seen, self.last_s = thing, now_s
        self.best = max(self.best, thing.score)
        if thing.sure:
            self.scores.append(thing.score)
        if not self.trail or now_s - self.trail[-1][0] >= TRAIL_EVERY_S:
            self.trail.append((now_s, foot_of(thing.box)))

    def weigh(self, seen: bool, new: float, frames: int, min_score: float) -> None:
        """One more sighting, with it or without, which makes up ``new`` of the share: is it certain?"""
        self.hits = self.hits + 1 if seen else max(0, self.hits - 1)
        self.share += new * (seen - self.share)
        score = sorted(self.scores)[len(self.scores) // 2] if self.scores else 0.0
        if self.sure and (score < DOUBTED_BELOW * min_score or self.share < SEEN_SHARE):
            self.sure, self.hits = False, 0
        elif not self.sure:
            self.sure = self.hits >= frames and score >= min_score and self.share >= SEEN_SHARE


class Eye:
    """A judge's eye on one camera: ``look`` answers each of its sightings with all who are there.

    One who is out of sight or elsewhere for up to ``grace_s`` is still there: at the edge of a zone nobody
    comes and goes with each frame. One whom the tracker gives a new number while he stands where he stood
    keeps his time. While the camera itself moves, nobody comes: where its zones are then is not known. Track
    numbers are those of one life of the camera.
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
    ) -> None:
        self._camera, self._labels, self._fits = camera, frozenset(labels), fits
        self._frames, self._min_score, self._grace_s, self._moving = frames, min_score, grace_s, moving
        self._there: dict[int, Presence] = {}
        self._numbers = count(1)
        self.looked_s: float | None = None
        """When it last saw a picture in which its zones are where they should be."""
        self.view = 0
        """Counts how often the camera moved or was opened anew: what was where is known within one view."""
        self._frame = 0

    def forget(self) -> None:
        """Nobody knows any more who is there."""
        self._there.clear()

    def look(self, observation: Observation) -> list[Presence] | None:
        """All who are there, sure or not; None where this was no sighting to judge by."""
        sighting = observation.value
        if observation.source != self._camera or not isinstance(sighting, Sighting):
            return None
        now_s = observation.mono_s
        if sighting.frame < self._frame - REOPENED:  # its tracker counts from the start again
            self.view += 1
            self._there = {-presence.number: presence for presence in self._there.values()}
        self._frame = sighting.frame
        if sighting.camera_moves and not self._moving:
            self.view += 1
            for presence in self._there.values():
                presence.trail.clear()
            return None
        passed_s = 0.0 if self.looked_s is None else now_s - self.looked_s
        new = 1 - math.exp(-passed_s / max(SEEN_OVER_S, 2 * self._grace_s))
        self.looked_s = now_s
        numbers = {thing.track for thing in sighting.objects}
        for thing in sighting.objects:
            if thing.label in self._labels:
                self._meet(thing, numbers, observation)
        for track, presence in list(self._there.items()):
            presence.weigh(presence.last_s == now_s, new, self._frames, self._min_score)
            if now_s - presence.last_s > self._grace_s:
                del self._there[track]
        return list(self._there.values())

    def _meet(self, thing: SeenObject, numbers: Collection[int], observation: Observation) -> None:
        if not self._fits(thing):
            return
        before = self._there.get(thing.track)
        if before is None:
            before = self._inherit(thing, numbers) or Presence(
                next(self._numbers), thing, observation.at, observation.mono_s, observation.mono_s
            )
            self._there[thing.track] = before
        before.take(thing, observation.at, observation.mono_s)

    def _inherit(self, thing: SeenObject, numbers: Collection[int]) -> Presence | None:
        """Whom ``thing`` continues under a new track number: unseen now, same label, same place."""
        left = {
            track: overlap(presence.seen.box, thing.box)
            for track, presence in self._there.items()
            if track not in numbers and presence.seen.label == thing.label
        }
        nearest = max(left, key=left.__getitem__, default=None)
        return self._there.pop(nearest) if nearest is not None and left[nearest] > SAME_PLACE else None


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


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (area - shared)
