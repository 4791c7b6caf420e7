"""The hours of a rule: an evaluator that runs only while it is open."""

import math
from collections.abc import Iterable

from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.domain.schedule import Schedule


def within_hours(schedule: Schedule, evaluator: Evaluator, active: Iterable[str] = ()) -> Evaluator:
    """``evaluator``, heard only in the hours of ``schedule``.

    It sees everything at all times, so that what began before the hours is told when they begin, with its
    true beginning. What still is so when they end is over then, and its end says why.
    """
    so: dict[str, Finding] = {}
    inherited = set(active)  # told before this judge began, and not yet found again
    minute, was_open, newest_s = -1, False, -math.inf

    def evaluate_in_hours(observation: Observation) -> Iterable[Finding | Cleared]:
        nonlocal minute, was_open, newest_s
        before, this_minute = was_open, int(observation.at.timestamp() // 60)
        if this_minute != minute and observation.mono_s >= newest_s:  # a frame comes later than it was taken
            minute, was_open = this_minute, schedule.open(observation.at)
        newest_s = max(newest_s, observation.mono_s)
        if before and not was_open:
            yield from [Cleared(key, f"outside its hours ({schedule.text})") for key in so]
        if inherited and not was_open:
            yield from [Cleared(key, f"outside its hours ({schedule.text})") for key in sorted(inherited)]
            inherited.clear()
        for fact in evaluator(observation):
            inherited.discard(fact.key)
            if isinstance(fact, Finding):
                so[fact.key] = fact
            else:
                so.pop(fact.key, None)
            if was_open and (before or isinstance(fact, Cleared)):
                yield fact
        if was_open and not before:
            yield from list(so.values())

    return evaluate_in_hours
