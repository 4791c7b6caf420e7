"""What happened in a time, from the databases of the centre and of the map: for reports. Blocking."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from centre.map.action_board import ActionBoard
from centre.map.action_entry import ActionEntry
from centre.map.action_store import ActionStore, action_db
from centre.map.feed import load_situation
from centre.map.force import TrackPoint
from centre.map.history import History
from centre.map.queued_alert import QueuedAlert
from centre.map.situation import Situation
from centre.map.store_reader import StoreReader

ENTRIES_OF = timedelta(days=7)
"""What was done about an alert before the time is in its row, too."""
TRACK_POINTS = 200
"""Points of each track in an export."""


@dataclass(frozen=True, slots=True)
class ReportData:
    """``situation``: as it was at the end. ``alerts``: begun or open in the time, the oldest first."""

    db: Path
    begin: datetime
    end: datetime
    situation: Situation
    alerts: tuple[QueuedAlert, ...]
    board: ActionBoard
    entries: tuple[ActionEntry, ...]
    """Entries of the time."""

    def tracks(
        self, most: int = TRACK_POINTS, on_device: Callable[[str], None] = lambda _: None
    ) -> dict[str, list[TrackPoint]]:
        """The tracks of all devices that moved, by name. OSError."""
        history = History(self.db)
        found = {}
        try:
            for force in self.situation.forces.all():
                on_device(force.device)
                if force.position is not None and not force.position.surveyed:
                    found[force.device] = history.track(force.device, self.begin, self.end, most)
        finally:
            history.close()
        return {device: track for device, track in sorted(found.items()) if track}


def read_report(db: Path, begin: datetime, end: datetime) -> ReportData:
    """OSError; ValueError where ``end`` is not after ``begin``."""
    if end <= begin:
        raise ValueError("the report ends before it begins")
    reader = StoreReader(db)
    try:
        row = reader.row_at(end)
        situation = load_situation(reader, row, end - begin)
    finally:
        reader.close()
    board, entries = ActionBoard(), list[ActionEntry]()
    if action_db(db).exists():
        store = ActionStore(action_db(db))
        try:
            board.add(store.between(begin - ENTRIES_OF, end))
            entries = store.between(begin, end)
        finally:
            store.close()
    return ReportData(
        db, begin, end, situation, tuple(situation.alerts.between(begin, end)), board, tuple(entries)
    )
