"""The schedule of a rule: an evaluator that states findings only while the schedule is open."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.domain.progress import Progress, progress_of, with_progress
from agent.domain.schedule import Schedule

QUARTER, DAY = timedelta(minutes=15), timedelta(days=1)


def within_hours(schedule: Schedule, evaluator: Evaluator, active: Iterable[str] = ()) -> Evaluator:
    """``evaluator``, restricted to the hours of ``schedule``.

    It gets all observations, so that a finding from before the hours is stated when they begin, with its true
    start. Findings that still hold when the hours end are cleared with that reason. ``active`` are the keys
    that held before this evaluator started.
    """
    holding: dict[str, Finding] = {}
    inherited = set(active)  # held before, and not yet found again
    minute, was_open, newest_s = -1, False, -math.inf

    def evaluate_in_hours(observation: Observation) -> Iterable[Finding | Cleared]:
        nonlocal minute, was_open, newest_s
        before, this_minute = was_open, int(observation.at.timestamp() // 60)
        if this_minute != minute and observation.mono_s >= newest_s:  # frames arrive late: ignore older ones
            minute, was_open = this_minute, schedule.open(observation.at)
        newest_s = max(newest_s, observation.mono_s)
        if before and not was_open:
            yield from [Cleared(key, f"outside its hours ({schedule.text})") for key in holding]
        if inherited and not was_open:
            yield from [Cleared(key, f"outside its hours ({schedule.text})") for key in sorted(inherited)]
            inherited.clear()
        for stated in evaluator(observation):
            inherited.discard(stated.key)
            if isinstance(stated, Finding):
                holding[stated.key] = stated
            else:
                holding.pop(stated.key, None)
            if was_open and (before or isinstance(stated, Cleared)):
                yield stated
        if was_open and not before:
            yield from list(holding.values())

    def tell(at: datetime, now_s: float) -> Iterable[Progress]:
        if schedule.open(at):
            return progress_of(evaluator, at, now_s)
        return [Progress(state="off_schedule", code="schedule", text=closed_text(schedule, at))]

    return with_progress(evaluate_in_hours, tell)


@lru_cache(64)
def _opens_at(schedule: Schedule, quarter: datetime) -> datetime | None:
    """The next quarter of an hour from ``quarter`` on in which it is open, within a week."""
    steps = (quarter + n * QUARTER for n in range(1, 4 * 24 * 7))
    return next((at for at in steps if schedule.open(at)), None)


def closed_text(schedule: Schedule, at: datetime) -> str:
    """``off schedule until 22:00``, in the time zone of the schedule; to a quarter of an hour."""
    quarter = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    opens = _opens_at(schedule, quarter)
    if opens is None:
        return f"off schedule ({schedule.text})"
    form = "%H:%M" if opens - at < DAY else "%a %H:%M"
    return f"off schedule until {opens.astimezone(ZoneInfo(schedule.zone)):{form}}"
