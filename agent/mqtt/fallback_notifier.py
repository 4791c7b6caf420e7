"""Tells an alert that nobody answered at the fallback brokers too, and listens there for an answer.

The link speaks with one broker at a time. This is a second connection beside it, there only while such an
alert waits for its answer. What it says is a copy: the outbox owes the alert to the first broker still, and
a receiver of both knows the two by their ``id``. It is sent with QoS 1 and not kept: the next escalation says
it again.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from datetime import datetime

import structlog

from agent.domain.message import Message, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_first
from agent.mqtt.envelope import Envelope, wire
from agent.mqtt.sender import Heard
from agent.runtime.kernel_clock import NEVER_BEFORE

log = structlog.get_logger()

KEPT = 50
CLIENT_ID_SUFFIX = "-elsewhere"
"""Behind the device's name: no device may be called so, and NATS takes no dot. Under the link's client id
the two would take each other's session where both come to one broker. They still do where the broker goes by
the certificate: so this one goes where the link is not, and yields where it comes."""
LOOK_EVERY_S = 1.0
ACKS = "alert/ack"


class FallbackNotifier:
    """``waiting``: whether some alert still has no answer. ``taken``: the address that the link is at."""

    def __init__(
        self,
        speaker: Envelope,
        heard: Heard,
        waiting: Callable[[], bool],
        taken: Callable[[], str | None],
        past: datetime = NEVER_BEFORE,
    ) -> None:
        self._speaker = speaker
        self._heard = heard
        self._waiting = waiting
        self._taken = taken
        self._past = past
        self._told: deque[Message] = deque(maxlen=KEPT)
        self._filled = asyncio.Event()

    def tell(self, message: Message) -> None:
        """An alert that was raised again."""
        self._told.append(message)
        self._filled.set()

    async def run(self, broker: Broker) -> None:
        """Waits for such alerts, and tells them until they are answered. OSError where nobody is reached."""
        while True:
            await self._filled.wait()
            await self._visit(broker)
            self._filled.clear()

    async def _visit(self, broker: Broker) -> None:
        while (at := self._taken()) is None:  # noqa: ASYNC110  the link chooses first, and it takes a while
            await asyncio.sleep(LOOK_EVERY_S)
        others = [one for one in broker.in_order if one.url != at]
        connection, taken = await open_first(
            others, f"{self._speaker.device}{CLIENT_ID_SUFFIX}", None, self._past
        )
        try:
            log.info("told_elsewhere", broker=taken.url)
            connection.subscribe([f"{self._speaker.prefix}/{ACKS}"])
            await self._talk(connection, taken)
        finally:
            connection.close()

    async def _talk(self, connection: Connection, here: Broker) -> None:
        """Until all is told and answered. What was not acknowledged is told again on the next connection."""
        epoch, numbers, acks = new_id(), itertools.count(1), f"{self._speaker.prefix}/{ACKS}"
        flying: dict[int, Message] = {}
        try:
            while self._told or flying or self._waiting():
                if self._taken() == here.url:
                    raise OSError(f"{here.url}: the link itself is here now")
                while self._told:
                    message = self._told.popleft()
                    body = wire(message.body, epoch, next(numbers))
                    topic = f"{self._speaker.prefix}/{message.topic}"
                    flying[connection.publish(topic, body, 1, False)] = message
                match await connection.event(1.0):
                    case ("published", number, _):
                        flying.pop(number, None)
                    case ("message", message) if message.topic == acks:
                        await self._heard(ACKS, message.payload, None, message.retain)
                        connection.acknowledge(message)
                    # All else was meant for the link, when it was here once: unacknowledged, it waits for it.
                    case ("lost", reason):
                        raise OSError(f"connection lost: {reason}")
        finally:
            self._told.extendleft(reversed(flying.values()))
