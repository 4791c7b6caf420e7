"""Stores received messages, sends receipts, acknowledges to the broker: in this order, never another."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import structlog
from pydantic import ValidationError

from agent.audit.checkpoint_store import Checkpoint
from agent.domain.message import ROOT, encode
from agent.host.clock import monotonic_s
from agent.mqtt.connection import Connection
from agent.runtime.sanitize import json_object, printable
from agent.trust.order import sign_order
from agent.trust.signing_key import SigningKey
from centre.audit_intake import AUDIT, CheckpointIntake, Judged
from centre.database import PostgresUrl
from centre.holes import ASK_EVERY_S, Hole, HoleTracker, lost_at_device
from centre.message_header import MessageHeader, ReceivedMessage
from centre.message_line import HOLE
from centre.message_store import NUMBERED, MessageStore, Outcome
from centre.picture_store import PictureStore
from centre.sequence_gaps import format_ranges

log = structlog.get_logger()

MOST_IDS = 500
"""Ids in one receipt."""
TO_DEVICES = ("receipt", "alert/ack", "config/desired", "roles/desired", "command/")
"""Topics that centres and workstations publish."""

NO_DEVICES = ("host", "groups")

OnStored: TypeAlias = Callable[[str, str, dict[str, Any]], None]
"""Called with device, topic below it, and the message, after its commit; holes under the topic `HOLE`."""


class Intake:
    """The stores of one centre, and the messages on their way into them."""

    def __init__(
        self,
        db: Path | PostgresUrl,
        root: str = ROOT,
        on_stored: OnStored | None = None,
        pictures: Path | None = None,
        clock: Callable[[], float] = monotonic_s,
        key: SigningKey | None = None,
    ) -> None:
        """``key`` signs the receipts; without one a device whose roles name a centre takes none of them."""
        self.pictures = PictureStore(pictures) if pictures is not None else None
        self._store = MessageStore(db)
        self.database = self._store.database
        self._checkpoints = CheckpointIntake(db)
        self._holes = HoleTracker(self._store, clock)
        self._root = root
        self._on_stored = on_stored
        self._key = key

    def close(self) -> None:
        self._store.close()
        self._checkpoints.close()

    async def store_batch(self, connection: Connection, batch: Sequence[Any]) -> None:
        """Commits the messages of ``batch`` and acknowledges all; none on OSError."""
        readable_ones = list(self._readable(batch))
        parsed = (self._parse(*one) for one in readable_ones)
        messages = [message for message in parsed if message is not None]
        outcomes = await asyncio.to_thread(self._store.keep, messages) if messages else []
        if wills := [
            (device, payload) for device, topic, body, payload in readable_ones if _is_will(topic, body)
        ]:
            await asyncio.to_thread(self._store.keep_wills, wills)
        judged = await asyncio.to_thread(self._checkpoints.keep, messages) if messages else Judged()
        for device, ids in self._receipts(zip(messages, outcomes, strict=True)).items():
            for first in range(0, len(ids), MOST_IDS):
                checkpoint = judged.countersigned.get(device) if first == 0 else None
                receipt = self._receipt(device, ids[first : first + MOST_IDS], checkpoint)
                connection.publish(f"{self._root}/{device}/receipt", receipt, 1, False)
        for message in batch:
            connection.acknowledge(message)
        if self._on_stored:
            for device, topic, body, _ in readable_ones:
                self._on_stored(device, topic, body)
            for device, problem in judged.problems:
                self._on_stored(device, AUDIT, {"state": problem})

    def _receipt(self, device: str, ids: list[str], checkpoint: Checkpoint | None) -> bytes:
        """With a checkpoint of the device's audit log the receipt countersigns it."""
        body: dict[str, Any] = {"ids": ids}
        if checkpoint is not None:
            body["checkpoint"] = checkpoint.countersignature()
        return encode(body) if self._key is None else sign_order("receipt", device, body, [self._key])

    def _readable(self, batch: Sequence[Any]) -> Iterator[tuple[str, str, dict[str, Any], bytes]]:
        """Device, topic, body and payload of each JSON object; pictures go to their store."""
        for message in batch:
            device, _, topic = message.topic.removeprefix(self._root + "/").partition("/")
            if device in NO_DEVICES or (topic.startswith(TO_DEVICES) and topic != "command/result"):
                continue  # without MQTT 5 a client receives its own messages, too
            if topic.startswith("media/"):
                if self.pictures is not None:
                    self.pictures.add(device, topic, message.payload)
                continue
            body = json_object(message.payload)
            if body is None:
                continue
            if body.get("device", device) != device:
                claimed = printable(body["device"])[:64]
                log.warning("device_does_not_match_topic", topic=message.topic, device=claimed)
                continue
            yield device, topic, body, message.payload

    def _parse(self, device: str, topic: str, body: dict[str, Any], payload: bytes) -> ReceivedMessage | None:
        """None where the header is malformed."""
        try:
            header = MessageHeader.model_validate_json(payload)
        except ValidationError as error:
            if not _is_will(topic, body):
                reason = error.errors()[0]["msg"]
                log.warning("envelope_malformed", device=device, topic=topic, error=reason)
            return None
        if topic == "health":
            self._holes.on_health(device, body)
        return ReceivedMessage(topic, header, payload)

    def _receipts(self, outcomes: Iterable[tuple[ReceivedMessage, Outcome]]) -> dict[str, list[str]]:
        """The ids that get a receipt, by device, each once."""
        receipts: dict[str, dict[str, None]] = defaultdict(dict)
        for message, outcome in outcomes:
            header = message.header
            if outcome in ("beside", "refused"):
                log.warning(
                    "id_of_another_message",
                    device=header.device,
                    topic=message.topic,
                    id=printable(header.id),
                    stored=outcome == "beside",
                )
            if outcome != "refused" and message.topic in NUMBERED:
                receipts[header.device][header.id] = None
            if message.topic == "gap" and outcome in ("new", "beside"):
                hole = lost_at_device(header.device, json_object(message.payload) or {})
                if hole is not None:
                    self._report_hole(hole)
        return {device: list(ids) for device, ids in receipts.items()}

    async def check_holes(self, connection: Connection) -> None:
        """Asks devices that are due for missing numbers; the request expires when the next one may go."""

        def request(device: str, command: dict[str, Any]) -> None:
            topic = f"{self._root}/{device}/command/resend"
            connection.publish(topic, encode(command), 1, False, ASK_EVERY_S)

        await self._holes.check(request, self._report_hole)

    def _report_hole(self, hole: Hole) -> None:
        """One line in the log, and one where messages are shown."""
        body: dict[str, Any] = {
            "state": hole.state,
            "lane": hole.lane,
            "epoch": hole.epoch,
            "ranges": hole.ranges,
        }
        if hole.why is not None:
            body["why"] = hole.why
        log.warning(
            "hole",
            device=hole.device,
            state=hole.state,
            lane=hole.lane,
            epoch=printable(hole.epoch),
            numbers=format_ranges(hole.ranges),
            why=printable(hole.why),
        )
        if self._on_stored:
            self._on_stored(hole.device, HOLE, body)


def _is_will(topic: str, body: dict[str, Any]) -> bool:
    """Whether the message is a last will: it has no id and no number."""
    return topic == "status" and body.get("state") == "offline" and "id" not in body
