"""What the rules on the device's own position share: hysteresis in space and in time."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

from agent.durations import Duration, spoken
from agent.observations import Observation, Tick
from agent.parts import Finding, Judge, Over, Point, RulePart
from agent.rules.lasting import Since, steady
from firmware_bridge.readings import Fix

FRESH_S = 5.0
"""A position older than this begins nothing, and what goes on without a newer one says so."""
LEAVES_AT = 0.2
"""Who came in at a radius has left at 1.2 of it: at the edge nobody comes and goes with the noise."""

NO_POSITION = "no_position"
Last: TypeAlias = tuple[Point, float, float]
"""The newest position, how many metres outside it is, and its monotonic instant."""
Ruler: TypeAlias = Callable[[float, float], float]
"""Latitude and longitude to metres outside; 0 or less is inside."""


class PositionRule(RulePart):
    """A rule on where ``source``, a receiver, says that the device is."""

    hears: ClassVar[str | None] = "fix"

    source: str
    hold: Duration = timedelta(seconds=15)
    """How long it must be so before it is told, and be over before it has ended."""
    lost_after: Duration | None = timedelta(minutes=2)
    """Without a position for so long nobody can tell where it is, and that is told too."""
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

    def matters(self, _at: datetime) -> bool:
        """Whether anybody wants to know at that time where the device is."""
        return True

    def start(self) -> Judge:
        measure, margin_m = self.ruler()
        so = steady(self.hold)
        last: Last | None = None
        outside = False
        told: str | None = None
        lost = self._lost()

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
            yield from lost(last, observation)
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

    def _lost(self) -> Callable[[Last | None, Observation], Iterable[Finding | Over]]:
        """Tells that there is no position, and since when."""
        since: Since | None = None
        told = False

        def tell(last: Last | None, observation: Observation) -> Iterable[Finding | Over]:
            nonlocal since, told
            now_s = observation.mono_s
            if (last is not None and last[2] == now_s) or not self.matters(observation.at):
                since = (observation.at, now_s)
                if told:
                    told = False
                    yield Over(NO_POSITION)
                return
            since = since or (observation.at, now_s)
            if self.lost_after is not None and now_s - since[1] >= self.lost_after.total_seconds():
                told = True
                yield Finding(
                    key=NO_POSITION,
                    text=f"{self.source} has no position for {spoken(now_s - since[1])}",
                    since=since[0],
                    since_s=since[1],
                    source=self.source,
                    point=last[0] if last else None,
                )

        return tell
