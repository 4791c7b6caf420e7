"""People: who comes, walks, climbs over a railing, is in the water, is taken aboard, and leaves. Pure."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from firmware_bridge.wgs84 import Plane, Position
from simulators.world.settings import PersonSettings
from simulators.world.tracks import Motion, Track

WALK_S = 4.0
"""From the edge of the picture to the zone, for a person who comes into a zone."""
STEP_S = 1.0
"""From the railing to the place beyond it."""
OVERBOARD_S = 2.0
"""From the place beyond the railing into the water."""

Phase: TypeAlias = Literal["walking", "standing", "beyond_railing", "in_water", "aboard", "leaving"]


@dataclass(frozen=True, slots=True)
class PersonState:
    """A person who is there. ``progress``: 0..1 of the walk, the step or the fall that begins the phase."""

    name: str
    phase: Phase
    motion: Motion
    progress: float


class Person:
    """One person. ``place`` of a person in a zone is the camera's; ``boat`` gives the motion of a track."""

    def __init__(
        self, settings: PersonSettings, place: Position, boat: Callable[[float], Motion] | None
    ) -> None:
        self.settings = settings
        self._boat = boat
        self._walk = None
        self._stands: Position = settings.place or place
        if settings.path is not None:
            self._walk = Track(settings.path, speeds_mps=(settings.walks_mps,), turn_radius_m=0, mps2=1.0)
            self._stands = settings.path[-1]
        self._beyond = settings.beyond if isinstance(settings.beyond, tuple) else self._stands
        self.comes_s = settings.comes.total_seconds()
        self.arrives_s = self.comes_s + (WALK_S if self._walk is None else self._walk.duration_s)
        self.climbs_s = _seconds(settings.climbs)
        self.in_water_s = _seconds(settings.in_water)
        self.aboard_s = math.inf if settings.aboard is None else settings.aboard.at.total_seconds()
        self.leaves_s = _seconds(settings.leaves)
        self.gone_s = self.leaves_s + (self.arrives_s - self.comes_s) * (self.aboard_s == math.inf)
        first = min(self.climbs_s, self.in_water_s, self.aboard_s, self.leaves_s)
        if first < self.arrives_s:
            raise ValueError(
                f"{settings.name}: arrives at {self.arrives_s:.1f} s: climbs, in_water, aboard and leaves"
                " come after that"
            )

    def at(self, second: float) -> PersonState | None:
        """The person at a second; None before it comes and when it is gone."""
        if not self.comes_s <= second < self.gone_s:
            return None
        if second >= self.leaves_s and self.aboard_s == math.inf:
            share = (second - self.leaves_s) / (self.gone_s - self.leaves_s)
            return PersonState(self.settings.name, "leaving", self._walked(self.gone_s - second, True), share)
        if second >= self.aboard_s and self._boat is not None:
            return PersonState(self.settings.name, "aboard", self._boat(second), 1.0)
        if second >= self.in_water_s:
            share = min(1.0, (second - self.in_water_s) / OVERBOARD_S)
            return PersonState(self.settings.name, "in_water", self._drifting(second), share)
        if second >= self.climbs_s:
            share = min(1.0, (second - self.climbs_s) / STEP_S)
            return PersonState(self.settings.name, "beyond_railing", self._stepping(share), share)
        if second >= self.arrives_s:
            return PersonState(self.settings.name, "standing", Motion(*self._stands), 1.0)
        share = (second - self.comes_s) / (self.arrives_s - self.comes_s)
        return PersonState(self.settings.name, "walking", self._walked(second - self.comes_s, False), share)

    def events(self) -> Iterator[tuple[float, str]]:
        """Second and name of the events of this person, in order of time."""
        yield self.comes_s, "person_comes"
        yield self.arrives_s, "person_arrived"
        for second, event in (
            (self.climbs_s, "person_beyond_railing"),
            (self.in_water_s, "person_in_water"),
            (self.aboard_s, "person_aboard"),
            (self.leaves_s, "person_leaves"),
        ):
            if second < math.inf:
                yield second, event

    def _walked(self, for_s: float, back: bool) -> Motion:
        if self._walk is None:
            return Motion(*self._stands)
        motion = self._walk.at(for_s)
        return Motion(motion.lat, motion.lon, motion.speed_mps, (motion.course_deg + 180 * back) % 360)

    def _stepping(self, share: float) -> Motion:
        (lat, lon), (to_lat, to_lon) = self._stands, self._beyond
        return Motion(lat + share * (to_lat - lat), lon + share * (to_lon - lon))

    def _drifting(self, second: float) -> Motion:
        course = math.radians(self.settings.drifts_deg)
        far_m = self.settings.drifts_mps * (second - self.in_water_s)
        begins = self._beyond if self.climbs_s < math.inf else self._stands
        lat, lon = Plane(*begins).position(far_m * math.sin(course), far_m * math.cos(course))
        return Motion(lat, lon, self.settings.drifts_mps, self.settings.drifts_deg)


def _seconds(instant: timedelta | None) -> float:
    return math.inf if instant is None else instant.total_seconds()
