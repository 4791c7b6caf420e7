"""The link between the outbox and the centre's brokers: messages go up, receipts and commands come down.

`Link.run` keeps one connection until it is lost; the supervisor starts the next.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from agent.alerts.latency import LatencyLedger
from agent.domain.message import Message, stamp
from agent.host.clock import certainly_past, kernel_clock, monotonic_s, utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.byte_budget import Budget
from agent.mqtt.connect_threads import run_in_thread
from agent.mqtt.connection import SESSION_EXPIRY_S, Connection
from agent.mqtt.dialing import open_first
from agent.mqtt.envelope import Envelope
from agent.mqtt.failback import Failback
from agent.mqtt.peer import LinkEvents
from agent.mqtt.quarantine import Quarantine
from agent.mqtt.receipts import Receipts
from agent.mqtt.receiver import OnMessage
from agent.mqtt.sender import ConnectionSender
from agent.mqtt.short_connections import ShortConnections
from agent.mqtt.subscriptions import Subscriptions
from agent.mqtt.topic_choice import TopicChoice
from agent.mqtt.topics import RETAINED
from agent.outbox.outbox import Outbox

log = structlog.get_logger()

FINAL_STATUS_WITHIN_S = 3.0
SETTLE_WITHIN_S = 10.0
REDUCED_S = 3600.0
"""A connection with fewer subscriptions lasts this long; see `topics.LEFT_OUT`."""
CLOCK = "clock"
PREFIX = "prefix"


class Link:
    """Between the outbox and the broker. ``birth_messages`` makes the first messages of a connection from the
    number of its session; ``on_message`` takes each message down."""

    def __init__(
        self,
        envelope: Envelope,
        outbox: Outbox,
        birth_messages: Callable[[int], Sequence[Message]],
        on_message: OnMessage,
        latency: LatencyLedger | None = None,
    ) -> None:
        self.past = certainly_past(outbox.recall(CLOCK))
        """An instant before which no clock is right."""
        self.connected_url: str | None = None
        """The address of the broker that it is connected to."""
        self.connected_cert: Path | None = None
        """The client certificate of the present connection."""
        self.refusals: list[str] = []
        """Why brokers before the present one refused the connection."""
        self.pairs: Callable[[Broker], Sequence[Broker]] = lambda broker: broker.in_order
        """Brokers to try in their order, each with the certificate and key to try it with. May block."""
        self.final_status: Message | None = None
        """Sent before the connection is closed on purpose."""
        self.sender: ConnectionSender | None = None
        """The sender of the last connection."""
        self.receipts = Receipts()
        self.events = LinkEvents()
        self.groups: Callable[[], Sequence[str]] = tuple
        """The groups whose pushes this device takes."""
        self._envelope = envelope
        self._outbox = outbox
        self._birth_messages = birth_messages
        self._on_message = on_message
        self._latency = latency or LatencyLedger()
        self._acknowledged = asyncio.Event()
        self._quarantine = Quarantine()
        self._budget = Budget(None, 0.0)
        self._pictures_first = False
        self._failback = Failback()
        self._renew = asyncio.Event()
        self._short_connections = ShortConnections()
        self._choice = TopicChoice()
        self._prefix = (outbox.recall(PREFIX) or b"").decode(errors="replace")
        self._encrypted = False

    @property
    def troubles(self) -> Mapping[str, str]:
        """What does not get through, in words for ``health``."""
        now_s = monotonic_s()
        held = {str(lane): text for lane, text in self.sender.holds.reasons.items()} if self.sender else {}
        found: dict[str, str | None] = {}
        if self.connected_url:
            subscriptions = self.sender.subscriptions if self.sender else None
            found["subscriptions"] = subscriptions.trouble if subscriptions else None
            found["receipts"] = self.receipts.trouble(now_s)
            found["connection"] = self._short_connections.trouble(self._envelope.device, now_s)
            found["config"] = self._choice.trouble
        texts = {name: text for name, text in found.items() if text is not None}
        return {**held, **self._quarantine.troubles(), **texts}

    def fields(self) -> dict[str, Any]:
        """The state of the link for ``health``: broker, connections, usual time to an acknowledgement."""
        fields: dict[str, Any] = {"connections": self._outbox.session}
        if self.connected_url is None or self.sender is None:
            return fields
        fields = {"broker": self.connected_url, **fields}
        usual_s = self.sender.in_flight.window.usual_s
        return fields if usual_s is None else fields | {"acknowledged_ms": round(usual_s * 1000, 1)}

    async def acknowledged(self) -> None:
        """Returns once the broker has acknowledged a message on the present connection."""
        await self._acknowledged.wait()

    async def settled(self) -> None:
        """Returns once the message that is being handled is acknowledged to the broker, or after
        `SETTLE_WITHIN_S`: else the broker would send it again on the next connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_WITHIN_S):
                while self.sender is not None and self.sender.handling:  # noqa: ASYNC110  seldom
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.1)  # until its bytes have left

    def renew(self) -> None:
        """Connects again, with the `pairs` of now."""
        self._renew.set()

    @property
    def renewing(self) -> bool:
        """Whether the present connection, if any, is about to end by `renew`."""
        return self._renew.is_set()

    @property
    def is_healthy(self) -> bool:
        """Whether a broker is connected, and receipts come where some are due."""
        return self.connected_url is not None and self.receipts.trouble(monotonic_s()) is None

    def put_pictures_first(self, first: bool) -> None:
        """Whether pictures go before telemetry, also where the byte budget is short."""
        self._pictures_first = self._budget.pictures_first = first

    @property
    def centre_reached(self) -> bool:
        """Whether a sign of life of the centre came on the present connection."""
        return self.is_healthy and self.receipts.centre == "online"

    @property
    def saving(self) -> bool:
        """Whether less telemetry should be made: it waits for the byte budget, or for pictures."""
        waits = self.sender is not None and "telemetry" in self.sender.over_budget
        return waits or self._pictures_first

    async def receipt_of(self, message_id: str) -> None:
        """Returns once the centre's receipt for this message is here."""
        received = asyncio.Event()
        self.receipts.callbacks[message_id] = received.set
        try:
            await received.wait()
        finally:
            del self.receipts.callbacks[message_id]

    async def run(self, broker: Broker) -> None:
        """Connects, greets, and sends until the connection is lost (OSError) or the task cancelled."""
        if self._budget.bytes_per_hour != broker.bytes_per_hour:
            self._budget = Budget(broker.bytes_per_hour, monotonic_s())
            self._budget.pictures_first = self._pictures_first
        while True:
            await self._connect_once(broker)

    async def _connect_once(self, broker: Broker) -> None:
        """One connection; returns only where another one would be better."""
        session = await self._outbox.next_session()
        self._renew.clear()
        connection, connected = await self._open(broker, session)
        sender = self.sender = ConnectionSender(
            connection, connected, self._envelope, self._outbox, self._on_message, self._acknowledged,
            self._quarantine, self._latency, self._budget, self.receipts,
            lambda row: self.events.on_picture(row, connected, connection.peer),
        )  # fmt: skip
        final_status_sent = False
        sending = asyncio.ensure_future(self._send(connection, sender, session))
        leaving = asyncio.ensure_future(self._until_better(broker, connected))
        naming = asyncio.ensure_future(self._remember_prefix())
        renewing = asyncio.ensure_future(self._renew.wait())
        try:
            self.connected_url, self._encrypted = connected.url, connected.encrypted
            self.connected_cert = connected.cert
            self._short_connections.began(monotonic_s())
            self.events.on_login(connected, connection.peer)
            log.info("link_up", broker=connected.url, session=session)
            done, _ = await asyncio.wait([sending, leaving, renewing], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        except OSError:
            sender.record_disconnect(closed=not connection.died)
            self._short_connections.ended(monotonic_s(), closed=not connection.died)
            raise
        except asyncio.CancelledError:
            await _cancelled(sending)
            final_status_sent = await self._send_final_status(sender)
            raise
        finally:
            leaving.cancel()
            naming.cancel()
            renewing.cancel()
            await _cancelled(sending)
            self._choice.record_end(connection.oversized_bytes)
            self._acknowledged.clear()
            self.connected_url = self.connected_cert = None
            sender.close()
            connection.close(with_will=not final_status_sent)

    async def _open(self, broker: Broker, session: int) -> tuple[Connection, Broker]:
        """A connection to the first broker, in their order, that accepts it. OSError names each reason."""
        will = self._envelope.last_will(session, utc_now())
        expiry_s = 0 if self._choice.level else SESSION_EXPIRY_S
        self.refusals = []
        return await open_first(
            await run_in_thread(lambda: self.pairs(broker), "certificates"),
            self._envelope.device,
            will,
            self.past,
            session_expiry_s=expiry_s,
            refusals=self.refusals,
        )

    async def _send(self, connection: Connection, sender: ConnectionSender, session: int) -> None:
        topics = self._choice.topics(self._envelope, self.groups())
        sender.subscriptions = Subscriptions(connection, list(topics.values()), list(topics))
        sender.subscriptions.begin()
        if self._prefix not in ("", self._envelope.prefix):
            log.info("old_prefix_cleared", prefix=self._prefix)
            for topic in RETAINED:  # messages under the name that this device had before
                connection.publish(f"{self._prefix}/{topic}", b"", 1, True)
        self._outbox.rewind()
        await self._outbox.put_within(*self._birth_messages(session), remember=self._remembered_clock())
        await sender.run()

    async def _remember_prefix(self) -> None:
        """Once the broker has acknowledged a message, it has also read what came before that."""
        await self._acknowledged.wait()
        if self._prefix != self._envelope.prefix:
            self._prefix = self._envelope.prefix
            with suppress(OSError):
                await self._outbox.put(remember={PREFIX: self._prefix.encode()})

    def _remembered_clock(self) -> dict[str, bytes]:
        """The time, where the clock is right: should the clock fail later, it is at least after this.

        Only where the broker's certificate was valid at this time: a clock that is set wrong gets no further.
        """
        now = utc_now()
        right = self._encrypted and now > self.past and kernel_clock()[0]
        return {CLOCK: stamp(now).encode()} if right else {}

    async def _send_final_status(self, sender: ConnectionSender) -> bool:
        """Whether it was sent, so that the broker need not publish the last will."""
        if self.final_status is None:
            return False
        with suppress(OSError):  # and so TimeoutError
            async with asyncio.timeout(FINAL_STATUS_WITHIN_S):
                await self._outbox.put_within(self.final_status)
                await sender.drain("status")
                return True
        return False

    async def _until_better(self, broker: Broker, connected: Broker) -> None:
        """Returns when another connection would be better than this one."""
        if self._choice.level:
            await asyncio.sleep(REDUCED_S)
        else:
            await self._failback.first_reachable(broker, connected, self.past)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancels ``task``, and waits until it has ended."""
    task.cancel()
    await asyncio.wait([task])
