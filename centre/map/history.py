"""The last hours from the database: the situation at any time, and the track of a device. Blocking."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from centre.map.feed import load_situation
from centre.map.force import TrackPoint
from centre.map.position import Position, read_position
from centre.map.situation import Situation
from centre.map.store_reader import StoreReader
from centre.map.stored_message import StoredMessage

ALERTS_OF = timedelta(hours=1)
"""Alerts of this time before are in a past situation; older ones only while their device lists them."""
MARGIN = timedelta(minutes=1)
"""A position is committed some time after it was measured."""
MAX_KEPT, MAX_MESSAGES = 8, 50_000
MAX_TRACK = 1_000


class History:
    """A reader of its own, so that a search disturbs no live view. Each failure is an OSError."""

    def __init__(self, db: Path) -> None:
        self._reader = StoreReader(db)
        self._kept: OrderedDict[int, Situation] = OrderedDict()
        self._files = self._reader.files
        self._messages: dict[int, StoredMessage] = {}
        """By row: most devices have the same birth, status and health at two moments."""

    def situation_at(self, at: datetime) -> Situation:
        """What the centre had by ``at``. The same moment again comes from memory: do not change it."""
        row = self._reader.row_at(at)
        if self._files != self._reader.files:  # a backup was put back
            self._files = self._reader.files
            self._kept.clear()
            self._messages.clear()
        if row in self._kept:
            self._kept.move_to_end(row)
            return self._kept[row]
        if len(self._messages) > MAX_MESSAGES:
            self._messages.clear()
        situation = self._kept[row] = load_situation(self._reader, row, ALERTS_OF, self._messages)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return situation

    def positions_at(self, at: datetime) -> dict[str, Position]:
        """Where each device was, by its last report: for a slider that moves."""
        found = {}
        for message in self._reader.latest(self._reader.row_at(at), ("position",)):
            position = read_position(message.body, message.made_at)
            if position is not None:
                found[message.device] = position
        return found

    def track(self, device: str, begin: datetime, end: datetime, most: int = MAX_TRACK) -> list[TrackPoint]:
        """Where a device was, by the time of each measurement; evenly chosen, at most ``most`` points."""
        found = []
        for message in self._reader.positions(device, begin, end + MARGIN, most):
            position = read_position(message.body, message.made_at)
            if position is not None and begin <= position.measured_at <= end:
                found.append(TrackPoint(position.lat, position.lon, position.measured_at, position.quality))
        found.sort(key=lambda point: point.at)
        return thinned(found, most)

    def close(self) -> None:
        self._reader.close()


def thinned(points: Sequence[TrackPoint], most: int) -> list[TrackPoint]:
    """Evenly chosen points, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]
