"""The reference receiver: stores what devices say, and gives a receipt after its own commit, never before.

``docs/centre.md`` has its rules in forty lines, for those who build a real one.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.domain.message import ROOT, encode, new_id, stamp
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_either
from agent.runtime.sanitize import printable, readable
from centre.picture_store import Pictures
from centre.sequence_gaps import Given, Lost, Ranges, given, lost, missing, ranges, words

log = structlog.get_logger()

CLIENT_ID = "ringpost-centre"
BATCH = 200
NUMBERED = {"alert": "alert", "command/result": "result", "gap": "result"}
"""Topics whose messages want a receipt, and the lane that numbers them."""
MOST_IDS = 500
"""Ids in one receipt."""
DOWN = ("receipt", "alert/ack", "config/desired", "command/")
ASK_AFTER_S, ASK_EVERY_S = 5.0, 60.0
"""A number may still be on its way; and a device is asked to send again at most once a minute."""
MOST_RANGES, MOST_REQUESTS = 100, 20
"""Ranges in one request, and requests at a time, one for each lane and epoch."""
TAKEN_OVER_WAIT_S = 60.0
SHORT_S, SHORT_ONES = 10.0, 3
REFUSED = 0x80
"""Reason codes from here on are failures."""

Heard: TypeAlias = Callable[[str, str, dict[str, Any]], None]
"""Called with device, topic below it, and the message, after it was stored; holes under the topic `HOLE`."""
HOLE = "centre/hole"


class Envelope(BaseModel):
    """What must be right in a message before it is stored; the rest is the reader's."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(min_length=1, max_length=64)
    device: str = Field(min_length=1, max_length=64)
    kind: str = Field(default="", alias="schema", max_length=64)
    session: int = Field(default=0, ge=0, lt=2**63)
    epoch: str = Field(min_length=1, max_length=64)
    seq: int = Field(ge=1, lt=2**63)
    at: str = Field(max_length=64)
    restamped_by_s: float | None = None

    def same(self, other: "Envelope") -> bool:
        """Whether both are one message: a repeat may differ in latency, ``historical`` and corrected time."""
        mine, its = ((one.kind, one.device, one.session, one.epoch, one.seq, one.id) for one in (self, other))
        corrected = self.restamped_by_s is not None or other.restamped_by_s is not None
        return mine == its and (corrected or self.at == other.at)


@dataclass(frozen=True, slots=True)
class Said:
    """One message that is to be stored."""

    topic: str
    envelope: Envelope
    payload: bytes


Kept: TypeAlias = Literal["new", "repeat", "beside", "refused"]
"""``beside``: the device has used the id of another message; both are kept. ``refused``: too often."""
CHANGING = ("latency_ms", "historical")
"""What a repeat may have otherwise."""
MOST_COPIES = 16
"""Different messages under one id of one device."""

_TABLES = """
CREATE TABLE IF NOT EXISTS message (device TEXT, id TEXT, copy INTEGER, topic TEXT, epoch TEXT, seq INTEGER,
    at TEXT, received_at TEXT, body TEXT, PRIMARY KEY (device, id, copy));
CREATE INDEX IF NOT EXISTS message_number ON message (device, epoch, seq);
CREATE TABLE IF NOT EXISTS lost (device TEXT, lane TEXT, epoch TEXT, first INTEGER, last INTEGER, why TEXT,
    PRIMARY KEY (device, lane, epoch, first, last));
"""


