"""Somebody or something comes into a zone."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from pydantic import Field

from agent.durations import Duration
from agent.observations import Observation
from agent.parts import Finding, Judge, Over, RulePart
from agent.rules.presence import watch_zone


class ZoneEnter(RulePart):
    """A finding while at least one object of ``labels`` is in the zone, after ``frames`` frames of it."""

    kind: Literal["zone_enter"] = "zone_enter"
    camera: str
    zone: str
    labels: tuple[str, ...] = Field(default=("person",), min_length=1)
    frames: int = Field(default=3, ge=1, le=100)
    """In how many frames it must have been in the zone: one flicker of the detector is no visitor."""
    min_score: float = Field(default=0.4, ge=0, le=1)
    grace: Duration = timedelta(seconds=3)

    def start(self) -> Judge:
        look = watch_zone(
            self.camera, self.zone, frozenset(self.labels), self.min_score, self.grace.total_seconds()
        )
        found = False

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            nonlocal found
            there = look(observation)
            if there is None:
                return
            inside = [presence for presence in there if presence.frames >= self.frames]
            if inside:
                found = True
                first = min(inside, key=lambda presence: presence.since_s)
                who = first.seen.label if len(inside) == 1 else f"{len(inside)} objects"
                yield Finding(
                    key=self.zone,
                    text=f"{who} in {self.zone}",
                    since=first.since,
                    since_s=first.since_s,
                    source=self.camera,
                    zone=self.zone,
                    label=first.seen.label,
                    count=len(inside),
                    score=max(presence.score for presence in inside),
                    box=first.seen.box,
                    latency_s=getattr(observation.value, "delay_s", None),
                )
            elif found:
                found = False
                yield Over(self.zone)

        return judge
