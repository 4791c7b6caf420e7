"""The recent observations that rules use, so that a changed rule knows what came before its change. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from heapq import merge
from operator import itemgetter
from typing import TypeAlias

from agent.domain.contracts import RulePart
from agent.domain.observations import Observation, Sighting, Tick

MARGIN = timedelta(seconds=60)
"""Observations are kept for this much longer than the rule looks back: objects may have been hidden."""
MAX_AGE = timedelta(minutes=15)
MAX_OBSERVATIONS = 1500
"""At most so old, and so many of one source: this bounds memory and the time that a change takes."""
TICKS = ""
"""The key of ticks, which every rule gets; no source has this name."""

Numbered: TypeAlias = tuple[int, Observation]


class ObservationHistory:
    """The latest observations of each source that a rule names, and the ticks."""

    def __init__(self) -> None:
        self._max_age_s: dict[str, float] = {}
        self._kept: dict[str, deque[Numbered]] = {}
        self._number = 0

    def keep_for(self, rules: Iterable[RulePart]) -> None:
        """Keeps from now on what ``rules`` use, and drops the rest."""
        ages: dict[str, float] = {}
        for rule in rules:
            age_s = min(rule.look_back + MARGIN, MAX_AGE).total_seconds()
            for source in (*rule.sources(), TICKS):
                ages[source] = max(age_s, ages.get(source, 0.0))
        self._max_age_s = ages
        self._kept = {source: self._kept.get(source) or deque(maxlen=MAX_OBSERVATIONS) for source in ages}

    def add(self, observation: Observation) -> None:
        """Keeps ``observation`` where a rule uses it, without the picture of a sighting."""
        value = observation.value
        source = TICKS if isinstance(value, Tick) else observation.source
        kept = self._kept.get(source)
        if kept is None:
            return
        if isinstance(value, Sighting) and value.frame_with_people is not None:
            observation = replace(observation, value=replace(value, frame_with_people=None))
        self._number += 1
        kept.append((self._number, observation))
        while observation.mono_s - kept[0][1].mono_s > self._max_age_s[source]:
            kept.popleft()

    def of(self, rule: RulePart) -> list[Observation]:
        """The observations that ``rule`` uses, in the order in which they came."""
        kept: Mapping[str, Iterable[Numbered]] = self._kept
        streams = [kept.get(source, ()) for source in {*rule.sources(), TICKS}]
        return [observation for _, observation in merge(*streams, key=itemgetter(0))]
