"""The common part of rules on the device's position: hysteresis in space and time, and loss of position."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding, Point, for_duration
from agent.domain.observations import Observation, Tick
from agent.domain.progress import Progress, State, not_met, with_progress
from agent.positioning.fix_gate import MAX_EPOCH_S
from agent.positioning.fix_quality import NO_FIX, accepted_fix
from agent.rules.hold_timer import Since, debounce
from firmware_bridge.readings import Fix

FRESH_S = 5.0
"""A position older than this, or than two intervals of its receiver, starts no finding; the text of an active
one then says how long there has been no position."""
EXIT_MARGIN = 0.2
"""A device that entered at a radius has left at 1.2 of it, so that noise at the edge changes nothing."""

NO_POSITION = "no_position"
Last: TypeAlias = tuple[Point, float, float]
"""The newest position, its metres outside, and its monotonic time."""
DistanceMeasure: TypeAlias = Callable[[float, float], float]
"""From latitude and longitude to metres outside; 0 or less is inside."""


class PositionRule(SourceRule):
    """A rule on the accepted fixes of ``source``, a receiver."""

    value_kind: ClassVar[str | None] = "fix"

    hold: Duration = timedelta(seconds=15)
    """How long a violation must last before it is a finding, and be over before it clears."""
    lost_after: Duration | None = timedelta(minutes=2)
    """Without an accepted fix for so long the missing position is a finding of its own."""
    where: str | None = None
    """The name of the place for people."""

    @abstractmethod
    def distance_measure(self) -> tuple[DistanceMeasure, float]:
        """The distance measure, and the metres outside at which the device has left."""

    @abstractmethod
    def violation(self, outside: bool, at: datetime) -> str | None:
        """The key of the violation at a time, from whether the device is outside; None: no violation."""

    @abstractmethod
    def text(self, violation: str, off_m: float) -> str:
        """The text of the finding."""

    def applies(self, _at: datetime) -> bool:
        """Whether the position of the device matters at that time."""
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
        debounced = debounce(self.hold, held_before)
        last: Last | None = None
        outside = bool(before and before.memo and before.memo.get("outside"))
        reported = before.key if before else None
        doubt: str | None = None
        lost = position_loss(self.source, self.lost_after)
        on_fix, fresh_s = freshness_timer(), FRESH_S

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal last, outside, reported, doubt, fresh_s
            now_s, accepted = observation.mono_s, None
            if isinstance(observation.value, Fix) and observation.source == self.source:
                accepted, doubt, fresh_s = accepted_fix(observation), observation.doubt, on_fix(now_s)
                if accepted is not None:
                    off_m = measure(*accepted.position)
                    outside = off_m - (accepted.error_m or 0) > margin_m or (outside and off_m > 0)
                    last = (Point(*accepted.position, accepted.error_m, "gnss"), off_m, now_s)
            elif not isinstance(observation.value, Tick):
                return
            if last is None and before is not None and before.point is not None:
                at_s = heard_before_s(before, observation)
                last = (before.point, measure(before.point.lat, before.point.lon), at_s)
            known = accepted is not None or not self.applies(observation.at)
            yield from lost(known, last[0] if last else None, doubt, observation)
            if last is None:
                return
            point, off_m, fix_s = last
            violation = self.violation(outside, observation.at)
            stale = now_s - fix_s > fresh_s
            held = debounced(None if stale and violation != reported else violation, observation)
            if reported is not None and (held is None or held[0] != reported):
                yield Cleared(reported)
            reported = held[0] if held else None
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

        def tell(at: datetime, now_s: float) -> Iterable[Progress]:
            if last is None:
                return [Progress(state="blind", code="no_position", text="no position yet")]
            _, off_m, fix_s = last
            if now_s - fix_s > fresh_s:
                return [Progress(state="blind", code="no_position", text=no_position(now_s - fix_s, doubt))]
            place = f"{abs(off_m):.0f} m {'outside' if off_m > 0 else 'inside'} the limit"
            violation = self.violation(outside, at)
            if violation is None:
                return [not_met("place", place, round(off_m, 1), margin_m)]
            state: State = "met" if reported == violation else "holding"
            return [
                Progress(state=state, code="place", text=place, have=round(off_m, 1), need=margin_m, unit="m")
            ]

        return with_progress(evaluate, tell)


def heard_before_s(found: Finding, observation: Observation) -> float:
    """The monotonic time of the last position before a restart, by ``heard`` in the memo of the finding."""
    heard = found.memo.get("heard") if found.memo else None
    age_s = (observation.at - datetime.fromisoformat(heard)).total_seconds() if heard else 0.0
    return observation.mono_s - max(0.0, age_s)


def freshness_timer() -> Callable[[float], float]:
    """A function of the time of a fix: for how many seconds from then on the position is fresh."""
    before_s: float | None = None

    def on_fix(now_s: float) -> float:
        nonlocal before_s
        interval_s = 0.0 if before_s is None else min(now_s - before_s, MAX_EPOCH_S)
        before_s = now_s
        return max(FRESH_S, 2 * interval_s)

    return on_fix


def no_position(for_s: float, doubt: str | None) -> str:
    """The text for a missing position, with the reason why the last fix was not accepted."""
    return f"no position {for_duration(for_s)}" + (f" ({doubt})" if doubt not in (None, NO_FIX) else "")


LossEvaluator: TypeAlias = Callable[
    [bool, Point | None, str | None, Observation], Iterable[Finding | Cleared]
]
"""From whether the position is known, the last position, the latest doubt, and the observation."""


def position_loss(source: str, after: timedelta | None) -> LossEvaluator:
    """A finding while ``source`` has had no accepted fix for ``after``; never, where that is None."""
    since: Since | None = None
    reported = False

    def evaluate_loss(
        known: bool, last: Point | None, doubt: str | None, observation: Observation
    ) -> Iterable[Finding | Cleared]:
        nonlocal since, reported
        since = since or (observation.at, observation.mono_s)
        if known:
            since = (observation.at, observation.mono_s)
            if reported:
                reported = False
                yield Cleared(NO_POSITION)
        elif after is not None and observation.mono_s - since[1] >= after.total_seconds():
            reported = True
            yield Finding(
                key=NO_POSITION,
                text=f"{source} has {no_position(observation.mono_s - since[1], doubt)}",
                lasted_s=observation.mono_s - since[1],
                since=since[0],
                since_s=since[1],
                source=source,
                point=last,
            )

    return evaluate_loss
