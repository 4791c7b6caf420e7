"""What the rules on the device's own position share: hysteresis in space and in time."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding, Point, for_duration
from agent.domain.observations import Observation, Tick
from agent.positioning.fix_gate import MAX_EPOCH_S
from agent.positioning.fix_quality import NO_FIX, accepted_fix
from agent.rules.hold_timer import Since, debounce
from firmware_bridge.readings import Fix

FRESH_S = 5.0
"""A position older than this, or than two intervals of its receiver, begins nothing, and what goes on without
a newer one says so."""
LEAVES_AT = 0.2
"""Who came in at a radius has left at 1.2 of it: at the edge nobody comes and goes with the noise."""

NO_POSITION = "no_position"
Last: TypeAlias = tuple[Point, float, float]
"""The newest position, how many metres outside it is, and its monotonic instant."""
DistanceMeasure: TypeAlias = Callable[[float, float], float]
"""Latitude and longitude to metres outside; 0 or less is inside."""


class PositionRule(SourceRule):
    """A rule on where ``source``, a receiver, says that the device is, as far as that holds."""

    value_kind: ClassVar[str | None] = "fix"

    hold: Duration = timedelta(seconds=15)
    """How long it must be so before it is told, and be over before it has ended."""
    lost_after: Duration | None = timedelta(minutes=2)
    """Without a position that holds for so long nobody can tell where it is, and that is told too."""
    where: str | None = None
    """What people call the place."""

    @abstractmethod
    def distance_measure(self) -> tuple[DistanceMeasure, float]:
        """What measures, and how many metres outside one has left."""

    @abstractmethod
    def violation(self, outside: bool, at: datetime) -> str | None:
        """A key for what is wrong, or None: by where the device is, and the time."""

    @abstractmethod
    def text(self, wrong: str, off_m: float) -> str:
        """What to tell, in words for people."""

    def applies(self, _at: datetime) -> bool:
        """Whether anybody wants to know at that time where the device is."""
        return True

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold + (self.lost_after or timedelta(0))

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        measure, margin_m = self.distance_measure()
        before = next((found for key, found in active.items() if key != NO_POSITION and found.point), None)
        held_before = None if before is None else (before.key, (before.since, before.since_s or 0.0))
        so = debounce(self.hold, held_before)
        last: Last | None = None
        outside = bool(before and before.memo and before.memo.get("outside"))
        told = before.key if before else None
        doubt: str | None = None
        lost = position_loss(self.source, self.lost_after)
        spoke, fresh_s = freshness(), FRESH_S

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal last, outside, told, doubt, fresh_s
            now_s, heard = observation.mono_s, None
            if isinstance(observation.value, Fix) and observation.source == self.source:
                heard, doubt, fresh_s = accepted_fix(observation), observation.doubt, spoke(now_s)
                if heard is not None:
                    off_m = measure(*heard.position)
                    outside = off_m - (heard.error_m or 0) > margin_m or (outside and off_m > 0)
                    last = (Point(*heard.position, heard.error_m, "gnss"), off_m, now_s)
            elif not isinstance(observation.value, Tick):
                return
            if last is None and before is not None and before.point is not None:
                at_s = heard_before_s(before, observation)
                last = (before.point, measure(before.point.lat, before.point.lon), at_s)
            known = heard is not None or not self.applies(observation.at)
            yield from lost(known, last[0] if last else None, doubt, observation)
            if last is None:
                return
            point, off_m, fix_s = last
            wrong = self.violation(outside, observation.at)
            stale = now_s - fix_s > fresh_s
            held = so(None if stale and wrong != told else wrong, observation)
            if told is not None and (held is None or held[0] != told):
                yield Cleared(told)
            told = held[0] if held else None
            if held is not None:
                text = self.text(held[0], off_m)
                yield Finding(
                    key=held[0],
                    text=f"{text}; {no_position(now_s - fix_s, doubt)}" if stale else text,
                    since=held[1][0],
                    since_s=held[1][1],
                    source=self.source,
                    point=point,
                    memo={
                        "outside": outside,
                        "heard": (observation.at - timedelta(seconds=now_s - fix_s)).isoformat(),
                    },
                )

        return evaluate


def heard_before_s(found: Finding, observation: Observation) -> float:
    """The monotonic instant of the last position that a judge before had, by the ``heard`` of its memo."""
    heard = found.memo.get("heard") if found.memo else None
    age_s = (observation.at - datetime.fromisoformat(heard)).total_seconds() if heard else 0.0
    return observation.mono_s - max(0.0, age_s)


def freshness() -> Callable[[float], float]:
    """Told when a receiver speaks, it answers for how many seconds from then on what it said is fresh."""
    before_s: float | None = None

    def spoke(now_s: float) -> float:
        nonlocal before_s
        interval_s = 0.0 if before_s is None else min(now_s - before_s, MAX_EPOCH_S)
        before_s = now_s
        return max(FRESH_S, 2 * interval_s)

    return spoke


def no_position(for_s: float, doubt: str | None) -> str:
    """That there is none, and why the last was not taken for one."""
    return f"no position {for_duration(for_s)}" + (f" ({doubt})" if doubt not in (None, NO_FIX) else "")


Tell: TypeAlias = Callable[[bool, Point | None, str | None, Observation], Iterable[Finding | Cleared]]
"""Whether it is known where the device is, where it was last, the newest doubt; the fact, since when."""


def position_loss(source: str, after: timedelta | None) -> Tell:
    """Tells that ``source`` has had no position that holds for ``after``; never, where that is None."""
    since: Since | None = None
    told = False

    def tell(
        known: bool, last: Point | None, doubt: str | None, observation: Observation
    ) -> Iterable[Finding | Cleared]:
        nonlocal since, told
        since = since or (observation.at, observation.mono_s)
        if known:
            since = (observation.at, observation.mono_s)
            if told:
                told = False
                yield Cleared(NO_POSITION)
        elif after is not None and observation.mono_s - since[1] >= after.total_seconds():
            told = True
            yield Finding(
                key=NO_POSITION,
                text=f"{source} has {no_position(observation.mono_s - since[1], doubt)}",
                lasted_s=observation.mono_s - since[1],
                since=since[0],
                since_s=since[1],
                source=source,
                point=last,
            )

    return tell
