"""What receivers of every protocol have in common: an epoch's burst, and weeks counted modulo 1024."""

import math
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias

NOT_BEFORE = date(2026, 11, 1)
"""No receiver that is alive says less: this was written later."""
HORIZON = timedelta(days=10 * 365)
"""A date that only weeks beyond this would explain is no rollover but no date at all."""
ROLLOVER = timedelta(weeks=1024)
STEADY = 3
"""So many epochs must have ended with the same packet before it is trusted to end the next."""
EARTH_M = 6_371_000.0

Position: TypeAlias = tuple[float, float]
"""Latitude and longitude."""


class Cycle:
    """Learns which packet closes an epoch, so that it is told at once and not when the next begins."""

    def __init__(self) -> None:
        self._closer: object = None
        self._last: object = None
        self._steady = 0

    def closes(self, packet: object) -> bool:
        """Whether ``packet`` of the epoch that is being heard is, as far as is known, its last."""
        self._last = packet
        return self._steady >= STEADY and packet == self._closer

    def ended(self) -> None:
        """The epoch is over, by a pause or because another began."""
        if self._last == self._closer:
            self._steady = min(self._steady + 1, 2 * STEADY)
        elif self._steady > 0:
            self._steady -= 1
        else:
            self._closer = self._last
        self._last = None

    def mistaken(self) -> None:
        """More of an epoch came after its last packet."""
        self._closer, self._steady = None, 0


def unroll(moment: datetime, not_before: date | None) -> tuple[datetime | None, int | None]:
    """A receiver's time, and how many weeks were added to make it possible.

    GPS counts weeks modulo 1024; a receiver whose firmware has outlived its own guess is n x 1024 behind.
    Without ``not_before`` (recordings) times stay as they are.
    """
    if not_before is None:
        return moment, None
    earliest = datetime.combine(not_before, time(0), UTC)
    if moment >= earliest:
        return moment, None
    turns = -((moment - earliest) // ROLLOVER)
    moment += turns * ROLLOVER
    return (moment, turns * 1024) if moment - earliest <= HORIZON else (None, None)


def metres(one: Position, other: Position) -> float:
    """How far two positions lie apart; good for what lies near."""
    north = math.radians(other[0] - one[0])
    east = math.radians((other[1] - one[1] + 180) % 360 - 180) * math.cos(math.radians(one[0]))
    return math.hypot(north, east) * EARTH_M