class Store:
    """One row for each message of a device; a repeat changes nothing. OSError where the disk does not do it.

    Blocking. The file is for its owner only.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)  # an older one may be readable for all; the -wal beside it follows
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._prepare()
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    def _prepare(self) -> None:
        """Makes the tables; rows of an older file, unique by id alone, are taken over."""
        columns = [row[1] for row in self._db.execute("PRAGMA table_info(message)")]
        self._db.execute("BEGIN IMMEDIATE")
        if columns and "copy" not in columns:
            self._db.execute("ALTER TABLE message RENAME TO message_by_id")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        if columns and "copy" not in columns:
            self._db.execute(
                "INSERT INTO message SELECT device, id, 0, topic, epoch, seq, at, received_at, body"
                " FROM message_by_id"
            )
            self._db.execute("DROP TABLE message_by_id")
            for device, body in self._db.execute("SELECT device, body FROM message WHERE topic = 'gap'"):
                self._keep_lost(device, lost(json.loads(body)))
        self._db.execute("COMMIT")

    def keep(self, messages: Sequence[Said]) -> list[Kept]:
        """All of them, committed on return; what became of each."""
        now = stamp(datetime.now(UTC))
        try:
            self._db.execute("BEGIN IMMEDIATE")
            kept = [self._keep(one, now) for one in messages]
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise OSError(f"the database took nothing: {error}") from error
        return kept

    def _keep(self, one: Said, now: str) -> Kept:
        said, body = one.envelope, one.payload.decode()
        same_id = self._db.execute(
            "SELECT body FROM message WHERE device = ? AND id = ?", (said.device, said.id)
        ).fetchall()
        if any(_same(said, text) for (text,) in same_id):
            return "repeat"
        if any(_content(body) == _content(text) for (text,) in same_id):
            if one.topic in NUMBERED:
                told = Lost(lane=NUMBERED[one.topic], epoch=said.epoch, first=said.seq, last=said.seq)
                self._keep_lost(said.device, told)
            return "repeat"
        if len(same_id) >= MOST_COPIES:
            return "refused"
        row = (said.device, said.id, len(same_id), one.topic, said.epoch, said.seq, said.at, now, body)
        self._db.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        if one.topic == "gap":
            self._keep_lost(said.device, lost(readable(one.payload) or {}))
        return "beside" if same_id else "new"

    def _keep_lost(self, device: str, told: Lost | None) -> None:
        if told is not None:
            row = (device, told.lane, told.epoch, told.first, told.last, told.why)
            self._db.execute("INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?, ?, ?)", row)

    def missing(self, device: str, one: Given, first: int) -> Ranges:
        """Numbers from ``first`` up to the highest given that are neither stored nor told to be lost."""
        try:
            rows = self._db.execute(
                "SELECT seq, topic FROM message WHERE device = ? AND epoch = ? AND seq BETWEEN ? AND ?"
                " ORDER BY seq",
                (device, one.epoch, first, one.last),
            )
            stored = ranges(number for number, topic in rows if NUMBERED.get(topic) == one.lane)
            told = self._db.execute(
                "SELECT first, last FROM lost WHERE device = ? AND epoch = ? AND lane = ?",
                (device, one.epoch, one.lane),
            ).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"the database gave nothing: {error}") from error
        return missing(first, one.last, [*stored, *told])

    def close(self) -> None:
        self._db.close()


def _same(said: Envelope, text: str) -> bool:
    try:
        return said.same(Envelope.model_validate_json(text))
    except ValidationError:  # an older version stored it
        return False


class AnotherCentreError(OSError):
    """Another centre is connected under this client id.

    Two that take turns each get a part of the messages. Neither gives a receipt for what it has not, and
    each asks for the numbers that it lacks; still, one of them has to go.
    """


def _content(text: str) -> dict[str, Any]:
    """A message without its number and what else a repeat may have otherwise.

    A device that could not write a message at once gives it another number later.
    """
    body = readable(text.encode()) or {}
    return {key: value for key, value in body.items() if key not in ("epoch", "seq", *CHANGING)}


@dataclass(slots=True)
class _Numbers:
    """What a device said of its numbers last, and when it may be asked for those that are missing."""

    given: list[Given] = field(default_factory=list)
    fresh: bool = False
    """It spoke since it was asked last: who is silent is not asked again and again."""
    look_s: float = 0.0
    asked_s: float = float("-inf")
    holes: dict[tuple[str, str], Ranges] = field(default_factory=dict)
    """By lane and epoch."""


class Centre:
    """One connection at a time; ``run`` ends when it is lost (OSError)."""

    def __init__(
        self,
        db: Path,
        broker: Broker,
        root: str = ROOT,
        heard: Heard | None = None,
        pictures: Path | None = None,
        *,
        fall_back: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``fall_back``: to MQTT 3.1.1, where the broker refuses 5."""
        self._store = Store(db)
        self._pictures = Pictures(pictures) if pictures is not None else None
        self._broker = broker
        self._root = root
        self._heard = heard
        self._fall_back = fall_back
        self._clock = clock
        self._numbers: dict[str, _Numbers] = defaultdict(_Numbers)
        self._whole: dict[tuple[str, str, str], int] = {}
        """By device, lane and epoch: up to here nothing is missing."""
        self._refused: set[str] = set()
        self._instance = new_id()
        self._connections = self._short = 0
        self.ready = asyncio.Event()

    async def run(self) -> None:
        try:
            await self._serve()
        except AnotherCentreError as error:
            log.error(
                "another_centre",
                client_id=CLIENT_ID,
                noticed=str(error),
                meaning="two centres share one session, each gets a part of the messages; stop one of them",
                again_in_s=TAKEN_OVER_WAIT_S,
            )
            await asyncio.sleep(TAKEN_OVER_WAIT_S)
            raise

    async def _serve(self) -> None:
        status = f"{self._root}/host/status"
        will = status, encode({"state": "offline"})
        connection = await open_either(self._broker, CLIENT_ID, will, fall_back=self._fall_back)
        opened_s = self._clock()
        writing = asyncio.ensure_future(self._pictures.run()) if self._pictures is not None else None
        last_word: bytes | None = encode({"state": "offline"})
        try:
            connection.subscribe([f"{self._root}/+/#"])
            self._connections += 1
            online = {"state": "online", "at": datetime.now(UTC), "instance": self._instance}
            connection.publish(status, encode(online), 1, True)
            self.ready.set()
            while True:
                batch = await self._batch(connection)
                if batch:
                    await self._take(connection, batch)
                await self._look(connection)
        except AnotherCentreError:
            last_word = None  # that one is online
            raise
        except OSError:
            self._closed_early(connection.resumed and self._clock() - opened_s < SHORT_S)
            raise
        finally:
            self.ready.clear()
            if writing is not None:
                writing.cancel()
                await asyncio.wait([writing])
            if last_word is not None:
                connection.publish(status, last_word, 1, True)
            connection.close()

    def close(self) -> None:
        self._store.close()

    def _closed_early(self, early: bool) -> None:
        """Says once that connections last no longer than it takes another one to come back."""
        self._short = self._short + 1 if early else 0
        if self._short == SHORT_ONES:
            log.error(
                "connections_are_short",
                client_id=CLIENT_ID,
                lost=f"{SHORT_ONES} in a row, each within {SHORT_S:g} s",
                meaning="is another centre connected to this broker, under the same client id?",
            )

    async def _batch(self, connection: Connection) -> list[Any]:
        """The messages that are there, up to `BATCH`; waits for the first."""
        batch: list[Any] = []
        event = await connection.event(1.0)
        while event is not None:
            match event:
                case ("message", message):
                    if self._is_another(message):
                        connection.acknowledge(message)  # else it comes again, when that one has long gone
                        raise AnotherCentreError(f"{message.topic} is of another instance")
                    batch.append(message)
                case ("subscribed", _, codes) if any(code.value >= REFUSED for code in codes):
                    raise OSError(
                        f"{self._broker.url}: not allowed to subscribe to {self._root}/+/#:"
                        f" the broker's access rights for {CLIENT_ID} are too narrow"
                    )
                case ("published", _, code) if code.value >= REFUSED and str(code) not in self._refused:
                    self._refused.add(str(code))
                    log.error(
                        "publish_refused",
                        reason=str(code).lower(),
                        right="write to host/status, +/receipt and +/command/+ must be allowed",
                    )
                case ("lost", reason):
                    if CLIENT_ID in reason:
                        raise AnotherCentreError(reason)
                    raise OSError(f"{self._broker.url}: connection lost: {reason}")
            event = await connection.event(0) if len(batch) < BATCH and connection.pending() else None
        return batch

    def _is_another(self, message: Any) -> bool:
        """Whether another centre has announced itself since this one did.

        Most brokers end the older of two connections without a word. What the first connection finds is of
        an earlier run.
        """
        if message.topic != f"{self._root}/host/status" or self._connections == 1:
            return False
        said = readable(message.payload) or {}
        return said.get("state") == "online" and said.get("instance", self._instance) != self._instance

    async def _take(self, connection: Connection, batch: Sequence[Any]) -> None:
        """Commit, then receipts, then the broker's acknowledgement."""
        heard = list(self._readable(batch))
        stored = [said for said in (self._said(*one) for one in heard) if said is not None]
        kept = await asyncio.to_thread(self._store.keep, stored) if stored else []
        for device, ids in self._receipts(zip(stored, kept, strict=True)).items():
            for at in range(0, len(ids), MOST_IDS):
                receipt = encode({"ids": ids[at : at + MOST_IDS]})
                connection.publish(f"{self._root}/{device}/receipt", receipt, 1, False)
        for message in batch:
            connection.acknowledge(message)
        if self._heard:
            for device, topic, body, _ in heard:
                self._heard(device, topic, body)

    def _readable(self, batch: Sequence[Any]) -> Iterator[tuple[str, str, dict[str, Any], bytes]]:
        """What devices said: device, topic, body and payload. Pictures go their own way."""
        for message in batch:
            device, _, topic = message.topic.removeprefix(self._root + "/").partition("/")
            if device == "host" or (topic.startswith(DOWN) and topic != "command/result"):
                continue  # from a centre or a desk; without MQTT 5 one's own come back, too
            if topic.startswith("media/"):
                if self._pictures is not None:
                    self._pictures.add(device, topic, message.payload)
                continue
            body = readable(message.payload)
            if body is None:
                continue
            if body.get("device", device) != device:
                its = printable(body["device"])[:64]
                log.warning("device_is_not_its_topics", topic=message.topic, device=its)
                continue
            yield device, topic, body, message.payload

    def _said(self, device: str, topic: str, body: dict[str, Any], payload: bytes) -> Said | None:
        """What is to be stored; None where the envelope is malformed."""
        try:
            envelope = Envelope.model_validate_json(payload)
        except ValidationError as error:
            if body.get("state") != "offline":  # a last will has no number
                why = error.errors()[0]["msg"]
                log.warning("envelope_malformed", device=device, topic=topic, error=why)
            return None
        if topic == "health":
            self._note(device, body)
        return Said(topic, envelope, payload)

    def _receipts(self, kept: Iterable[tuple[Said, Kept]]) -> dict[str, list[str]]:
        """The ids that want a receipt, by device, each once."""
        receipts: dict[str, dict[str, None]] = defaultdict(dict)
        for one, became in kept:
            said = one.envelope
            if became in ("beside", "refused"):
                log.warning(
                    "id_of_another_message",
                    device=said.device,
                    topic=one.topic,
                    id=printable(said.id),
                    stored=became == "beside",
                )
            if became != "refused" and one.topic in NUMBERED:
                receipts[said.device][said.id] = None
            if one.topic == "gap" and became in ("new", "beside"):
                self._explain(said.device, readable(one.payload) or {})
        return {device: list(ids) for device, ids in receipts.items()}

    # Numbers that are missing.

    def _note(self, device: str, health: dict[str, Any]) -> None:
        """What a ``health`` says of the numbers that were given."""
        if "numbers" not in health:
            return
        known = self._numbers[device]
        known.given, known.fresh = given(health), True
        known.look_s = max(self._clock() + ASK_AFTER_S, known.asked_s + ASK_EVERY_S)

    async def _look(self, connection: Connection) -> None:
        """Asks each device whose turn it is for the numbers that are missing."""
        now_s = self._clock()
        for device, known in list(self._numbers.items()):
            if not known.fresh or now_s < known.look_s:
                continue
            known.fresh = False
            holes: dict[tuple[str, str], Ranges] = {}
            for one in known.given:
                place = (device, one.lane, one.epoch)
                first = self._whole.get(place, 0) + 1
                lacking = await asyncio.to_thread(self._store.missing, device, one, first)
                self._whole[place] = lacking[0][0] - 1 if lacking else max(one.last, first - 1)
                if lacking:
                    holes[one.lane, one.epoch] = lacking
            for (lane, epoch), lacking in list(holes.items())[:MOST_REQUESTS]:
                command = {"id": new_id(), "lane": lane, "epoch": epoch, "ranges": lacking[:MOST_RANGES]}
                topic = f"{self._root}/{device}/command/resend"
                connection.publish(topic, encode(command), 1, False, ASK_EVERY_S)
                if known.holes.get((lane, epoch)) != lacking:
                    self._tell_hole(device, "asked for again", lane, epoch, lacking)
            for (lane, epoch), before in known.holes.items():
                if (lane, epoch) not in holes:
                    self._tell_hole(device, "closed", lane, epoch, before)
            known.holes = holes
            if holes:
                known.asked_s = now_s

    def _explain(self, device: str, body: dict[str, Any]) -> None:
        """A new ``gap`` message: these numbers never come."""
        told = lost(body)
        if told is not None:
            which = [(told.first, told.last)]
            self._tell_hole(device, "lost at the device", told.lane, told.epoch, which, told.why)

    def _tell_hole(
        self, device: str, state: str, lane: str, epoch: str, found: Ranges, why: str | None = None
    ) -> None:
        """One line in the log, and one where messages are shown."""
        numbers = words(found)
        body: dict[str, Any] = {"state": state, "lane": lane, "epoch": epoch, "ranges": found}
        if why is not None:
            body["why"] = why
        log.warning(
            "hole",
            device=device,
            state=state,
            lane=lane,
            epoch=printable(epoch),
            numbers=numbers,
            why=printable(why),
        )
        if self._heard:
            self._heard(device, HOLE, body)


