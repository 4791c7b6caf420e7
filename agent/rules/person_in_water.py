"""Somebody is in the water, and in no boat."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from agent.domain.durations import Duration
from agent.domain.escalation import Severity
from agent.domain.observations import Observation
from agent.domain.references import Keyed
from agent.domain.zones import foot_of
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.occupancy import OccupancyTracker
from agent.rules.presence import Presence, describe

ABOARD_S = 10.0
"""Who was on a boat that the detector then misses is taken to be on it for so long."""
HULL = 0.05
"""A boat's box is this much larger than it was found, as a share of its own width and height."""


class PersonInWater(ZoneRule):
    """A finding while somebody's foot point has been in ``zone``, the water, but in no boat, for ``dwell``.

    Boats are the hard part: detectors miss many. So one is remembered for ``grace``, and who was seen on one
    stays on it for 10 s, unless it is seen and he is not on it.
    """

    kind: Literal["person_in_water"] = "person_in_water"
    vessels: tuple[str, ...] = ("boat",)
    """What carries people."""
    dwell: Duration = timedelta(seconds=1)
    severity: Severity = "critical"
    need_ack: bool = True

    @property
    def rediscovery_time(self) -> timedelta:
        return self.dwell

    @property
    def labels_sought(self) -> tuple[Keyed, ...]:
        return (*super().labels_sought, *(Keyed("vessels", label) for label in self.vessels))

    def selector(self) -> Select:
        boats = OccupancyTracker(
            self.camera, self.vessels, lambda _: True,
            frames=1, min_score=0, grace_s=self.grace.total_seconds(), moving=self.camera_may_move,
        )  # fmt: skip
        aboard: dict[int, tuple[int, float]] = {}  # person: boat, when last seen on it

        def pick(there: list[Presence], observation: Observation) -> list[Presence]:
            now_s = observation.mono_s
            near = boats.look(observation) or []
            seen = {boat.number for boat in near if boat.last_s == now_s}
            for person in there:
                boat = next((boat.number for boat in near if _carries(boat, person)), None)
                if boat is not None:
                    aboard[person.number] = (boat, now_s)
                elif person.number in aboard:
                    his, last_s = aboard[person.number]
                    if his in seen or now_s - last_s > ABOARD_S:
                        del aboard[person.number]
                if person.number in aboard:
                    person.since, person.since_s = observation.at, now_s
            for gone in aboard.keys() - {person.number for person in there}:
                del aboard[gone]
            return [
                one
                for one in there
                if one.number not in aboard and one.lasted_s() >= self.dwell.total_seconds()
            ]

        return pick

    def text(self, found: Sequence[Presence]) -> str:
        return f"{describe(found)} in the water at {self.place()}"


def _carries(boat: Presence, person: Presence) -> bool:
    left, top, right, bottom = boat.seen.box
    wide, tall = HULL * (right - left), HULL * (bottom - top)
    x, y = foot_of(person.seen.box)
    return left - wide <= x <= right + wide and top - tall <= y <= bottom + tall
