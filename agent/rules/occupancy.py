"""Who is in a zone, and since when: what the rules on pictures share. Pure: sightings in, presences out."""

from collections.abc import Callable, Collection
from itertools import count

from agent.domain.observations import Observation, SeenObject, Sighting
from agent.rules.presence import SEEN_OVER_S, STILL_S, LookWeight, Presence
from agent.vision.track import label_group
from models.boxes import iou

FRAME_S, SLOW_SHARE, A_LOOK_S = 0.2, 0.4, 1 / 3
"""``frames`` are fifths of a second. A look counts for the time since the look before, up to a fifth; a slow
one for the second, a share of that time, up to the third: however slow they are, one convinces nobody."""
KNOWN_S, ARRIVES_S = 0.9, 0.3
"""Who was seen for the first, wherever, is certain; he is here once he was here for the second."""
HIDDEN_S = 30.0
"""Who vanished where he stood, and appears there again within this, is the same; the time out of sight is
taken off the time that he was seen."""
MISSED, LONGEST_S = 1, 15.0
"""However slow the looks are, who is missed in so many is still there, unless they take longer than that."""
REOPENED = 10
"""A camera whose frames are numbered so much lower than before was opened anew."""
SAME_PLACE = 0.3
"""A new track number that overlaps this much with one who is out of sight is the same one."""


class OccupancyTracker:
    """A judge's tracker on one camera: ``look`` answers each of its sightings with all who are there.

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

    def _worth(self, now_s: float) -> LookWeight:
        passed_s = 0.0 if self.looked_s is None else now_s - self.looked_s
        counts_s = min(passed_s if passed_s > 0 else FRAME_S, max(FRAME_S, SLOW_SHARE * passed_s))
        counts_s = min(counts_s, self._at_most_s)
        return LookWeight(now_s, passed_s, counts_s, max(SEEN_OVER_S, 2 * self._grace_s), self._min_score)

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
        self, thing: SeenObject, numbers: Collection[int], observation: Observation, look: LookWeight
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
        before.update(thing, observation.at, now_s)

    def _inherit(self, thing: SeenObject, numbers: Collection[int]) -> Presence | None:
        """Whom ``thing`` continues under a new track number: unseen now, same kind, same place."""
        return _nearest(self._there, thing, numbers)

    def _appeared(self, thing: SeenObject, look: LookWeight) -> Presence | None:
        """Who was hidden, and is back where he stood, or under the number that he had."""
        presence = self._hidden.pop(thing.track, None) or _nearest(self._hidden, thing, ())
        if presence is not None:
            presence.reappear(look.now_s, look.over_s)
        return presence


def _nearest(presences: dict[int, Presence], thing: SeenObject, but: Collection[int]) -> Presence | None:
    """Takes out the one that overlaps most with ``thing``, of its kind and none of the tracks ``but``."""
    left = {
        track: iou(presence.seen.box, thing.box)
        for track, presence in presences.items()
        if track not in but and label_group(presence.seen.label) == label_group(thing.label)
    }
    nearest = max(left, key=left.__getitem__, default=None)
    return presences.pop(nearest) if nearest is not None and left[nearest] > SAME_PLACE else None
