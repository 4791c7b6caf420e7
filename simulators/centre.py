"""The reference receiver: stores what devices say, and gives a receipt after its own commit, never before.

``docs/centre.md`` has its rules in forty lines, for those who build a real one.
"""

import asyncio
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import structlog
from pydantic import BaseModel, Field, ValidationError

from agent.topics import ROOT, encode, stamp
from agent.transport import Broker, Connection
from agent.untrusted import readable, shown

log = structlog.get_logger()

BATCH = 200
NUMBERED = {"alert": "alert", "command/result": "result", "gap": "result"}
"""Topics whose messages want a receipt, and the lane that numbers them."""
DOWN = ("receipt", "alert/ack", "config/desired", "command/")

Heard: TypeAlias = Callable[[str, str, dict[str, Any]], None]
"""Called with device, topic below it, and the message, after it was stored."""


class Envelope(BaseModel):
    """What must be right in a message before it is stored; the rest is the reader's."""

    id: str = Field(min_length=1, max_length=64)
    epoch: str = Field(min_length=1, max_length=64)
    seq: int = Field(ge=1, lt=2**63)
    at: str = Field(max_length=64)


class Store:
    """One row for each message id; a repeat changes nothing. OSError where the disk does not do it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, device TEXT, topic TEXT,"
                " epoch TEXT, seq INTEGER, at TEXT, received_at TEXT, body TEXT)"
            )
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    def keep(self, messages: Iterable[tuple[str, str, Envelope, bytes]]) -> None:
        """All of them (device, topic, envelope, payload), committed on return."""
        now = stamp(datetime.now(UTC))
        rows = [
            (said.id, device, topic, said.epoch, said.seq, said.at, now, payload.decode())
            for device, topic, said, payload in messages
        ]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise OSError(f"the database took nothing: {error}") from error

    def close(self) -> None:
        self._db.close()


class Centre:
    """One connection at a time; ``run`` ends when it is lost (OSError)."""

    def __init__(
        self,
        db: Path,
        broker: Broker,
        root: str = ROOT,
        heard: Heard | None = None,
        pictures: Path | None = None,
    ) -> None:
        self._store = Store(db)
        self._pictures = pictures
        self._broker = broker
        self._root = root
        self._heard = heard
        self.ready = asyncio.Event()

    async def run(self) -> None:
        status = f"{self._root}/host/status"
        connection = Connection(self._broker, "ringpost-centre", (status, encode({"state": "offline"})))
        try:
            await connection.open()
            connection.subscribe([f"{self._root}/+/#"])
            connection.publish(status, encode({"state": "online", "at": datetime.now(UTC)}), 1, True)
            self.ready.set()
            while True:
                batch = await self._batch(connection)
                if batch:
                    await self._take(connection, batch)
        finally:
            self.ready.clear()
            connection.publish(status, encode({"state": "offline"}), 1, True)
            connection.close()

    def close(self) -> None:
        self._store.close()

    async def _batch(self, connection: Connection) -> list[Any]:
        """The messages that are there, up to `BATCH`; waits for the first."""
        batch: list[Any] = []
        event = await connection.event(1.0)
        while event is not None:
            match event:
                case ("message", message):
                    batch.append(message)
                case ("lost", reason):
                    raise OSError(f"{self._broker.url}: connection lost: {reason}")
            event = await connection.event(0) if len(batch) < BATCH and connection.pending() else None
        return batch

    async def _take(self, connection: Connection, batch: list[Any]) -> None:
        """Commit, then receipts, then the broker's acknowledgement."""
        heard: list[tuple[str, str, dict[str, Any]]] = []
        stored: list[tuple[str, str, Envelope, bytes]] = []
        receipts: dict[tuple[str, str, str], set[int]] = defaultdict(set)
        for message in batch:
            device, _, topic = message.topic.removeprefix(self._root + "/").partition("/")
            if device == "host" or (topic.startswith(DOWN) and topic != "command/result"):
                continue
            if topic.startswith("media/"):
                await asyncio.to_thread(self._save, device, topic, message.payload)
                continue
            body = readable(message.payload)
            if body is None:
                continue
            heard.append((device, topic, body))
            try:
                said = Envelope.model_validate_json(message.payload)
            except ValidationError as error:
                if body.get("state") != "offline":  # a last will has no number
                    log.warning("envelope_malformed", topic=message.topic, error=error.errors()[0]["msg"])
                continue
            stored.append((device, topic, said, message.payload))
            if topic in NUMBERED:
                receipts[device, said.epoch, NUMBERED[topic]].add(said.seq)
        if stored:
            await asyncio.to_thread(self._store.keep, stored)
        for (device, epoch, lane), numbers in receipts.items():
            receipt = {"epoch": epoch, "lane": lane, "received": ranges(numbers)}
            connection.publish(f"{self._root}/{device}/receipt", encode(receipt), 1, False)
        for message in batch:
            connection.acknowledge(message)
        if self._heard:
            for device, topic, body in heard:
                self._heard(device, topic, body)

    def _save(self, device: str, topic: str, jpeg: bytes) -> None:
        """A picture into the folder for them, if there is one; its name is letters and digits only."""
        if self._pictures is not None:
            name = re.sub(r"[^A-Za-z0-9-]", "-", f"{device}-{topic.removeprefix('media/')}")
            self._pictures.mkdir(parents=True, exist_ok=True)
            (self._pictures / f"{name[:150]}.jpg").write_bytes(jpeg)


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """``{1, 2, 3, 7}`` as ``[[1, 3], [7, 7]]``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def line(device: str, topic: str, body: dict[str, Any]) -> str:
    """A message in one line for people."""
    when = str(body.get("at") or stamp(datetime.now(UTC)))
    try:
        said = _said(topic, body)
    except (TypeError, ValueError, AttributeError, KeyError):
        said = "(not as the contract says)"
    return shown(f"{when} {device} {topic:9} {said}")


def _said(topic: str, body: dict[str, Any]) -> str:
    if topic == "alert":
        alert = body.get("alert", {})
        return f"{alert.get('phase', '?'):6} {alert.get('severity', '?'):8} {alert.get('text', '')}"
    if topic == "position":
        where = f"{body['lat']:.5f} {body['lon']:.5f}" if "lat" in body else "unknown"
        return f"{where} ({body.get('mode')}, {body.get('source')})"
    if topic == "health":
        return ", ".join(f"{part['part']} {part.get('running')}" for part in body["parts"])
    if topic == "birth":
        return f"{body.get('kind')}, ringpost {body['software']['ringpost']}"
    return f"{body.get('state', '')} {'; '.join(body.get('reasons', []))}".strip()


def centre_command(db: Path, url: str, root: str, pictures: Path | None, as_json: bool) -> int:
    """``ringpost centre``: runs until it is interrupted, and says what came. OSError without ``db``."""
    import signal

    from agent.desk import broker_at
    from agent.supervisor import supervise

    broker = broker_at(url)

    def say(device: str, topic: str, body: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps({"device": device, "topic": topic, "message": body}), flush=True)
        elif topic in ("alert", "status"):
            print(line(device, topic, body), flush=True)

    async def serve() -> None:
        centre = Centre(db, broker, root, say, pictures)
        task = asyncio.ensure_future(supervise("centre", centre.run, lambda _: None, longest_wait_s=5.0))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            centre.close()

    asyncio.run(serve())
    return 0
