"""A person is in the water and not in a boat."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from pydantic import Field

from agent.domain.durations import Duration
from agent.domain.escalation import Severity
from agent.domain.observations import Observation
from agent.domain.progress import Progress, lasting
from agent.domain.references import Keyed
from agent.domain.zones import foot_of
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.occupancy import OccupancyTracker
from agent.rules.presence import LEAK_RATE, Leak, Presence, describe

ABOARD_S = 10.0
"""A person seen on a boat that is then undetected is taken to be on it for so long."""
HULL_MARGIN = 0.05
"""The box of a boat is enlarged by this share of its width and height on each side."""


class PersonInWater(ZoneRule):
    """A finding while a person's foot point has been in ``zone``, the water, and in no boat, for ``dwell``.

    Detectors miss many boats. So a boat is remembered for ``grace``, and a person seen on one counts as
    aboard for 10 s, unless the boat is detected without the person on it.
    """

    kind: Literal["person_in_water"] = "person_in_water"
    vessels: tuple[str, ...] = ("boat",)
    """The labels of objects that carry people."""
    dwell: Duration = timedelta(seconds=1)
    leak_rate: float = Field(default=LEAK_RATE, ge=0, le=10)
    """Seconds of its time that a person loses for each second hidden, by waves, or outside."""
    severity: Severity = "critical"
    need_ack: bool = True

    def leak(self) -> Leak:
        return Leak(self.leak_rate, self.dwell.total_seconds())

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
        aboard: dict[int, tuple[int, float]] = {}  # by person: the boat, and when last seen on it

        def select(present: list[Presence], observation: Observation) -> list[Presence]:
            now_s = observation.mono_s
            near = boats.on_sighting(observation) or []
            detected = {boat.number for boat in near if boat.last_s == now_s}
            for person in present:
                boat = next((boat.number for boat in near if _carries(boat, person)), None)
                if boat is not None:
                    aboard[person.number] = (boat, now_s)
                elif person.number in aboard:
                    boat_number, last_s = aboard[person.number]
                    if boat_number in detected or now_s - last_s > ABOARD_S:
                        del aboard[person.number]
                if person.number in aboard:
                    person.since, person.since_s = observation.at, now_s
            for gone in aboard.keys() - {person.number for person in present}:
                del aboard[gone]
            return [
                person
                for person in present
                if person.number not in aboard and person.lasted_s() >= self.dwell.total_seconds()
            ]

        return select

    def presence_progress(self, presence: Presence, _now_s: float) -> Progress:
        return lasting("dwell", "in the water", presence.lasted_s(), self.dwell.total_seconds())

    def text(self, presences: Sequence[Presence]) -> str:
        return f"{describe(presences)} in the water at {self.place()}"


def _carries(boat: Presence, person: Presence) -> bool:
    left, top, right, bottom = boat.seen.box
    wide, tall = HULL_MARGIN * (right - left), HULL_MARGIN * (bottom - top)
    x, y = foot_of(person.seen.box)
    return left - wide <= x <= right + wide and top - tall <= y <= bottom + tall
