"""Somebody or something stays in a zone for longer than it should."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from pydantic import Field

from agent.durations import Duration
from agent.observations import Observation
from agent.parts import Finding, Judge, Over, RulePart
from agent.rules.presence import Presence, watch_zone


class ZoneDwell(RulePart):
    """A finding while at least one object of ``labels`` has been in the zone for ``dwell``."""

    kind: Literal["zone_dwell"] = "zone_dwell"
    camera: str
    zone: str
    labels: tuple[str, ...] = Field(default=("person",), min_length=1)
    dwell: Duration = timedelta(seconds=20)
    min_score: float = Field(default=0.4, ge=0, le=1)
    grace: Duration = timedelta(seconds=3)
    """How long somebody may be out of sight and still be there."""

    def start(self) -> Judge:
        look = watch_zone(
            self.camera, self.zone, frozenset(self.labels), self.min_score, self.grace.total_seconds()
        )
        dwell_s = self.dwell.total_seconds()
        found = False

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            nonlocal found
            there = look(observation)
            if there is None:
                return
            staying = [presence for presence in there if presence.lasted_s() >= dwell_s]
            if staying:
                found = True
                yield self._finding(staying, observation)
            elif found:
                found = False
                yield Over(self.zone)

        return judge

    def _finding(self, staying: list[Presence], observation: Observation) -> Finding:
        longest = max(staying, key=Presence.lasted_s)
        seconds = int(longest.lasted_s())
        who = longest.seen.label if len(staying) == 1 else f"{len(staying)} objects"
        return Finding(
            key=self.zone,
            text=f"{who} at {self.zone} for {seconds} s",
            since=longest.since,
            since_s=longest.since_s,
            source=self.camera,
            zone=self.zone,
            label=longest.seen.label,
            count=len(staying),
            score=longest.score,
            box=longest.seen.box,
            latency_s=getattr(observation.value, "delay_s", None),
        )
