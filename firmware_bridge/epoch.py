"""What receivers of every protocol have in common: an epoch's burst, and weeks counted modulo 1024."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from firmware_bridge.readings import Fix, Value

NOT_BEFORE = date(2026, 11, 1)
"""No receiver that is alive says less: this was written later."""
HORIZON = timedelta(days=10 * 365)
"""A date that only weeks beyond this would explain is no rollover but no date at all."""
ROLLOVER = timedelta(weeks=1024)
STEADY = 3
"""So many epochs must have ended with the same packet before it is trusted to end the next."""
SAME_EPOCH = timedelta(milliseconds=20)


class EpochBoundary:
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

    def leads(self, kind: bytes) -> None:
        """``kind`` turned out to lead the next epoch: it closes none."""
        if self._closer is not None and kind in (
            self._closer if isinstance(self._closer, tuple) else (self._closer,)
        ):
            self.mistaken()

    def mistaken(self) -> None:
        """More of an epoch came after its last packet."""
        self._closer, self._steady = None, 0


@dataclass(frozen=True, slots=True)
class Satellite:
    """One satellite in a receiver's sky; ``talker`` names its constellation (GP, GL, GA, GB)."""

    talker: str
    number: int
    elevation_deg: int
    azimuth_deg: int
    cn0_dbhz: int | None = None
    used: bool = False


class EpochDeduplicator:
    """An epoch that several decoders of one line speak of is told by the first."""

    def __init__(self) -> None:
        self._told: deque[tuple[object, datetime]] = deque(maxlen=6)

    def passes(self, decoder: object, value: Value) -> bool:
        """Whether ``value`` is to be told."""
        if not isinstance(value, Fix) or value.time is None:
            return True
        if any(who is not decoder and abs(value.time - time) <= SAME_EPOCH for who, time in self._told):
            return False
        self._told.append((decoder, value.time))
        return True


def unroll(moment: datetime, not_before: date | None) -> tuple[datetime | None, int | None]:
    """A receiver's time, and how many weeks were added to make it possible; (None, None) where none do.

    GPS counts weeks modulo 1024. A receiver whose firmware has outlived its own guess is n x 1024 behind; one
    that guesses wrongly is as much ahead, and then the number is negative. Without ``not_before``
    (recordings) a past time stays as it is.
    """
    earliest = datetime.combine(not_before or NOT_BEFORE, time(0), UTC)
    latest = max(earliest, datetime.combine(NOT_BEFORE, time(0), UTC)) + HORIZON
    if moment > latest:
        turns = -((moment - latest) // ROLLOVER) - 1
    elif moment >= earliest or not_before is None:
        return moment, None
    else:
        turns = -((moment - earliest) // ROLLOVER)
        latest = earliest + HORIZON
    moment += turns * ROLLOVER
    return (moment, turns * 1024) if earliest <= moment <= latest else (None, None)
