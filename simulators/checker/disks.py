"""Reads what a device still has, and what the centre has, from their SQLite files. Blocking.

With statements of its own: the agent's code is not asked about itself.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from simulators.checker.sequence import lane_of
from simulators.run_record import Fields, RunRecord


def note_disks(record: RunRecord, folders: Mapping[str, Path], centre: Path) -> None:
    """Adds to ``record`` for each device the events ``on_disk`` and ``at_centre`` with their ``messages``.

    ``folders``: of the data of each device. The agents and the centre may be running. OSError where a file
    can't be read.
    """
    received = read_centre(centre)
    for name, folder in folders.items():
        record.event("on_disk", name, messages=read_device(folder))
        record.event("at_centre", name, messages=received.get(name, []))


def read_device(folder: Path) -> list[Fields]:
    """The alerts, results and telemetry on the disk of a device: ``state`` (``owed``, or ``kept`` after its
    receipt) ``, lane, epoch, seq, id``; a ``gap`` with its ``topic`` and ``body``."""
    found: list[Fields] = []
    alerts = folder / "alerts.db"
    if alerts.exists():
        with _Opened(alerts) as db:
            epochs = db.execute("SELECT lane, base, epoch FROM epochs ORDER BY base DESC").fetchall()
            for state in ("owed", "kept"):
                rows = db.execute(f"SELECT lane, seq, id, topic, body FROM {state} ORDER BY lane, seq")  # noqa: S608
                for lane, place, identity, topic, body in rows:
                    number = _number(epochs, lane, place)
                    one = {"state": state, "lane": lane, "id": identity, **number}
                    found.append(one | ({"topic": topic, "body": json.loads(body)} if topic == "gap" else {}))
    for path in sorted(folder.glob("telemetry-????????.db")):
        with _Opened(path) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'owed'").fetchone():
                continue  # power was lost before the file had tables
            epoch = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
            for seq, identity in db.execute("SELECT seq, id FROM owed ORDER BY seq"):
                number = {"epoch": bytes(epoch[0]).decode(), "seq": seq}
                found.append({"state": "owed", "lane": "telemetry", "id": identity, **number})
    return found


def _number(epochs: list[tuple[str, int, str]], lane: str, place: int) -> Fields:
    for of, base, epoch in epochs:
        if of == lane and base < place:
            return {"epoch": epoch, "seq": place - base}
    return {}


def read_centre(path: Path) -> dict[str, list[Fields]]:
    """The numbered messages of each device at the centre: ``lane, epoch, seq, id``, and ``copies`` where
    several messages have the id."""
    found: dict[str, list[Fields]] = defaultdict(list)
    if not path.exists():
        return found
    with _Opened(path) as db:
        rows = db.execute(
            "SELECT device, id, topic, epoch, seq, (SELECT count(*) FROM message other"
            " WHERE other.device = message.device AND other.id = message.id) FROM message"
            " WHERE topic IN ('alert', 'command/result', 'gap', 'audit') AND copy = 0 ORDER BY rowid"
        )
        for device, identity, topic, epoch, seq, copies in rows:
            one = {"lane": lane_of(topic), "epoch": epoch, "seq": seq, "id": identity}
            found[device].append(one | ({"copies": copies} if copies > 1 else {}))
    return found


class _Opened:
    """A file opened for reading, also while its owner writes. OSError in place of SQLite's errors."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)
        return self._db

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._db.close()
        if isinstance(error, sqlite3.Error):
            raise OSError(f"{self._path}: {error}") from error
