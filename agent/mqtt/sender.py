"""What one connection has in flight, and what becomes of it. QoS 1, and never more than our own window.

Lanes go first to last, alerts have places of their own; what the broker does not take waits aside.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import BaseModel, Field, ValidationError

from agent.alerts.latency import LatencyLedger
from agent.domain.message import KEEP_LATEST, LANES, LAST_RANK, NEED_RECEIPT, Lane
from agent.mqtt.broker import Broker
from agent.mqtt.byte_budget import Budget
from agent.mqtt.connection import Connection
from agent.mqtt.envelope import Envelope, restamp, shortened, wire
from agent.mqtt.inflight_window import ALERT_SLOTS, Window
from agent.mqtt.quarantine import Quarantine
from agent.mqtt.receipts import SPREAD_S, Receipts
from agent.mqtt.subscriptions import Subscriptions
from agent.outbox.outbox import Outbox
from agent.outbox.rows import Row
from agent.runtime.kernel_clock import kernel_clock

log = structlog.get_logger()

ACKNOWLEDGED_WITHIN_S = 20.0
"""A broker that leaves a message unacknowledged longer than this is stuck: connect anew."""
NOBODY_WAIT_S = 5.0
REFUSED_WAIT_S = 30.0
"""A lane whose message the broker had nobody to give to, or refused, waits this long."""
HISTORICAL_AFTER_S = 10.0
GONE_EVERY_S = 10.0
"""So often is asked whether what the broker did not take is still to be sent."""
HEADER_BYTES = 32
"""What MQTT adds to topic and body: fixed header, lengths, number, properties."""

SUCCESS, NO_SUBSCRIBERS = 0x00, 0x10
FIRST: tuple[Lane, ...] = tuple(lane for lane in LANES if lane in NEED_RECEIPT)
LATEST: tuple[Lane, ...] = tuple(lane for lane in LANES if lane in KEEP_LATEST)
BULK: tuple[Lane, ...] = tuple(lane for lane in LANES if lane not in (*FIRST, *LATEST))

Heard = Callable[[str, bytes, str | None, bool], Awaitable[None]]
"""Takes what came down: topic below the device's, payload, response topic, and whether it was retained."""


class Receipt(BaseModel):
    """``receipt``: the centre holds the messages with these ids, after its own commit.

    Ids and not numbers: of a store that was restored from an image, a number may name another message.
    """

    ids: list[str] = Field(max_length=500)


