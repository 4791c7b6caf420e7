"""The schedule of a rule: an evaluator that states findings only while the schedule is open."""

import math
from collections.abc import Iterable

from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.domain.schedule import Schedule


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

    return evaluate_in_hours
