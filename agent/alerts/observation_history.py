"""The recent observations that rules use, so that a changed rule knows what came before its change. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TypeAlias

from agent.domain.contracts import RulePart
from agent.domain.observations import Observation, Sighting, Tick

MARGIN = timedelta(seconds=60)
"""Observations are kept for this much longer than the rule looks back: objects may have been hidden."""
MAX_AGE = timedelta(minutes=15)
MAX_OBSERVATIONS = 1500
"""At most so old, and so many of one source: this bounds memory and the time that a change takes."""
MAX_REPLAYED = 6000
"""So many observations are evaluated again for all rules that change at once: under a second for most."""
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
            for source in (*rule.sources(), TICKS):
                ages[source] = max(_age_s(rule), ages.get(source, 0.0))
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

    def latest(self, count: int) -> list[Observation]:
        """Up to ``count`` of each source."""
        newest = (islice(reversed(kept), count) for kept in self._kept.values())
        return [observation for kept in newest for _, observation in kept]

    def of(self, rule: RulePart, changed: int = 1) -> list[Observation]:
        """The observations that ``rule`` uses, in the order in which they came.

        Of ``changed`` rules at once each gets its share of `MAX_REPLAYED` at most, the latest ones. None is
        older than they are kept, so that the last word of a source that is gone is not news.
        """
        kept: Mapping[str, Iterable[Numbered]] = self._kept
        sources = {*rule.sources(), TICKS}
        newest_s = max((kept[-1][1].mono_s for kept in self._kept.values() if kept), default=0.0)
        observations = merge(*(kept.get(source, ()) for source in sources), key=itemgetter(0))
        oldest_s = newest_s - _age_s(rule)
        recent = [observation for _, observation in observations if observation.mono_s >= oldest_s]
        return recent[-(MAX_REPLAYED // changed) :]


def _age_s(rule: RulePart) -> float:
    """How long the observations of ``rule`` are kept, in seconds."""
    return min(rule.look_back + MARGIN, MAX_AGE).total_seconds()
