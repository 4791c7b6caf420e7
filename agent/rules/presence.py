"""Who stands in a zone, and since when: what the zone rules share. Pure: sightings in, presences out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from agent.observations import Observation, SeenObject, Sighting
from models.detection import Box


@dataclass(frozen=True, slots=True)
class Presence:
    """One object that stands in the zone: since when (both clocks), how it looked last, its best score."""

    seen: SeenObject
    since: datetime
    since_s: float
    last_s: float
    frames: int
    score: float

    def lasted_s(self) -> float:
        return self.last_s - self.since_s


Watch = Callable[[Observation], tuple[Presence, ...] | None]


def watch_zone(camera: str, zone: str, labels: frozenset[str], min_score: float, grace_s: float) -> Watch:
    """A judge's eye on one zone.

    It answers each of the camera's sightings with all who are there, and anything else with None. One who
    is out of sight for up to ``grace_s`` is still there; one whom the tracker gives a new number while he
    stands where he stood keeps his time. Only sightings count: a blind camera ends no presence.
    """
    there: dict[int, Presence] = {}

    def look(observation: Observation) -> tuple[Presence, ...] | None:
        sighting = observation.value
        if observation.source != camera or not isinstance(sighting, Sighting):
            return None
        now_s = observation.mono_s
        seen_tracks = {thing.track for thing in sighting.objects}
        for thing in sighting.objects:
            if zone not in thing.zones or thing.label not in labels:
                # He was seen, elsewhere: he left. Out of sight is another matter.
                there.pop(thing.track, None)
                continue
            before = there.pop(thing.track, None)
            if before is None and thing.score >= min_score:
                before = _inherit(there, thing, seen_tracks)
                if before is None:
                    before = Presence(thing, observation.at, now_s, now_s, 0, thing.score)
            if before is not None:
                score = max(before.score, thing.score)
                there[thing.track] = replace(
                    before, seen=thing, last_s=now_s, frames=before.frames + 1, score=score
                )
        for track in [track for track, presence in there.items() if now_s - presence.last_s > grace_s]:
            del there[track]
        return tuple(there.values())

    return look


def _inherit(there: dict[int, Presence], thing: SeenObject, seen_tracks: set[int]) -> Presence | None:
    """The presence that ``thing`` continues under a new track number: unseen now, same label, same place."""
    for track, presence in there.items():
        if (
            track not in seen_tracks
            and presence.seen.label == thing.label
            and _overlap(presence.seen.box, thing.box) > 0.3
        ):
            return there.pop(track)
    return None


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (area - shared)
