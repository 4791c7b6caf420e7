"""Holes: sequence numbers that a device issued and that are neither stored nor explained by a ``gap``.

A device lists the numbers that it has issued in ``health.numbers``. A number may still be on its way, so a
device is asked to send missing ones again only `ASK_AFTER_S` after it reported, and at most once in
`ASK_EVERY_S`; a silent device is not asked again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agent.domain.message import new_id
from agent.host.clock import monotonic_s
from centre.message_store import MessageStore
from centre.sequence_gaps import IssuedNumbers, Ranges, issued_numbers, lost_numbers

ASK_AFTER_S, ASK_EVERY_S = 5.0, 60.0
MOST_RANGES, MOST_REQUESTS = 100, 20
"""Ranges in one request, and requests at a time, one for each lane and epoch."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A change of the missing numbers of one lane and epoch; ``state`` is a phrase for people."""

    device: str
    state: str
    lane: str
    epoch: str
    ranges: Ranges
    why: str | None = None


Request: TypeAlias = Callable[[str, dict[str, Any]], None]
"""Called with the device and the body of a ``command/resend``."""


def lost_at_device(device: str, gap: dict[str, Any]) -> Hole | None:
    """The numbers that a ``gap`` message declares lost for good; None where it names none."""
    found = lost_numbers(gap)
    if found is None:
        return None
    return Hole(device, "lost at the device", found.lane, found.epoch, [(found.first, found.last)], found.why)


@dataclass(slots=True)
class _Device:
    """The newest report of one device, and when it may be asked for missing numbers."""

    issued: list[IssuedNumbers] = field(default_factory=list)
    reported: bool = False
    """It reported since it was asked last."""
    check_s: float = 0.0
    asked_s: float = float("-inf")
    holes: dict[tuple[str, str], Ranges] = field(default_factory=dict)
    """By lane and epoch."""


class HoleTracker:
    """Compares issued numbers with stored ones, and asks for those that are missing."""

    def __init__(self, store: MessageStore, clock: Callable[[], float] = monotonic_s) -> None:
        self._store = store
        self._clock = clock
        self._devices: dict[str, _Device] = defaultdict(_Device)
        self._complete: dict[tuple[str, str, str], int] = {}
        """By device, lane and epoch: the highest number up to which nothing is missing."""

    def on_health(self, device: str, health: dict[str, Any]) -> None:
        """Takes the issued numbers from a ``health`` message, if it has any."""
        if "numbers" not in health:
            return
        known = self._devices[device]
        known.issued, known.reported = issued_numbers(health), True
        known.check_s = max(self._clock() + ASK_AFTER_S, known.asked_s + ASK_EVERY_S)

    async def check(self, request: Request, report: Callable[[Hole], None]) -> None:
        """Asks each device that is due for its missing numbers, and reports holes that changed."""
        now_s = self._clock()
        for device, known in list(self._devices.items()):
            if not known.reported or now_s < known.check_s:
                continue
            known.reported = False
            holes = await self._find(device, known.issued)
            for (lane, epoch), ranges in list(holes.items())[:MOST_REQUESTS]:
                request(
                    device, {"id": new_id(), "lane": lane, "epoch": epoch, "ranges": ranges[:MOST_RANGES]}
                )
                if known.holes.get((lane, epoch)) != ranges:
                    report(Hole(device, "asked for again", lane, epoch, ranges))
            for (lane, epoch), ranges in known.holes.items():
                if (lane, epoch) not in holes:
                    report(Hole(device, "closed", lane, epoch, ranges))
            known.holes = holes
            if holes:
                known.asked_s = now_s

    async def _find(self, device: str, issued: list[IssuedNumbers]) -> dict[tuple[str, str], Ranges]:
        """The missing numbers by lane and epoch."""
        holes: dict[tuple[str, str], Ranges] = {}
        for one in issued:
            key = (device, one.lane, one.epoch)
            first = self._complete.get(key, 0) + 1
            missing = await asyncio.to_thread(self._store.missing, device, one, first)
            self._complete[key] = missing[0][0] - 1 if missing else max(one.last, first - 1)
            if missing:
                holes[one.lane, one.epoch] = missing
        return holes
