"""The messages that come down on one connection, in their order: each is acknowledged once it is done.

Receipts and the centre's status are handled here; all else goes to the agent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import structlog
from pydantic import BaseModel, Field, ValidationError

from agent.domain.message import RECEIPT_LANES
from agent.host.clock import monotonic_s
from agent.host.entropy import uniform
from agent.mqtt.connection import Connection
from agent.mqtt.envelope import Envelope
from agent.mqtt.in_flight import InFlight
from agent.mqtt.lane_holds import LaneHolds
from agent.mqtt.receipts import SPREAD_S, Receipts
from agent.mqtt.topics import GROUPS
from agent.outbox.outbox import Outbox
from agent.trust.refusal import OrderRefused

log = structlog.get_logger()


OnMessage = Callable[[str, bytes, str | None, bool], Awaitable[None]]
"""Takes a message down: topic below the device's (or ``groups/<name>/…``), payload, response topic, and
whether it was retained."""


class Receipt(BaseModel):
    """``receipt``: the centre holds the messages with these ids, after its own commit.

    Ids and not numbers: of a store that was restored from an image, a number may name another message.
    """

    ids: list[str] = Field(max_length=500)
    checkpoint: dict[str, str | int] | None = Field(default=None, max_length=8)
    """The checkpoint of the audit log that the centre countersigns."""


class HostStatus(BaseModel):
    """``host/status``: the centre is there, or not; which ``generation`` of it, or else which process."""

    state: Literal["online", "offline"]
    generation: str | None = Field(default=None, max_length=64)
    instance: str | None = Field(default=None, max_length=64)


MOST_UNACKNOWLEDGED = 200
"""With so many messages that wait, one with QoS 0 is dropped."""


class MessageReceiver:
    """A task of one connection, from its making to `close`."""

    def __init__(
        self,
        connection: Connection,
        envelope: Envelope,
        outbox: Outbox,
        on_message: OnMessage,
        receipts: Receipts,
        in_flight: InFlight,
        holds: LaneHolds,
    ) -> None:
        self.overtaking: set[str] = set()
        """Ids in flight whose receipt came before the broker's acknowledgement."""
        self._connection = connection
        self._envelope = envelope
        self._outbox = outbox
        self._on_message = on_message
        self._receipts = receipts
        self._in_flight = in_flight
        self._holds = holds
        self._malformed_logged = self._dropped_logged = False
        self.handling = False
        """Whether a message is not acknowledged to the broker yet."""
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._run())

    def add(self, message: Any) -> None:
        """A message of paho. Of a flood with QoS 0 the rest is dropped: nothing else bounds it."""
        if message.qos == 0 and self._queue.qsize() >= MOST_UNACKNOWLEDGED:
            if not self._dropped_logged:
                self._dropped_logged = True
                log.warning(
                    "messages_dropped", topic=message.topic, reason=f"{MOST_UNACKNOWLEDGED} wait, QoS 0"
                )
            return
        self._queue.put_nowait(message)

    def close(self) -> None:
        self._task.cancel()
        self.handling = False

    async def _run(self) -> None:
        prefix = self._envelope.prefix + "/"
        while True:
            self.handling = False
            message = await self._queue.get()
            self.handling = True
            topic = ""
            try:
                topic = message.topic.removeprefix(prefix)
                if topic.startswith(f"{self._envelope.root}/{GROUPS}/"):
                    topic = topic.removeprefix(f"{self._envelope.root}/")
                await self._handle(topic, message)
            except OSError as error:
                log.warning("message_not_taken", topic=topic, error=str(error))
                continue  # not acknowledged: the broker sends it again
            except Exception:
                log.exception("message_failed", topic=topic)
            self._connection.acknowledge(message)

    async def _handle(self, topic: str, message: Any) -> None:
        self._receipts.record_inbound()
        response_topic = getattr(message.properties, "ResponseTopic", None) if message.properties else None
        if topic == "receipt":
            await self._on_receipt(message.payload)
        elif topic == self._envelope.host_status:
            self._on_host_status(message.payload, retained=message.retain)
        else:
            await self._on_message(topic, message.payload, response_topic, message.retain)

    async def _on_receipt(self, payload: bytes) -> None:
        """Deletes the messages that the centre holds."""
        try:
            receipt = Receipt.model_validate_json(self._receipts.open_payload(payload))
        except OrderRefused as refusal:
            self._receipts.record_refused(str(refusal))
            return
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(map(str, detail["loc"])) or "payload"
            reason = f"{where}: {detail['msg']}"
            self._receipts.record_malformed(reason)
            if not self._malformed_logged:
                self._malformed_logged = True
                log.warning(
                    "receipt_malformed",
                    size=len(payload),
                    reason=reason,
                    right='{"ids": ["<id of a message>", …]}, at most 500 of them',
                )
            return
        if receipt.checkpoint is not None:
            self._receipts.on_checkpoint(payload, receipt.checkpoint)
        in_flight = self._in_flight.ids()
        ids = self._receipts.handed_out(receipt.ids, in_flight)
        self.overtaking = (self.overtaking | set(ids)) & in_flight
        self._receipts.record(ids, monotonic_s())
        await self._outbox.record_receipts(ids)

    def _on_host_status(self, payload: bytes, *, retained: bool) -> None:
        """The centre is back: see `Receipts.record_host_status`; lanes that nobody received end their wait.

        The whole fleet gets the same message: they end it spread over some seconds. A retained one is no
        news: it came with the subscription, and all undelivered messages are on their way.
        """
        now_s = monotonic_s()
        try:
            status = HostStatus.model_validate_json(payload)
        except ValidationError:
            return
        self._receipts.record_host_status(
            status.state, now_s, retained=retained, generation=status.generation or status.instance
        )
        if status.state == "online":
            for lane in RECEIPT_LANES:
                until_s = now_s if retained else now_s + uniform(0.0, SPREAD_S)
                self._holds.shorten(lane, until_s)
