"""Somebody or something stays in a zone for longer than it should."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from agent.domain.durations import Duration
from agent.domain.findings import for_duration
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import Presence, describe

PATIENCE_S = 15.0


class ZoneDwell(ZoneRule):
    """A finding while at least one object of ``labels`` has been in the zone for ``dwell``."""

    kind: Literal["zone_dwell"] = "zone_dwell"
    dwell: Duration = timedelta(seconds=20)

    def rarely_seen_after_s(self) -> float:
        """Who stays for so long is told though the detector sees him in three of ten looks only."""
        return max(self.dwell.total_seconds(), PATIENCE_S)

    @property
    def rediscovery_time(self) -> timedelta:
        return self.dwell

    def selector(self) -> Select:
        dwell_s = self.dwell.total_seconds()
        return lambda there, _: [one for one in there if one.lasted_s() >= dwell_s]

    def text(self, found: Sequence[Presence]) -> str:
        return f"{describe(found)} at {self.place()} {for_duration(self.lasted_s(found))}"

    def lasted_s(self, found: Sequence[Presence]) -> float:
        return max(one.lasted_s() for one in found)
