"""A limit for entries that others can cause: a flood of orders must neither fill the disk nor push out the
entries of before. Pure.

Beyond the limit entries are counted; one entry then stands for them all, with the last of them. A flood under
a valid key is counted for each key and command, refusals without a key for each kind of order: no flood hides
another order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

BURST, PER_SECOND = 20.0, 1 / 600
"""Unsigned entries of one kind that are listed at once, and after that in each second."""
SIGNED_BURST, SIGNED_PER_SECOND = 100.0, 1 / 60
"""The same for the entries of one kind and command under the same keys."""
SUMMARY_AFTER_S = 600.0
"""Entries that were not listed are summed up after this long."""
MOST_SOURCES = 256
"""Beyond so many commands and keys, the commands of a key share one limit."""
LIMITED = frozenset(
    {"look", "refused", "command", "push", "ack", "roles", "grant", "broker_login", "clock_step"}
)
"""Kinds that are limited."""


class Source(NamedTuple):
    """What shares one limit."""

    kind: str
    command: str = ""
    """Of refusals without a key: the kind of order."""
    who: tuple[str, ...] = ()


@dataclass(slots=True)
class _Level:
    tokens: float
    at_s: float
    unlisted: int = 0
    since: str = ""
    since_s: float = 0.0
    last: Mapping[str, Any] | None = None


class EntryLimit:
    """A token bucket for each `Source`. Time comes in: an instant as text, and monotonic seconds."""

    def __init__(self) -> None:
        self._levels: dict[Source, _Level] = {}

    def admit(self, source: Source, fields: Mapping[str, Any], at: str, now_s: float) -> bool:
        """Whether the entry may be listed; else it is counted."""
        if source.kind not in LIMITED:
            return True
        if source not in self._levels and len(self._levels) >= MOST_SOURCES:
            source = source._replace(command="")
        often = source.who or source.kind == "look"  # of people at the device, who have no key there
        burst, per_s = (SIGNED_BURST, SIGNED_PER_SECOND) if often else (BURST, PER_SECOND)
        level = self._levels.setdefault(source, _Level(burst, now_s))
        level.tokens = min(burst, level.tokens + max(0.0, now_s - level.at_s) * per_s)
        level.at_s = now_s
        if level.tokens >= 1 and not level.unlisted:
            level.tokens -= 1
            return True
        if not level.unlisted:
            level.since, level.since_s = at, now_s
        level.unlisted += 1
        level.last = fields
        return False

    def summaries(self, now_s: float, *, at_once: bool = False) -> list[tuple[Source, dict[str, Any]]]:
        """The fields of the entries that stand for those not listed, where they are due."""
        found = []
        for source, level in self._levels.items():
            if level.unlisted and (at_once or now_s - level.since_s >= SUMMARY_AFTER_S):
                found.append((source, {"unlisted": level.unlisted, "since": level.since, "last": level.last}))
                level.unlisted = 0
        return found
