"""A person or object stays in a zone for too long."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from pydantic import Field

from agent.domain.durations import Duration
from agent.domain.findings import for_duration
from agent.domain.progress import Progress, lasting
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import LEAK_RATE, Leak, Presence, describe

MIN_RARELY_SEEN_S = 15.0


class ZoneDwell(ZoneRule):
    """A finding while at least one object of ``labels`` has been in the zone for ``dwell``: a leaky sum.

    Time in the zone adds up; time hidden or outside, beyond ``grace``, subtracts ``leak_rate`` of itself.
    """

    kind: Literal["zone_dwell"] = "zone_dwell"
    dwell: Duration = timedelta(seconds=20)
    leak_rate: float = Field(default=LEAK_RATE, ge=0, le=10)
    """Seconds of its time that an object loses for each second hidden or outside."""

    def rarely_seen_after_s(self) -> float:
        """After this time a presence counts even if it is detected in only three of ten inferences."""
        return max(self.dwell.total_seconds(), MIN_RARELY_SEEN_S)

    def leak(self) -> Leak:
        return Leak(self.leak_rate, self.dwell.total_seconds())

    @property
    def rediscovery_time(self) -> timedelta:
        return self.dwell

    @property
    def look_back(self) -> timedelta:
        return 2 * self.dwell + self.grace  # hidden for a third of the time, it takes so long

    def selector(self) -> Select:
        dwell_s = self.dwell.total_seconds()
        return lambda present, _: [presence for presence in present if presence.lasted_s() >= dwell_s]

    def presence_progress(self, presence: Presence, _now_s: float) -> Progress:
        return lasting("dwell", "dwell", presence.lasted_s(), self.dwell.total_seconds())

    def text(self, presences: Sequence[Presence]) -> str:
        return f"{describe(presences)} at {self.place()} {for_duration(self.lasted_s(presences))}"

    def lasted_s(self, presences: Sequence[Presence]) -> float:
        return max(presence.lasted_s() for presence in presences)