def line(device: str, topic: str, body: dict[str, Any]) -> str:
    """A message in one line for people."""
    when = str(body.get("at") or stamp(datetime.now(UTC)))
    try:
        said = _said(topic, body)
    except (TypeError, ValueError, AttributeError, KeyError):
        said = "(not as the contract says)"
    return printable(f"{when} {device} {topic:9} {said}")


def _said(topic: str, body: dict[str, Any]) -> str:
    if topic == "alert":
        alert = body.get("alert", {})
        return f"{alert.get('phase', '?'):6} {alert.get('severity', '?'):8} {alert.get('text', '')}"
    if topic == HOLE:
        why = f": {body['why']}" if body.get("why") else ""
        return f"{body['lane']} {words(body['ranges'])} of epoch {body['epoch']}: {body['state']}{why}"
    if topic == "position":
        where = f"{body['lat']:.5f} {body['lon']:.5f}" if "lat" in body else "unknown"
        return f"{where} ({body.get('mode')}, {body.get('source')})"
    if topic == "health":
        return ", ".join(f"{part['part']} {part.get('running')}" for part in body["parts"])
    if topic == "birth":
        return f"{body.get('kind')}, ringpost {body['software']['ringpost']}"
    return f"{body.get('state', '')} {'; '.join(body.get('reasons', []))}".strip()


def centre_command(db: Path, url: str, root: str, pictures: Path | None, as_json: bool) -> int:
    """``ringpost centre``: runs until it is interrupted, and says what came. OSError without ``db``.

    78 where a certificate, an authority or a key can't be read.
    """
    from agent.cli.config_push import broker_at, falls_back, unusable_files
    from agent.runtime.exit_codes import EX_CONFIG
    from agent.runtime.supervisor import supervise

    broker = broker_at(url)
    if (trouble := unusable_files(broker)) is not None:
        print(f"centre: {trouble}", file=sys.stderr)
        return EX_CONFIG

    def say(device: str, topic: str, body: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps({"device": device, "topic": topic, "message": body}), flush=True)
        elif topic in ("alert", "status", HOLE):
            print(line(device, topic, body), flush=True)

    async def serve() -> None:
        centre = Centre(db, broker, root, say, pictures, fall_back=falls_back())
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
