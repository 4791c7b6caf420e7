"""Checkpoints of the devices' audit logs: stored, judged, and countersigned in the receipt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from agent.audit.checkpoint_store import Checkpoint, CheckpointStore
from agent.runtime.sanitize import json_object, printable
from centre.database import Database, PostgresUrl, Rows, is_postgres
from centre.message_header import ReceivedMessage
from centre.open_database import open_database

log = structlog.get_logger()

TOPIC = "audit"
AUDIT = "centre/audit"
"""Problems of an audit log are shown under this topic; it never goes over the wire."""


@dataclass(slots=True)
class Judged:
    """What a batch brought: by device the newest checkpoint to countersign, and new problems."""

    countersigned: dict[str, Checkpoint] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


class _OnServer:
    """Takes the statements of a `CheckpointStore` on a server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.close = database.close

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        if statement != "BEGIN IMMEDIATE":
            return self._database.execute(statement, values)
        rows = self._database.execute("BEGIN")
        self._database.lock("audit")
        return rows

    def executescript(self, script: str, /) -> None:
        with self._database.transaction():
            self._database.lock("schema")
            for statement in filter(str.strip, script.split(";")):
                self._database.execute(statement)


def open_checkpoints(db: Path | PostgresUrl) -> CheckpointStore:
    """OSError where the database can't be opened."""
    if is_postgres(db):
        return CheckpointStore(_OnServer(open_database(db)))
    return CheckpointStore(Path(db))


class CheckpointIntake:
    """The checkpoints in a centre's database. Blocking; OSError where the database fails."""

    def __init__(self, db: Path | PostgresUrl) -> None:
        self._store = open_checkpoints(db)

    def close(self) -> None:
        self._store.close()

    def keep(self, messages: Sequence[ReceivedMessage]) -> Judged:
        """Stores the checkpoints among ``messages``; a repeat is countersigned again."""
        judged = Judged()
        for message in messages:
            if message.topic == TOPIC:
                self._keep(message, judged)
        for device, problem in judged.problems:
            log.warning("audit_problem", device=device, problem=printable(problem))
        return judged

    def _keep(self, message: ReceivedMessage, judged: Judged) -> None:
        device = message.header.device
        entry = (json_object(message.payload) or {}).get("entry")
        try:
            found = self._store.keep(device, str(entry))
        except ValueError as error:
            judged.problems.append((device, f"a checkpoint was refused: {error}"))
            return
        if found.problem is not None:
            if not found.is_repeat:
                judged.problems.append((device, found.problem))
        elif device not in judged.countersigned or found.entry.n > judged.countersigned[device].entry.n:
            judged.countersigned[device] = found
