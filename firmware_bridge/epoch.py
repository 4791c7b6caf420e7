"""What GNSS receivers of every protocol share: the packets of one epoch, and weeks counted modulo 1024.
Pure.
"""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from firmware_bridge.readings import Fix, Value

NOT_BEFORE = date(2026, 11, 1)
"""No working receiver reports an earlier date: this code was written later."""
HORIZON = timedelta(days=10 * 365)
"""A corrected date this far ahead is invalid and no week rollover."""
ROLLOVER = timedelta(weeks=1024)
STEADY = 3
"""An epoch must end with the same packet this many times before that packet is trusted to end the next."""
SAME_EPOCH = timedelta(milliseconds=20)


class EpochBoundary:
    """Learns which packet ends an epoch, so that its fix is reported at once instead of at the next epoch."""

    def __init__(self) -> None:
        self._closer: object = None
        self._last: object = None
        self._steady = 0

    def closes(self, packet: object) -> bool:
        """Whether ``packet`` is, as far as is known, the last of the current epoch."""
        self._last = packet
        return self._steady >= STEADY and packet == self._closer

    def ended(self) -> None:
        """Records that the epoch ended, by a pause or because another one began."""
        if self._last == self._closer:
            self._steady = min(self._steady + 1, 2 * STEADY)
        elif self._steady > 0:
            self._steady -= 1
        else:
            self._closer = self._last
        self._last = None

    def leads(self, kind: bytes) -> None:
        """Records that ``kind`` leads the next epoch and therefore ends none."""
        if self._closer is not None and kind in (
            self._closer if isinstance(self._closer, tuple) else (self._closer,)
        ):
            self.mistaken()

    def mistaken(self) -> None:
        """Forgets the last packet: more packets of the same epoch followed it."""
        self._closer, self._steady = None, 0


@dataclass(frozen=True, slots=True)
class Satellite:
    """One satellite above a receiver's horizon; ``talker`` names its constellation (GP, GL, GA, GB)."""

    talker: str
    number: int
    elevation_deg: int
    azimuth_deg: int
    cn0_dbhz: int | None = None
    used: bool = False


class EpochDeduplicator:
    """Passes an epoch that several decoders of one line report from the first of them only."""

    def __init__(self) -> None:
        self._passed: deque[tuple[object, datetime]] = deque(maxlen=6)

    def passes(self, decoder: object, value: Value) -> bool:
        """Whether no other decoder has reported the epoch of ``value``."""
        if not isinstance(value, Fix) or value.time is None:
            return True
        if any(other is not decoder and abs(value.time - time) <= SAME_EPOCH for other, time in self._passed):
            return False
        self._passed.append((decoder, value.time))
        return True


def unroll(moment: datetime, not_before: date | None) -> tuple[datetime | None, int | None]:
    """The receiver's time corrected for week rollover, and the weeks added; (None, None) where no
    correction helps.

    GPS counts weeks modulo 1024. A receiver whose firmware is too old for its own correction is n x 1024
    weeks behind; one that corrects wrongly is as much ahead, and the number of weeks is negative. Without
    ``not_before`` (recordings) a past time stays as it is.
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
