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

import structlog

from agent.courier import Heard
from agent.topics import Message, Speaker, new_id, wire
from agent.transport import Broker, Connection

log = structlog.get_logger()

KEPT = 50
ACKS = "alert/ack"


class Elsewhere:
    """``waiting``: whether some alert still has no answer. ``taken``: the address that the link is at."""

    def __init__(
        self,
        speaker: Speaker,
        heard: Heard,
        waiting: Callable[[], bool],
        taken: Callable[[], str | None],
    ) -> None:
        self._speaker = speaker
        self._heard = heard
        self._waiting = waiting
        self._taken = taken
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
        connection, taken = await self._open([one for one in broker.in_order if one.url != self._taken()])
        try:
            log.info("told_elsewhere", broker=taken.url)
            connection.subscribe([f"{self._speaker.prefix}/{ACKS}"])
            await self._talk(connection)
        finally:
            connection.close()

    async def _open(self, brokers: list[Broker]) -> tuple[Connection, Broker]:
        refusals = []
        for one in brokers:
            connection = Connection(one, self._speaker.device, None)
            try:
                await connection.open()
            except OSError as error:
                connection.close()
                refusals.append(str(error))
            except asyncio.CancelledError:
                connection.close()
                raise
            else:
                return connection, one
        raise OSError("; ".join(refusals) or "there is no further broker")

    async def _talk(self, connection: Connection) -> None:
        """Until all is told and answered. What was not acknowledged is told again on the next connection."""
        epoch, numbers, acks = new_id(), itertools.count(1), f"{self._speaker.prefix}/{ACKS}"
        flying: dict[int, Message] = {}
        try:
            while self._told or flying or self._waiting():
                while self._told:
                    message = self._told.popleft()
                    body = wire(message.body, epoch, next(numbers))
                    topic = f"{self._speaker.prefix}/{message.topic}"
                    flying[connection.publish(topic, body, 1, False)] = message
                match await connection.event(1.0):
                    case ("published", number, _):
                        flying.pop(number, None)
                    case ("message", message) if message.topic == acks:
                        await self._heard(ACKS, message.payload, None)
                        connection.acknowledge(message)
                    # All else was meant for the link, when it was here once: unacknowledged, it waits for it.
                    case ("lost", reason):
                        raise OSError(f"connection lost: {reason}")
        finally:
            self._told.extendleft(reversed(flying.values()))
