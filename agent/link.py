"""Between the outbox and the broker: what is owed goes up, what comes down is heard.

QoS 1, and never more in flight than our own window. `Link.run` is one connection, from greeting to loss;
the supervisor makes the next.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ValidationError

from agent.outbox import Outbox
from agent.store import Row
from agent.topics import KEEP_LATEST, LANES, NEED_RECEIPT, Lane, Message, Speaker, encode, wire
from agent.transport import Broker, Connection

log = structlog.get_logger()

WINDOW = 16
"""Messages in flight; an alert waits behind no more than these."""
ALERT_SLOTS = 4
"""Further places in flight that only alerts and results may take."""
WINDOW_BYTES = 64 * 1024
ACKNOWLEDGED_WITHIN_S = 20.0
"""A broker that leaves a message unacknowledged longer than this is stuck: connect anew."""
NOBODY_WAIT_S = 5.0
REFUSED_WAIT_S = 30.0
"""A lane whose message the broker had nobody to give to, or refused, waits this long."""
PARK_AFTER = 5
"""A message refused this often stays on disk and holds up nobody."""
HISTORICAL_AFTER_S = 10.0
LAST_WORD_WITHIN_S = 3.0

SUCCESS, NO_SUBSCRIBERS = 0x00, 0x10


class Receipt(BaseModel):
    """``receipt``: the centre holds these numbers of this lane, after its own commit."""

    epoch: str
    lane: Literal["alert", "result"] = "alert"
    received: list[tuple[int, int]]


class Link:
    """Between the outbox and the broker. ``run`` is one connection, from greeting to loss."""

    def __init__(
        self,
        speaker: Speaker,
        outbox: Outbox,
        greet: Callable[[int], Sequence[Message]],
        heard: Callable[[str, bytes, str | None], Awaitable[None]],
    ) -> None:
        self._speaker = speaker
        self._outbox = outbox
        self._greet = greet
        self._heard = heard
        self._up = asyncio.Event()
        self.last_word: Message | None = None
        """Said before the connection is closed on purpose."""
        self.troubles: dict[Lane, str] = {}
        """Why a lane waits, in words for ``health``."""

    async def reached(self) -> None:
        """Returns once the broker has acknowledged something on the present connection."""
        await self._up.wait()

    async def run(self, broker: Broker) -> None:
        """Connects, greets, and sends what is owed until the connection is lost (OSError) or cancelled."""
        session = await self._outbox.next_session()
        will = {"schema": "status/1", "device": self._speaker.device, "session": session, "state": "offline"}
        prefix = self._speaker.prefix
        connection = Connection(broker, self._speaker.device, (f"{prefix}/status", encode(will)))
        courier = Courier(
            connection, broker, self._speaker, self._outbox, self._heard, self._up, self.troubles
        )
        try:
            await connection.open()
            down = ("receipt", "alert/ack", "config/desired", "command/+")
            connection.subscribe([f"{prefix}/{topic}" for topic in down] + [self._speaker.host_status])
            self._outbox.rewind()
            await self._outbox.put(*self._greet(session))
            log.info("link_up", broker=broker.url, session=session)
            await courier.carry()
        except asyncio.CancelledError:
            if self.last_word is not None:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(LAST_WORD_WITHIN_S):
                        await self._outbox.put(self.last_word)
                        await courier.drain("status")
            raise
        finally:
            self._up.clear()
            courier.end()
            connection.close()


class Courier:
    """What one connection has in flight."""

    def __init__(
        self,
        connection: Connection,
        broker: Broker,
        speaker: Speaker,
        outbox: Outbox,
        heard: Callable[[str, bytes, str | None], Awaitable[None]],
        up: asyncio.Event,
        troubles: dict[Lane, str],
    ) -> None:
        self._connection = connection
        self._broker = broker
        self._speaker = speaker
        self._outbox = outbox
        self._heard = heard
        self._up = up
        self._troubles = troubles
        self._flying: dict[int, tuple[Row, float]] = {}
        self._bytes = 0
        self._unreceipted: dict[tuple[str, Lane, int], float] = {}
        self._waits: dict[Lane, float] = {}
        self._refused: dict[tuple[str, Lane, int], int] = {}
        self._began_s = time.monotonic()
        self._inbound: asyncio.Queue[Any] = asyncio.Queue()
        self._listener = asyncio.ensure_future(self._listen())

    async def carry(self) -> None:
        """Sends and hears for as long as the connection lives."""
        watch = asyncio.ensure_future(self._wake_on_change())
        try:
            while True:
                await self.send()
                event = await self._connection.event(1.0)
                while event is not None:
                    await self._take(event)
                    event = await self._connection.event(0) if self._connection.pending() else None
                self._look_for_trouble()
        finally:
            watch.cancel()

    async def drain(self, lane: Lane) -> None:
        """Sends what ``lane`` owes and waits until it is acknowledged."""
        await self.send((lane,))
        while any(row.lane == lane for row, _ in self._flying.values()):
            event = await self._connection.event(0.2)
            if event is not None:
                await self._take(event)

    def end(self) -> None:
        self._listener.cancel()

    async def send(self, lanes: Sequence[Lane] = LANES) -> None:
        """Fills the window with what is due, first lane first."""
        now_s = time.monotonic()
        open_lanes = [lane for lane in lanes if self._waits.get(lane, 0) <= now_s]
        first = [lane for lane in open_lanes if lane in NEED_RECEIPT]
        room = WINDOW + ALERT_SLOTS - len(self._flying)
        rows = await self._outbox.due(max(0, room), first)
        for row in rows:
            self._publish(row, now_s)
        room = WINDOW - len(self._flying)
        if room <= 0 or self._bytes >= WINDOW_BYTES:
            return
        for row in await self._outbox.due(room, [lane for lane in open_lanes if lane not in NEED_RECEIPT]):
            self._publish(row, now_s)

    def _publish(self, row: Row, now_s: float) -> None:
        if any(row.key == flying.key for flying, _ in self._flying.values()):
            return  # rewound while it was under way
        body = row.body
        if row.lane != "media":
            connected_s = now_s - self._began_s
            late = row.age_s is None or row.age_s > max(connected_s, HISTORICAL_AFTER_S)
            waited_ms = None if row.age_s is None else row.age_s * 1000
            body = wire(
                row.body,
                row.epoch,
                row.seq,
                historical=late and row.lane not in KEEP_LATEST,
                waited_ms=waited_ms,
            )
        number = self._connection.publish(
            f"{self._speaker.prefix}/{row.topic}", body, row.qos, row.retain, row.expires_s
        )
        self._flying[number] = (row, now_s)
        self._bytes += len(body)

    async def _take(self, event: tuple[Any, ...]) -> None:
        match event:
            case ("published", number, code):
                await self._acknowledged(number, code.value)
            case ("message", message):
                self._inbound.put_nowait(message)
            case ("lost", reason):
                raise OSError(f"{self._broker.url}: connection lost: {reason}")

    async def _acknowledged(self, number: int, code: int) -> None:
        flown = self._flying.pop(number, None)
        if flown is None:
            return
        row, _ = flown
        self._bytes = max(0, self._bytes - len(row.body)) if self._flying else 0
        if code in (SUCCESS, NO_SUBSCRIBERS):
            self._up.set()
        # A retained message has reached its place even when nobody listens just now.
        if code == SUCCESS or (code == NO_SUBSCRIBERS and row.retain):
            self._troubles.pop(row.lane, None)
            if row.lane in NEED_RECEIPT and self._broker.delivery == "receipt":
                self._unreceipted[row.key] = time.monotonic()
            else:
                self._outbox.settle([row])
        else:
            self._hold(row, code)

    def _hold(self, row: Row, code: int) -> None:
        """The broker did not take it: it stays on disk, its lane waits, and in the end goes on without it."""
        reason = "nobody receives it" if code == NO_SUBSCRIBERS else f"the broker refused it (0x{code:02x})"
        if row.lane not in self._troubles:
            log.warning("lane_held", lane=row.lane, topic=row.topic, reason=reason)
        self._troubles[row.lane] = f"{row.lane}: {reason}"
        times = self._refused[row.key] = self._refused.get(row.key, 0) + 1
        wait_s = NOBODY_WAIT_S if code == NO_SUBSCRIBERS else REFUSED_WAIT_S
        self._waits[row.lane] = time.monotonic() + wait_s
        if times < PARK_AFTER or code == NO_SUBSCRIBERS:
            self._outbox.rewind([row.lane])

    def _look_for_trouble(self) -> None:
        now_s = time.monotonic()
        oldest_s = min((sent_s for _, sent_s in self._flying.values()), default=now_s)
        if now_s - oldest_s > ACKNOWLEDGED_WITHIN_S:
            raise TimeoutError(f"{self._broker.url}: nothing acknowledged for {now_s - oldest_s:.0f} s")
        resend_s = self._broker.resend_after.total_seconds()
        late = {lane for (_, lane, _), sent_s in self._unreceipted.items() if now_s - sent_s > resend_s}
        for lane in late:
            self._unreceipted = {key: sent_s for key, sent_s in self._unreceipted.items() if key[1] != lane}
            self._outbox.rewind([lane])

    async def _receive(self, payload: bytes) -> None:
        """The centre's receipt: what it holds leaves the disk."""
        try:
            receipt = Receipt.model_validate_json(payload)
        except ValidationError:
            log.warning("receipt_malformed", size=len(payload))
            return
        await self._outbox.receive(receipt.epoch, receipt.lane, receipt.received)
        for epoch, lane, seq in list(self._unreceipted):
            here = (epoch, lane) == (receipt.epoch, receipt.lane)
            if here and any(first <= seq <= last for first, last in receipt.received):
                del self._unreceipted[epoch, lane, seq]

    def _centre_spoke(self, payload: bytes) -> None:
        """The centre is back: what it has not given a receipt for goes out again, now."""
        if b'"online"' in payload:
            for lane in NEED_RECEIPT:
                self._waits.pop(lane, None)
            self._unreceipted.clear()
            self._outbox.rewind(NEED_RECEIPT)

    async def _wake_on_change(self) -> None:
        while True:
            self._outbox.changed.clear()
            await self._outbox.changed.wait()
            self._connection.woken.set()

    async def _listen(self) -> None:
        """What came down, one after the other; it is acknowledged once it is done."""
        prefix = self._speaker.prefix + "/"
        while True:
            message = await self._inbound.get()
            topic = message.topic.removeprefix(prefix)
            answer_to = getattr(message.properties, "ResponseTopic", None) if message.properties else None
            try:
                if topic == "receipt":
                    await self._receive(message.payload)
                elif topic == self._speaker.host_status:
                    self._centre_spoke(message.payload)
                else:
                    await self._heard(topic, message.payload, answer_to)
            except OSError as error:
                log.warning("message_not_taken", topic=topic, error=str(error))
                continue  # not acknowledged: the broker sends it again
            except Exception:
                log.exception("message_failed", topic=topic)
            self._connection.acknowledge(message)
