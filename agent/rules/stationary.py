"""A vehicle or a boat stays where it is: parked where nobody may, or left behind."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

from pydantic import Field

from agent.domain.durations import Duration
from agent.domain.findings import Evaluator, Finding, for_duration
from agent.domain.observations import Observation
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import Presence, describe, moved
from models.detection import Box

INITIAL_S = 10.0
"""Who is there within this time of the first sighting was there from the start."""


class Stationary(ZoneRule):
    """A finding while an object in the zone has not moved for ``after``; what passes in front may hide it."""

    kind: Literal["stationary"] = "stationary"
    labels: tuple[str, ...] = Field(min_length=1)
    after: Duration = timedelta(minutes=2)
    grace: Duration = timedelta(seconds=30)
    ignore_initial: bool = False
    """What stood there when the agent started is not told until it has moved."""

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        """What was told before may be there from the start: it is told all the same."""
        return self.model_copy(update={"ignore_initial": False}).start() if active else self.start()

    @property
    def rediscovery_time(self) -> timedelta:
        return self.after

    def selector(self) -> Select:
        stood: dict[int, Box] = {}
        ignored: set[int] = set()
        first_s: float | None = None
        after_s = self.after.total_seconds()

        def pick(there: list[Presence], observation: Observation) -> list[Presence]:
            nonlocal first_s, stood
            first_s = observation.mono_s if first_s is None else first_s
            before, stood = stood, {}
            for one in there:
                anchor = before.get(one.number)
                if anchor is None and self.ignore_initial and one.since_s - first_s <= INITIAL_S:
                    ignored.add(one.number)
                if anchor is not None and moved(anchor, one.seen.box):
                    ignored.discard(one.number)
                    one.since, one.since_s, anchor = observation.at, observation.mono_s, None
                stood[one.number] = anchor or one.seen.box
            ignored.intersection_update(stood)
            return [one for one in there if one.lasted_s() >= after_s and one.number not in ignored]

        return pick

    def text(self, found: Sequence[Presence]) -> str:
        return f"{describe(found)} standing in {self.place()} {for_duration(self.lasted_s(found))}"

    def lasted_s(self, found: Sequence[Presence]) -> float:
        return max(one.lasted_s() for one in found)
