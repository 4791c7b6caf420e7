"""The messages of all devices in one database; a repeat changes nothing. Blocking."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from agent.domain.message import stamp
from agent.host.clock import utc_now
from agent.runtime.sanitize import json_object
from centre.alert_table import alert_number, number_epoch, upsert
from centre.database import ConflictError, Database, PostgresUrl
from centre.message_header import MessageHeader, ReceivedMessage
from centre.open_database import open_database
from centre.schema import KEEP_LOST, WILL, prepare
from centre.sequence_gaps import IssuedNumbers, LostNumbers, Ranges, lost_numbers, missing, ranges

NUMBERED = {"alert": "alert", "command/result": "result", "gap": "result", "audit": "result"}
"""Topics whose messages get a receipt, and the lane that numbers them."""

Outcome: TypeAlias = Literal["new", "repeat", "beside", "refused"]
"""``beside``: the device reused the id of another message; both are stored. ``refused``: too often."""
CHANGING = ("latency_ms", "historical")
"""Fields that may differ in a repeat."""
NUMBER_OR_CHANGING = ("epoch", "seq", *CHANGING)
INSTANTS = ("at", "since", "restamped_by_s")
"""Fields that differ in a repeat whose clock was corrected, at any depth (`agent.mqtt.envelope.restamp`)."""
MOST_COPIES = 16
"""Different messages under one id of one device."""
TRIES = 5
"""A commit that meets that of another worker is tried so often."""


class MessageStore:
    """One row for each message of a device; storing is idempotent. Each failure is an OSError. Blocking."""

    def __init__(self, db: Path | PostgresUrl) -> None:
        self.database: Database = open_database(db)
        try:
            prepare(self.database)
        except OSError as error:
            self.database.close()
            raise OSError(f"{db}: {error}" if isinstance(db, Path) else str(error)) from error

    def keep(self, messages: Sequence[ReceivedMessage], received_at: datetime | None = None) -> list[Outcome]:
        """Stores all messages in one commit; gives the outcome of each. ``received_at``: by default now."""
        now = stamp(received_at or utc_now())
        for left in reversed(range(TRIES)):
            try:
                return self._keep_all(messages, now)
            except ConflictError as error:
                if not left:
                    raise OSError(f"the database refused the messages: {error}") from error
            except OSError as error:
                raise OSError(f"the database refused the messages: {error}") from error
        raise AssertionError("the loop returns or raises")

    def _keep_all(self, messages: Sequence[ReceivedMessage], now: str) -> list[Outcome]:
        order = list(range(len(messages)))
        if self.database.shared:  # workers that lock rows in one order do not wait for each other in a circle
            order.sort(key=lambda place: (messages[place].header.device, messages[place].header.id))
        outcomes: dict[int, Outcome] = {}
        with self.database.transaction():
            for place in order:
                outcomes[place] = self._keep(messages[place], now)
            for place in order:
                if outcomes[place] in ("new", "beside") and messages[place].topic == "alert":
                    self._keep_alert(messages[place], now)
        return [outcomes[place] for place in range(len(messages))]

    def _keep(self, message: ReceivedMessage, now: str) -> Outcome:
        header, body = message.header, message.payload.decode()
        while True:
            same_id = self.database.execute(
                "SELECT body FROM message WHERE device = ? AND id = ?", (header.device, header.id)
            ).fetchall()
            if any(text == body or _same(message, text) for (text,) in same_id):
                return "repeat"
            if any(_same_content(body, text) for (text,) in same_id):
                if message.topic in NUMBERED:
                    lane = NUMBERED[message.topic]
                    renumbered = LostNumbers(lane=lane, epoch=header.epoch, first=header.seq, last=header.seq)
                    self._keep_lost(header.device, renumbered)
                return "repeat"
            if len(same_id) >= MOST_COPIES:
                return "refused"
            row = (
                header.device, header.id, len(same_id), message.topic, header.epoch, header.seq, header.at,
                now, body,
            )  # fmt: skip
            inserted = self.database.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
            )
            if inserted.rowcount == 1:
                break  # else another worker has stored a message under this id meanwhile: look again
        if message.topic == "gap":
            self._keep_lost(header.device, lost_numbers(json_object(message.payload) or {}))
        return "beside" if same_id else "new"

    def _keep_alert(self, message: ReceivedMessage, now: str) -> None:
        found = alert_number(message.header, json_object(message.payload) or {})
        if found is not None:
            number_epoch(self.database, message.header)
            upsert(self.database, found, now)

    def _keep_lost(self, device: str, lost: LostNumbers | None) -> None:
        if lost is not None:
            row = (device, lost.lane, lost.epoch, lost.first, lost.last, lost.why)
            self.database.execute(KEEP_LOST, row)

    def keep_wills(self, wills: Sequence[tuple[str, bytes]]) -> None:
        """Stores last wills (device, payload) in one commit; repeats, such as retained wills, are ignored."""
        now = stamp(utc_now())
        try:
            with self.database.transaction():
                for device, payload in wills:
                    number = f"{WILL}-{hashlib.sha256(payload).hexdigest()[:32]}"
                    self.database.execute(
                        "INSERT INTO message VALUES (?, ?, 0, ?, '', 0, ?, ?, ?) ON CONFLICT DO NOTHING",
                        (device, number, WILL, now, now, payload.decode()),
                    )
        except OSError as error:
            raise OSError(f"the database refused last wills: {error}") from error

    def missing(self, device: str, issued: IssuedNumbers, first: int) -> Ranges:
        """Numbers from ``first`` up to the highest issued that are neither stored nor declared lost."""
        try:
            rows = self.database.execute(
                "SELECT seq, topic FROM message WHERE device = ? AND epoch = ? AND seq BETWEEN ? AND ?"
                " ORDER BY seq",
                (device, issued.epoch, first, issued.last),
            ).fetchall()
            lost = self.database.execute(
                "SELECT first, last FROM lost WHERE device = ? AND epoch = ? AND lane = ?",
                (device, issued.epoch, issued.lane),
            ).fetchall()
        except OSError as error:
            raise OSError(f"the database can't be read: {error}") from error
        stored = ranges(number for number, topic in rows if NUMBERED.get(topic) == issued.lane)
        return missing(first, issued.last, [*stored, *lost])

    def newest_phases(self, device: str) -> dict[str, str]:
        """The phase of the newest message of each alert of a device."""
        rows = self.database.execute("SELECT alert_id, phase FROM alert WHERE device = ?", (device,))
        return dict(rows.fetchall())

    def close(self) -> None:
        """Waits for a write that is under way."""
        self.database.close()


def _same(message: ReceivedMessage, text: str) -> bool:
    """Whether both are one message by their headers. What gets a receipt has to have the same body, too: the
    device deletes it."""
    try:
        other = MessageHeader.model_validate_json(text)
    except ValidationError:  # an older version stored it
        return False
    if not message.header.is_same(other):
        return False
    return message.topic not in NUMBERED or _same_content(message.payload.decode(), text)


def _same_content(*texts: str) -> bool:
    """Whether two messages differ in nothing but their number and the fields that may differ in a repeat.

    A device that could not write a message at once gives it another number later, and one whose clock was
    set meanwhile corrects its instants.
    """
    bodies = [json_object(text.encode()) or {} for text in texts]
    corrected = any(body.get("restamped_by_s") is not None for body in bodies)
    one, other = (
        _without_instants(body) if corrected else body
        for body in ({key: body[key] for key in body if key not in NUMBER_OR_CHANGING} for body in bodies)
    )
    return bool(one == other)


def _without_instants(value: Any) -> Any:
    """``value`` without the instants that a corrected clock moves, at any depth."""
    if isinstance(value, list):
        return [_without_instants(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_instants(one) for key, one in value.items() if key not in INSTANTS}
