"""A vehicle, boat or bag does not move: parked illegally, or left behind."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

from pydantic import Field

from agent.domain.durations import Duration
from agent.domain.findings import Evaluator, Finding, for_duration
from agent.domain.observations import Observation
from agent.domain.progress import Progress, lasting
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import Presence, describe, moved
from models.detection import Box

INITIAL_S = 10.0
"""An object that appears within this time of the first sighting was there from the start."""


class Stationary(ZoneRule):
    """A finding while an object in the zone has not moved for ``after``, even if hidden by passers-by."""

    kind: Literal["stationary"] = "stationary"
    labels: tuple[str, ...] = Field(min_length=1, max_length=200)
    after: Duration = timedelta(minutes=2)
    grace: Duration = timedelta(seconds=30)
    ignore_initial: bool = False
    """Whether objects that were there when the agent started are ignored until they have moved."""

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        """An object with an active finding may be there from the start: it is not ignored."""
        return self.model_copy(update={"ignore_initial": False}).start() if active else self.start()

    @property
    def rediscovery_time(self) -> timedelta:
        return self.after

    @property
    def look_back(self) -> timedelta:
        return self.after + self.grace

    def selector(self) -> Select:
        stood: dict[int, Box] = {}
        ignored: set[int] = set()
        first_s: float | None = None
        after_s = self.after.total_seconds()

        def select(present: list[Presence], observation: Observation) -> list[Presence]:
            nonlocal first_s, stood
            first_s = observation.mono_s if first_s is None else first_s
            before, stood = stood, {}
            for presence in present:
                anchor = before.get(presence.number)
                if anchor is None and self.ignore_initial and presence.since_s - first_s <= INITIAL_S:
                    ignored.add(presence.number)
                if anchor is not None and moved(anchor, presence.seen.box):
                    ignored.discard(presence.number)
                    presence.since, presence.since_s, anchor = observation.at, observation.mono_s, None
                stood[presence.number] = anchor or presence.seen.box
            ignored.intersection_update(stood)
            return [
                presence
                for presence in present
                if presence.lasted_s() >= after_s and presence.number not in ignored
            ]

        return select

    def presence_progress(self, presence: Presence, _now_s: float) -> Progress:
        return lasting("still", "standing still", presence.lasted_s(), self.after.total_seconds())

    def text(self, presences: Sequence[Presence]) -> str:
        return f"{describe(presences)} standing in {self.place()} {for_duration(self.lasted_s(presences))}"

    def lasted_s(self, presences: Sequence[Presence]) -> float:
        return max(presence.lasted_s() for presence in presences)
