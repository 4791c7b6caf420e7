"""Sends unanswered alerts to the fallback brokers too, and receives acknowledgements of alerts there.

The link uses one broker at a time. This is a second connection beside it, open only while such an alert waits
for its answer. Its messages are copies: the outbox still holds the alert for the first broker, and a
subscriber of both recognises the copy by its ``id``. They are sent with QoS 1 and not stored: the next
escalation sends the alert again.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from agent.domain.message import Message, new_id
from agent.host.clock import NEVER_BEFORE
from agent.mqtt.broker import Broker
from agent.mqtt.connect_threads import run_in_thread
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_first
from agent.mqtt.envelope import Envelope, wire
from agent.mqtt.peer import LinkEvents
from agent.mqtt.receiver import OnMessage

log = structlog.get_logger()

MOST_UNSENT = 50
CLIENT_ID_SUFFIX = "-elsewhere"
"""Behind the device's name: no device may be called so, and NATS allows no dot. With the link's client id the
two connections would take each other's session where both use one broker. They still do where the broker
takes the client id from the certificate: so this connection avoids the link's broker, and yields to it."""
POLL_S = 1.0
ACKS = "alert/ack"


class FallbackNotifier:
    """``waiting``: whether an alert still has no answer. ``link_url``: the address of the link's broker."""

    def __init__(
        self,
        envelope: Envelope,
        on_message: OnMessage,
        waiting: Callable[[], bool],
        link_url: Callable[[], str | None],
        past: datetime = NEVER_BEFORE,
        pairs: Callable[[Broker], Sequence[Broker]] = lambda broker: broker.in_order,
    ) -> None:
        """``pairs``: as `Link.pairs`."""
        self._envelope = envelope
        self._on_message = on_message
        self._waiting = waiting
        self._link_url = link_url
        self._past = past
        self._pairs = pairs
        self._unsent: deque[Message] = deque(maxlen=MOST_UNSENT)
        self._filled = asyncio.Event()
        self.events = LinkEvents()

    def notify(self, message: Message) -> None:
        """Sends an alert that was raised again."""
        self._unsent.append(message)
        self._filled.set()

    async def run(self, broker: Broker) -> None:
        """Waits for such alerts, and sends them until they are answered. OSError: no broker is reachable."""
        while True:
            await self._filled.wait()
            await self._connect_once(broker)
            self._filled.clear()

    async def _connect_once(self, broker: Broker) -> None:
        while (link_url := self._link_url()) is None:  # noqa: ASYNC110  the link chooses first
            await asyncio.sleep(POLL_S)
        pairs = await run_in_thread(lambda: self._pairs(broker), "certificates")
        others = [one for one in pairs if one.url != link_url]
        client_id = f"{self._envelope.device}{CLIENT_ID_SUFFIX}"
        connection, connected = await open_first(others, client_id, None, self._past)
        try:
            self.events.on_login(connected, connection.peer)
            log.info("fallback_notified", broker=connected.url)
            connection.subscribe([f"{self._envelope.prefix}/{ACKS}"])
            await self._send(connection, connected)
        finally:
            connection.close()

    async def _send(self, connection: Connection, connected: Broker) -> None:
        """Until all alerts are sent and answered. The next connection sends unacknowledged ones again."""
        epoch, numbers, acks = new_id(), itertools.count(1), f"{self._envelope.prefix}/{ACKS}"
        in_flight: dict[int, Message] = {}
        try:
            while self._unsent or in_flight or self._waiting():
                if self._link_url() == connected.url:
                    raise OSError(f"{connected.url}: the link itself is connected there now")
                while self._unsent:
                    message = self._unsent.popleft()
                    body = wire(message.body, epoch, next(numbers))
                    topic = f"{self._envelope.prefix}/{message.topic}"
                    in_flight[connection.publish(topic, body, 1, False)] = message
                match await connection.event(1.0):
                    case ("published", packet_id, _):
                        in_flight.pop(packet_id, None)
                    case ("message", message) if message.topic == acks:
                        await self._on_message(ACKS, message.payload, None, message.retain)
                        connection.acknowledge(message)
                    # Others were meant for the link, when it was here: unacknowledged, they wait for it.
                    case ("lost", reason):
                        raise OSError(f"connection lost: {reason}")
        finally:
            self._unsent.extendleft(reversed(in_flight.values()))
