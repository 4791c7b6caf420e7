"""What the rules on the device's own position share: hysteresis in space and in time."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

from agent.durations import Duration, spoken
from agent.observations import Observation, Tick
from agent.parts import Finding, Judge, Over, Point, RulePart
from agent.rules.lasting import steady
from firmware_bridge.readings import Fix

FRESH_S = 5.0
"""A position older than this begins nothing, and what goes on without a newer one says so."""
LEAVES_AT = 0.2
"""Who came in at a radius has left at 1.2 of it: at the edge nobody comes and goes with the noise."""

Ruler: TypeAlias = Callable[[float, float], float]
"""Latitude and longitude to metres outside; 0 or less is inside."""


class PositionRule(RulePart):
    """A rule on where ``source``, a receiver, says that the device is."""

    hears: ClassVar[str | None] = "fix"

    source: str
    hold: Duration = timedelta(seconds=15)
    """How long it must be so before it is told, and be over before it has ended."""
    where: str | None = None
    """What people call the place."""

    @abstractmethod
    def ruler(self) -> tuple[Ruler, float]:
        """What measures, and how many metres outside one has left."""

    @abstractmethod
    def wrong(self, outside: bool, at: datetime) -> str | None:
        """A key for what is wrong, or None: by where the device is, and the time."""

    @abstractmethod
    def text(self, wrong: str, off_m: float) -> str:
        """What to tell, in words for people."""

    def start(self) -> Judge:
        measure, margin_m = self.ruler()
        so = steady(self.hold)
        last: tuple[Point, float, float] | None = None  # where, metres outside, when
        outside = False
        told: str | None = None

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            nonlocal last, outside, told
            value, now_s = observation.value, observation.mono_s
            if isinstance(value, Fix) and observation.source == self.source:
                if value.lat is not None and value.lon is not None and value.mode != "none":
                    off_m = measure(value.lat, value.lon)
                    outside = off_m - (value.error_m or 0) > margin_m or (outside and off_m > 0)
                    last = (Point(value.lat, value.lon, value.error_m, "gnss"), off_m, now_s)
            elif not isinstance(value, Tick):
                return
            if last is None:
                return
            point, off_m, fix_s = last
            wrong = self.wrong(outside, observation.at)
            stale = now_s - fix_s > FRESH_S
            held = so(None if stale and wrong != told else wrong, observation)
            if told is not None and (held is None or held[0] != told):
                yield Over(told)
            told = held[0] if held else None
            if held is not None:
                text = self.text(held[0], off_m)
                yield Finding(
                    key=held[0],
                    text=f"{text}; no position for {spoken(now_s - fix_s)}" if stale else text,
                    since=held[1][0],
                    since_s=held[1][1],
                    source=self.source,
                    point=point,
                )

        return judge
