"""The core time that is left for regions: whole frames first, the cameras in turn. Injected time.

A region starts only in a thread that no whole frame needs: one thread stays free for the next whole frame,
and where there is but one thread, a region starts only if it ends before the next whole frame is expected.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

SHARE = 0.5
"""Share of the core time of all threads that regions may take: the other half is for the rest of the device,
and for heat."""
BURST_S = 1.0
"""Core seconds per thread that may be saved up."""
OVERDUE_S = 0.1
"""A frame that is later than this is not waited for: its camera is slower than configured, or gone."""
FIRST_COST_S = 0.1
"""Assumed duration of a region before one was measured."""
RECENT = 0.2
"""Weight of the newest duration in the average."""


class WantsRegions(Protocol):
    """A camera, as the budget sees it."""

    region_turn_s: float
    """When its last region started (monotonic)."""

    def has_regions(self) -> bool:
        """Whether regions wait."""

    def expected_s(self) -> float:
        """When its next whole frame is expected at the earliest (monotonic)."""


WantsRegionsT = TypeVar("WantsRegionsT", bound=WantsRegions)


class RegionBudget:
    """Not thread-safe: the pool calls it under its lock. ``threads``: number of the pool's threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._running = 0
        self._cost_s = FIRST_COST_S
        self._saved_s, self._at_s = 0.0, float("-inf")

    def next(self, slots: Sequence[WantsRegionsT], now_s: float, idle: int) -> WantsRegionsT | None:
        """The camera whose region may start now, where ``idle`` threads have nothing to do, this one
        included; None: no region may start."""
        waiting = [slot for slot in slots if slot.has_regions()]
        if not waiting or self._running >= max(1, self._threads - 1) or self._save(now_s) < self._cost_s:
            return None
        if idle < 2 and any(now_s - OVERDUE_S <= slot.expected_s() < now_s + self._cost_s for slot in slots):
            return None
        return min(waiting, key=lambda slot: slot.region_turn_s)

    def start(self, slot: WantsRegions, now_s: float) -> None:
        """A region of ``slot`` starts."""
        slot.region_turn_s = now_s
        self._running += 1

    def end(self, took_s: float) -> None:
        """A region ended after ``took_s`` seconds."""
        self._running -= 1
        self._saved_s -= took_s
        self._cost_s += RECENT * (min(took_s, BURST_S) - self._cost_s)

    def abandon(self) -> None:
        """The thread of a region was abandoned: its duration says nothing about the next one."""
        self._running -= 1

    def _save(self, now_s: float) -> float:
        """The core seconds that may be spent now."""
        most_s = BURST_S * self._threads
        passed_s = now_s - self._at_s
        self._at_s = now_s
        self._saved_s = min(most_s, self._saved_s + SHARE * self._threads * min(passed_s, BURST_S * 2))
        return self._saved_s
