"""Messages, folders and failing disks for the tests of the outbox."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from agent.domain.message import LANES, Lane, Message, new_id
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.rows import Row

BODY = b'{"n":1}'


def message(lane: Lane = "alert", topic: str | None = None, body: bytes = BODY, **more: object) -> Message:
    return Message(lane=lane, topic=topic or lane, id=new_id(), body=body, **more)  # type: ignore[arg-type]


def put(storage: LaneStorage, *messages: Message, **remember: bytes) -> None:
    storage.put(messages, remember, [])


def ids(rows: list[Row]) -> list[str]:
    return [row.id for row in rows]


def gaps(storage: LaneStorage) -> list[dict[str, object]]:
    """The losses that were told, oldest first."""
    storage.rewind(["result"])
    bodies = [json.loads(row.body) for row in storage.due(10_000, ["result"]) if row.topic == "gap"]
    return [body["gap"] | {"of_epoch": body["of_epoch"]} for body in bodies]


def copied(folder: Path) -> Path:
    """The files as a process that is killed now leaves them."""
    copy = Path(tempfile.mkdtemp(dir=folder.parent))
    for path in folder.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copy(path, copy / path.name)
    return copy


def fail(monkeypatch: pytest.MonkeyPatch, store: object, *names: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("alerts.db: database or disk is full")

    for name in names:
        monkeypatch.setattr(store, name, refuse)


def handed_out_again(storage: LaneStorage) -> list[Row]:
    storage.rewind(["alert", "result", "telemetry", "media"])
    return storage.due(10_000, LANES)


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, **_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("agent.outbox.alert_storage.open_store", refuse)
