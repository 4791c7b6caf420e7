"""A limit for entries that anybody can cause: a flood of forged orders must not fill the disk. Pure.

Beyond the limit entries are counted; one entry for each kind then stands for them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BURST, PER_SECOND = 20.0, 0.1
"""Entries of one kind that are listed at once, and after that in each second."""
SUMMARY_AFTER_S = 60.0
"""Entries that were not listed are summed up after this long."""
LIMITED = frozenset({"refused", "command", "push", "ack", "broker_login", "clock_step"})
"""Kinds that are limited where nobody signed: whoever may publish to the device can cause them."""


@dataclass(slots=True)
class _Kind:
    tokens: float = BURST
    level_at_s: float = 0.0
    unlisted: int = 0
    since: str = ""
    since_s: float = 0.0
    last: Mapping[str, Any] | None = None


class EntryLimit:
    """A token bucket for each kind of entry. Time comes in: an instant as text, and monotonic seconds."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def admit(self, kind: str, fields: Mapping[str, Any], at: str, now_s: float) -> bool:
        """Whether the entry may be listed; else it is counted."""
        known = self._kinds.setdefault(kind, _Kind(level_at_s=now_s))
        known.tokens = min(BURST, known.tokens + max(0.0, now_s - known.level_at_s) * PER_SECOND)
        known.level_at_s = now_s
        if known.tokens >= 1 and not known.unlisted:
            known.tokens -= 1
            return True
        if not known.unlisted:
            known.since, known.since_s = at, now_s
        known.unlisted += 1
        known.last = fields
        return False

    def summaries(self, now_s: float, *, at_once: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """Kind and fields of the entries that stand for those not listed, where they are due."""
        found = []
        for kind, known in self._kinds.items():
            if known.unlisted and (at_once or now_s - known.since_s >= SUMMARY_AFTER_S):
                found.append((kind, {"unlisted": known.unlisted, "since": known.since, "last": known.last}))
                known.unlisted = 0
        return found