class ConnectionSender:
    """One connection's. ``carry`` ends when it is lost (OSError)."""

    def __init__(
        self,
        connection: Connection,
        broker: Broker,
        speaker: Envelope,
        outbox: Outbox,
        heard: Heard,
        up: asyncio.Event,
        aside: Quarantine,
        latency: LatencyLedger,
        budget: Budget,
        receipts: Receipts,
    ) -> None:
        self._connection = connection
        self._broker = broker
        self._speaker = speaker
        self._outbox = outbox
        self._heard = heard
        self._up = up
        self._aside = aside
        self._latency = latency
        self._budget = budget
        self._window = Window(connection.receive_maximum)
        self._flying: dict[int, tuple[Row, float, int]] = {}
        self._bytes = 0
        self._usual_bytes = 1024.0
        self._full = False
        self._alone: deque[Row] = deque()
        self._receipts = receipts
        receipts.connected(broker.resend_after.total_seconds())
        self._receipted: set[str] = set()
        """Under way, and the centre has them already: a receipt may overtake the acknowledgement."""
        self._waits: dict[Lane, float] = {}
        self._spread: set[Lane] = set()
        """Lanes that wait only because a whole fleet begins to send just now."""
        self._told_malformed = False
        self.held: dict[Lane, str] = {}
        """Why a lane waits, in words for ``health``."""
        self.saving: set[Lane] = set()
        """Lanes that wait for the byte budget."""
        self._began_s = self._paced_s = time.monotonic()
        self._allowance = broker.backlog_per_s
        self._backlog = True
        self._passed_s = 0.0  # when the last of those that were acknowledged was sent
        self._inbound: asyncio.Queue[Any] = asyncio.Queue()
        self._asked_s = float("-inf")
        self.subscriptions: Subscriptions | None = None
        self._listener = asyncio.ensure_future(self._listen())

    async def carry(self) -> None:
        """Sends and hears for as long as the connection lives."""
        watch = asyncio.ensure_future(self._wake_on_change())
        try:
            while True:
                await self.send()
                event = await self._connection.event(0.1 if self._backlog else 1.0)
                while event is not None:
                    await self._take(event)
                    event = await self._connection.event(0) if self._connection.pending() else None
                self._look_for_trouble()
                await self._forget_what_is_gone(time.monotonic())
        finally:
            watch.cancel()

    async def drain(self, lane: Lane) -> None:
        """Sends what ``lane`` owes and waits until it is acknowledged."""
        await self.send((lane,))
        while any(row.lane == lane for row, _, _ in self._flying.values()):
            event = await self._connection.event(0.2)
            if event is not None:
                await self._take(event)

    def lost(self, *, closed: bool) -> None:
        """The connection ended with this in flight: something of it may be the reason.

        Where the other end ``closed`` it, that is any of it. Where nothing came any more, it is what later
        messages have overtaken, or what went alone after others had passed.
        """
        for row, sent_s, _ in self._flying.values():
            overtaken = sent_s < self._passed_s or (self._passed_s > 0 and self._aside.alone(row))
            if closed or overtaken:
                self._aside.closed_on(row, time.monotonic())

    def end(self) -> None:
        self._listener.cancel()

    async def send(self, lanes: Sequence[Lane] = LANES) -> None:
        """Fills the window with what is due, first lane first; what is under suspicion last, and alone."""
        now_s = time.monotonic()
        if any(self._aside.alone(row) for row, _, _ in self._flying.values()):
            return
        for lane in [lane for lane in lanes if self._aside.due(lane, now_s)]:
            self._outbox.rewind([lane])
        ready = [lane for lane in lanes if self._waits.get(lane, 0) <= now_s]
        first = [lane for lane in ready if lane in FIRST]
        await self._send(first, now_s, self._window.total, ALERT_SLOTS)
        if len(first) < len(FIRST):  # what is critical waits for no lane that is held
            urgent: list[Lane] = ["alert"] if "alert" in self._spread and "alert" in lanes else []
            await self._send(urgent, now_s, self._window.total, ALERT_SLOTS, most_rank=0)
        if first:
            await self._send_again(first, now_s)
        await self._send([lane for lane in ready if lane in LATEST], now_s, self._window.count)
        # While one waits to go alone no bulk is sent: a backlog would keep it waiting to its end.
        bulk = [] if self._alone else [lane for lane in ready if lane in BULK]
        bulk = [lane for lane in bulk if self._affordable(lane, now_s)]
        self._backlog = await self._send_bulk(bulk, now_s)
        if not self._flying and self._alone:
            self._publish(self._alone.popleft(), now_s)

    async def _send(
        self, lanes: Sequence[Lane], now_s: float, places: int, own: int = 0, most_rank: int = LAST_RANK
    ) -> list[Row]:
        """Up to ``places`` in flight, as the window's bytes allow; ``own`` of them whatever else is there."""
        sent: list[Row] = []
        while lanes:
            here = sum(1 for row, _, _ in self._flying.values() if row.lane in lanes)
            room = min(max(self._room(), own - here), places - len(self._flying))
            rows = await self._outbox.due(room, lanes, most_rank) if room > 0 else []
            if not rows:
                break
            now_s = time.monotonic()  # the disk may have taken its time
            for row in rows:
                self._publish(row, now_s)
            sent += rows
        return sent

    async def _send_again(self, lanes: Sequence[Lane], now_s: float) -> None:
        """What has no receipt for long, behind all that is new, and within the byte budget."""
        room = min(self._room(), self._window.total - len(self._flying))
        if room <= 0 or not (self._receipts.called or self._budget.allows_telemetry(now_s)):
            return
        if ids := self._receipts.due(now_s, room, lanes):
            rows = await self._outbox.by_id(ids)
            self._receipts.forget(set(ids) - {row.id for row in rows})
            now_s = time.monotonic()
            for row in rows:
                self._publish(row, now_s)

    async def _send_bulk(self, lanes: Sequence[Lane], now_s: float) -> bool:
        """The backlog at the configured pace, what is new without; True while there is a backlog."""
        per_s = self._broker.backlog_per_s
        self._allowance = min(max(1.0, per_s), self._allowance + (now_s - self._paced_s) * per_s)
        self._paced_s = now_s
        places = self._window.count
        if self._backlog:
            places = min(places, len(self._flying) + int(self._allowance))
        if places <= len(self._flying) or self._room() <= 0:
            self._full = True
            return self._backlog
        rows = await self._send(lanes, now_s, places)
        late = sum(1 for row in rows if self._historical(row, now_s))
        self._allowance -= late
        return late > 0

    def _affordable(self, lane: Lane, now_s: float) -> bool:
        media = lane == "media"
        allowed = self._budget.allows_media(now_s) if media else self._budget.allows_telemetry(now_s)
        if allowed:
            self.saving.discard(lane)
        else:
            self.saving.add(lane)
        return allowed

    def _room(self) -> int:
        """How many messages of the usual size the window still has room for."""
        left = self._window.bytes - self._bytes
        if left > 0:
            return max(1, int(left / self._usual_bytes))
        return 0 if self._flying else 1

    def _historical(self, row: Row, now_s: float) -> bool:
        """Whether it is from before this connection, or waited long in it."""
        connected_s = now_s - self._began_s
        if row.rank == LAST_RANK:  # asked for again
            return True
        return row.age_s is None or row.age_s > max(connected_s, HISTORICAL_AFTER_S)

    def _publish(self, row: Row, now_s: float) -> None:
        under_way = (*(one for one, _, _ in self._flying.values()), *self._alone)
        here = row.id in self._receipts or any(row.id == one.id for one in under_way)
        if here or self._aside.waits(row, now_s):
            return  # rewound while it was under way, or not its time yet
        if self._aside.alone(row) and self._flying:
            self._alone.append(row)
            return
        body = row.body
        if row.lane != "media":
            historical = self._historical(row, now_s) and row.lane not in KEEP_LATEST
            steps = self._latency.on_send(row.id, now_s)
            if row.age_s is not None:
                steps["outbox_to_sent"] = round(row.age_s * 1000, 1)
                if kernel_clock()[0]:
                    body = restamp(body, row.age_s, datetime.now(UTC))
            body = wire(body, row.epoch, row.seq, historical=historical, steps=steps)
        topic = f"{self._speaker.prefix}/{row.topic}"
        size = len(body) + len(topic) + HEADER_BYTES
        largest = self._connection.largest
        if largest is not None and size > largest and row.topic == "status":
            body = shortened(body, largest - len(topic) - HEADER_BYTES)
            size = len(body) + len(topic) + HEADER_BYTES
        if largest is not None and size > largest:
            self._aside.too_large(row, size, largest)
            return
        self._receipts.handed(row.id)
        number = self._connection.publish(topic, body, row.qos, row.retain, row.expires_s)
        self._flying[number] = (row, now_s, size)
        self._bytes += size
        self._budget.spend(size, now_s)
        self._usual_bytes += 0.1 * (size - self._usual_bytes)

    @property
    def acknowledged_within_s(self) -> float | None:
        """What an acknowledgement usually takes on this connection."""
        return self._window.usual_s

    async def _take(self, event: tuple[Any, ...]) -> None:
        match event:
            case ("published", number, code):
                self._acknowledged(number, code.value)
            case ("message", message):
                self._inbound.put_nowait(message)
            case ("subscribed", number, codes) if self.subscriptions is not None:
                if refused := self.subscriptions.acknowledged(number, codes, time.monotonic()):
                    log.warning("subscription_refused", topics=refused)
            case ("lost", reason):
                raise OSError(f"{self._broker.url}: connection lost: {reason}")

    def _acknowledged(self, number: int, code: int) -> None:
        flown = self._flying.pop(number, None)
        if flown is None:
            return
        row, sent_s, size = flown
        now_s = time.monotonic()
        self._bytes -= size
        self._passed_s = max(self._passed_s, sent_s)
        if row.qos:  # what has no acknowledgement says nothing of the link
            self._window.learn(size, now_s - sent_s, now_s, full=self._full)
        self._full = False
        if code in (SUCCESS, NO_SUBSCRIBERS):
            self._up.set()
        # A retained message has reached its place even when nobody listens just now.
        if code == SUCCESS or (code == NO_SUBSCRIBERS and row.retain):
            self._aside.passed(row)
            self._latency.acknowledged(row.id, sent_s, now_s)
            self.held.pop(row.lane, None)
            if row.lane in NEED_RECEIPT and self._broker.delivery == "receipt":
                if row.id not in self._receipted:
                    self._receipts.acknowledged(row, now_s)
            else:
                self._outbox.mark_delivered([row])
        else:
            self._hold(row, code, now_s)

    def _hold(self, row: Row, code: int, now_s: float) -> None:
        """The broker did not take it: it stays on disk, its lane waits, and in the end goes on without it."""
        nobody = code == NO_SUBSCRIBERS
        reason = "nobody receives it" if nobody else f"the broker refused it (0x{code:02x})"
        if row.lane not in self.held:
            log.warning("lane_held", lane=row.lane, topic=row.topic, reason=reason)
        self.held[row.lane] = f"{row.lane}: {reason}"
        parked = not nobody and self._aside.refused(row, now_s, reason)
        self._spread.discard(row.lane)
        self._waits[row.lane] = now_s + (NOBODY_WAIT_S if nobody else 0.0 if parked else REFUSED_WAIT_S)
        self._outbox.rewind([row.lane])

    def _look_for_trouble(self) -> None:
        now_s = time.monotonic()
        if self.subscriptions is not None:
            self.subscriptions.look(now_s)
        oldest_s = min((sent_s for _, sent_s, _ in self._flying.values()), default=now_s)
        if now_s - oldest_s > ACKNOWLEDGED_WITHIN_S:
            self._connection.died = True
            raise TimeoutError(f"{self._broker.url}: nothing acknowledged for {now_s - oldest_s:.0f} s")

    async def _forget_what_is_gone(self, now_s: float) -> None:
        """What expired or was dropped while the broker did not take it is no trouble any more."""
        if now_s - self._asked_s < GONE_EVERY_S:
            return
        self._asked_s = now_s
        if self._receipts.trouble(now_s) and not self._outbox.hangs:
            oldest = self._receipts.oldest()
            self._receipts.forget(set(oldest) - {row.id for row in await self._outbox.by_id(oldest)})
        if keys := self._aside.keys():
            self._aside.forget(set(keys) - await self._outbox.pending(keys))
        if self.held:
            depth = await self._outbox.depth()
            self.held = {lane: why for lane, why in self.held.items() if depth[lane]}

    async def _receive(self, payload: bytes) -> None:
        """The centre's receipt: what it holds leaves the disk."""
        try:
            receipt = Receipt.model_validate_json(payload)
        except ValidationError as error:
            self._receipts.old_form()
            if not self._told_malformed:
                self._told_malformed = True
                detail = error.errors(include_url=False)[0]
                where = ".".join(map(str, detail["loc"])) or "payload"
                log.warning(
                    "receipt_malformed",
                    size=len(payload),
                    reason=f"{where}: {detail['msg']}",
                    right='{"ids": ["<id of a message>", …]}, at most 500 of them',
                )
            return
        under_way = {row.id for row, _, _ in self._flying.values()}
        self._receipted = (self._receipted | set(receipt.ids)) & under_way
        self._receipts.received(receipt.ids, time.monotonic())
        await self._outbox.record_receipts(receipt.ids)

    def _centre_spoke(self, payload: bytes, *, retained: bool) -> None:
        """The centre is back: what it has not given a receipt for goes out again, what is critical now.

        The whole fleet hears it: the rest is spread over some seconds. A retained word is no news: it came
        with the subscription, and all that is owed is on its way.
        """
        now_s = time.monotonic()
        for state in ("online", "offline"):
            if f'"{state}"'.encode() in payload:
                self._receipts.centre_said(state, now_s, retained=retained)
                if state == "online":
                    for lane in [lane for lane in FIRST if lane in self._waits]:
                        later_s = now_s if retained else now_s + random.uniform(0.0, SPREAD_S)
                        self._waits[lane] = min(self._waits[lane], later_s)
                        self._spread.add(lane)
                return

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
            topic = ""
            try:
                topic = message.topic.removeprefix(prefix)
                self._receipts.heard()
                answer_to = getattr(message.properties, "ResponseTopic", None) if message.properties else None
                if topic == "receipt":
                    await self._receive(message.payload)
                elif topic == self._speaker.host_status:
                    self._centre_spoke(message.payload, retained=message.retain)
                else:
                    await self._heard(topic, message.payload, answer_to, message.retain)
            except OSError as error:
                log.warning("message_not_taken", topic=topic, error=str(error))
                continue  # not acknowledged: the broker sends it again
            except Exception:
                log.exception("message_failed", topic=topic)
            self._connection.acknowledge(message)
