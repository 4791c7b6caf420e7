"""Occupancy of an area in a camera's picture: the basis of the rules on pictures.

Pure: sightings in, presences out. `OccupancyTracker` decides which objects are present, `Presence` how
certain each one is.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import count

from agent.domain.observations import Observation, SeenObject, Sighting
from agent.rules.presence import PARKED_S, SEEN_OVER_S, Leak, LookWeight, Presence
from agent.vision.track import label_group
from models.boxes import iou

FRAME_S, SLOW_SHARE, MAX_LOOK_S = 0.2, 0.4, 1 / 3
"""``frames`` are fifths of a second (the first). An inference counts for the time since the one before, up to
a fifth; at low rates for that share of the time, up to the third: one inference is never enough."""
KNOWN_S, ARRIVES_S = 0.9, 0.3
"""A track detected for the first time anywhere in the picture is certain; it is present once it has been in
the area for the second."""
HIDDEN_S = 30.0
"""An object that disappears where it stood and reappears there within this time is the same presence; its
time leaks meanwhile."""
MAX_MISSED, MAX_MISSED_S = 1, 15.0
"""At any inference rate a presence missed in so many inferences stays, for at most so long."""
REOPENED_FRAMES = 10
"""A camera whose frame number falls by more than this was reopened."""
SAME_PLACE_IOU = 0.3
"""A new track with this overlap (IoU) with an undetected presence continues that presence."""


class OccupancyTracker:
    """The presences in an area of one camera: `on_sighting` returns them for each sighting.

    An object that is undetected or outside for up to ``grace_s`` stays present, so that noise at the edge of
    a zone changes nothing. With ``keeps``, a parked object stays for `PARKED_S` while undetected. A presence
    whose track gets a new number in the same place keeps its time. With ``leak``, an object that was
    seen to leave, and is detected outside until it returns, keeps what has not leaked of its time, as a new
    presence. Sightings from a moving camera are ignored unless ``moving`` is set: the position of its zones
    is unknown then. Track numbers are valid until the camera is reopened. ``fits`` selects the objects in the
    area.
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
        leak: Leak | None = None,
    ) -> None:
        self._camera, self._labels, self._fits = camera, frozenset(labels), fits
        self.frames, self.min_score = frames, min_score
        self._grace_s, self._moving = grace_s, moving
        self._keeps, self._patience_s = keeps, patience_s
        self._returns, self._leak = leak is not None, leak or Leak()
        self._need_s = (frames - 0.5) * FRAME_S
        self._at_most_s = min(MAX_LOOK_S, frames * FRAME_S / 2)
        self.present: dict[int, Presence] = {}
        """By track; negative where the number of its track is not valid any more."""
        self.objects: tuple[SeenObject, ...] = ()
        """All objects in the last sighting."""
        self.camera_moves = False
        """Whether the last sighting was ignored for that."""
        self._hidden: dict[int, Presence] = {}
        self._known: dict[int, float] = {}  # by track: seconds detected minus missed, anywhere in the picture
        self._numbers = count(1)
        self.looked_s: float | None = None
        """When the last sighting with zones in their place was taken (monotonic)."""
        self.view = 0
        """Counts moves and reopenings of the camera: positions are comparable within one view."""
        self._frame = 0

    def forget(self) -> None:
        """Forgets all presences."""
        self.present.clear()
        self._hidden.clear()

    def on_sighting(self, observation: Observation) -> list[Presence] | None:
        """All presences, certain or not; None where the observation is no usable sighting."""
        sighting = observation.value
        if observation.source != self._camera or not isinstance(sighting, Sighting):
            return None
        now_s = observation.mono_s
        if sighting.frame < self._frame - REOPENED_FRAMES:  # its tracker restarts its numbers
            self.view += 1
            self.present = {-presence.number: presence for presence in self.present.values()}
            self._hidden = {-presence.number: presence for presence in self._hidden.values()}
            self._known = {}
        self._frame = sighting.frame
        self.objects = sighting.objects
        self.camera_moves = sighting.camera_moves and not self._moving
        if self.camera_moves:
            self.view += 1
            for presence in self.present.values():
                presence.trail.clear()
            return None
        look = self._weight(now_s)
        self.looked_s = now_s
        self._hidden = {track: one for track, one in self._hidden.items() if self._may_return(one, now_s)}
        numbers = {seen.track for seen in sighting.objects}
        known = {track: self._known.get(track, 0.0) - look.counts_s for track in self._known.keys() - numbers}
        for seen in sighting.objects:
            if seen.label in self._labels:
                self._on_detection(seen, numbers, observation, look)
                if seen.sure:
                    known[seen.track] = min(self._known.get(seen.track, 0.0) + look.counts_s, 2 * KNOWN_S)
        self._known = {track: known_s for track, known_s in known.items() if known_s > 0}
        for track, presence in list(self.present.items()):
            certain = known.get(track, 0.0) >= KNOWN_S
            need_s = min(self._need_s, ARRIVES_S) if certain else self._need_s
            presence.weigh(look, need_s, self._patience_s)
            self._remove_if_gone(track, presence, now_s)
        return list(self.present.values())

    def away(self, now_s: float) -> dict[int, Presence]:
        """By track: what still counts of certain presences that are hidden or outside; they may return."""
        return {
            track: replace(presence, since_s=presence.last_s - presence.left_s(now_s, self._leak))
            for track, presence in self._hidden.items()
            if presence.sure and self._returns
        }

    def _weight(self, now_s: float) -> LookWeight:
        passed_s = 0.0 if self.looked_s is None else now_s - self.looked_s
        counts_s = min(passed_s if passed_s > 0 else FRAME_S, max(FRAME_S, SLOW_SHARE * passed_s))
        counts_s = min(counts_s, self._at_most_s)
        return LookWeight(now_s, passed_s, counts_s, max(SEEN_OVER_S, 2 * self._grace_s), self.min_score)

    def _remove_if_gone(self, track: int, presence: Presence, now_s: float) -> None:
        """Removes a presence undetected for too long; one that disappeared in the area may be hidden."""
        unseen_s = now_s - presence.last_s
        if unseen_s <= self._grace_s or (presence.missed <= MAX_MISSED and unseen_s <= MAX_MISSED_S):
            return
        if self._keeps and presence.parked() and not presence.left_area and unseen_s <= PARKED_S:
            return
        del self.present[track]
        if self._returns or not presence.left_area:
            self._hidden[track] = presence

    def _may_return(self, presence: Presence, now_s: float) -> bool:
        """Whether a hidden presence may reappear; one that was seen to leave: while detected outside."""
        lost_s, limit_s = now_s - presence.last_s, HIDDEN_S
        if presence.left_area:
            lost_s, limit_s = now_s - presence.outside_s, self._grace_s
        return lost_s <= limit_s and presence.left_s(now_s, self._leak) > 0

    def _on_detection(
        self, seen: SeenObject, numbers: Collection[int], observation: Observation, look: LookWeight
    ) -> None:
        before = self.present.get(seen.track)
        if not self._fits(seen):
            if not self._returns:
                self._hidden.pop(seen.track, None)
            elif before is None:
                before = self._hidden.get(seen.track)
            if before is not None:
                before.left_area, before.outside_s = True, observation.mono_s
            return
        now_s = observation.mono_s
        if before is None:
            before = self._renumbered(seen, numbers) or self._reappeared(seen, look)
        if before is None:
            before = Presence(next(self._numbers), seen, observation.at, now_s, now_s, first_s=now_s)
        self.present[seen.track] = before
        before.update(seen, observation.at, now_s)

    def _renumbered(self, seen: SeenObject, numbers: Collection[int]) -> Presence | None:
        """The presence that ``seen`` continues under a new track number: undetected, same kind and place."""
        return _nearest(self.present, seen, numbers)

    def _reappeared(self, seen: SeenObject, look: LookWeight) -> Presence | None:
        """The hidden presence that is back in its place, or the one that is back under its track number."""
        left = {track for track, presence in self._hidden.items() if presence.left_area}
        presence = self._hidden.pop(seen.track, None) or _nearest(self._hidden, seen, left)
        if presence is not None:
            presence.reappear(look.now_s, look.over_s, self._leak)
            if presence.left_area:  # an answer to its alert does not cover its return
                presence.number = next(self._numbers)
        return presence


def _nearest(presences: dict[int, Presence], seen: SeenObject, exclude: Collection[int]) -> Presence | None:
    """Removes and returns the presence of the same kind that overlaps most, except tracks in ``exclude``."""
    left = {
        track: iou(presence.seen.box, seen.box)
        for track, presence in presences.items()
        if track not in exclude and label_group(presence.seen.label) == label_group(seen.label)
    }
    nearest = max(left, key=left.__getitem__, default=None)
    return presences.pop(nearest) if nearest is not None and left[nearest] > SAME_PLACE_IOU else None
