"""Sends the messages of the outbox on one connection, with QoS 1, in a window of our own.

Lanes go in their order, and alerts have places of their own. A message that the broker refuses stays on disk
and is tried again later; see `quarantine`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from agent.alerts.latency import LatencyLedger
from agent.domain.message import BULK_LANES, LANES, LAST_RANK, LATEST_LANES, RECEIPT_LANES, Lane
from agent.host.clock import monotonic_s
from agent.mqtt.backlog_pacer import BacklogPacer
from agent.mqtt.broker import Broker
from agent.mqtt.byte_budget import Budget
from agent.mqtt.connection import Connection
from agent.mqtt.envelope import Envelope
from agent.mqtt.in_flight import InFlight
from agent.mqtt.inflight_window import ALERT_SLOTS
from agent.mqtt.lane_holds import LaneHolds
from agent.mqtt.publisher import Publisher
from agent.mqtt.quarantine import Quarantine
from agent.mqtt.receipts import Receipts
from agent.mqtt.receiver import MessageReceiver, OnMessage
from agent.mqtt.refusals import refusal
from agent.mqtt.subscriptions import Subscriptions
from agent.outbox.outbox import Outbox
from agent.outbox.rows import Row

log = structlog.get_logger()

ACKNOWLEDGED_WITHIN_S = 20.0
"""A broker that leaves a message unacknowledged longer than this is stuck: reconnect."""
NO_SUBSCRIBERS_WAIT_S = 5.0
REFUSED_WAIT_S = 30.0
"""A lane waits this long after the broker had no subscriber for its message, or refused it."""
RECHECK_S = 10.0
"""How often it is checked whether messages that the broker did not take are still to be sent."""
BUSY_WAIT_S, IDLE_WAIT_S = 1.0, 5.0
"""How often deadlines are looked at while there are some, and while there are none."""

SUCCESS, NO_SUBSCRIBERS = 0x00, 0x10


class ConnectionSender:
    """One connection's. `run` ends when the connection is lost (OSError)."""

    def __init__(
        self,
        connection: Connection,
        broker: Broker,
        envelope: Envelope,
        outbox: Outbox,
        on_message: OnMessage,
        acknowledged: asyncio.Event,
        quarantine: Quarantine,
        latency: LatencyLedger,
        budget: Budget,
        receipts: Receipts,
        on_picture: Callable[[Row], None],
    ) -> None:
        """``acknowledged`` is set at the first message that the broker acknowledges; ``on_picture`` gets each
        picture that is handed to it."""
        self.in_flight = InFlight(connection.receive_maximum)
        self.holds = LaneHolds()
        self.over_budget: set[Lane] = set()
        """Lanes that wait for the byte budget."""
        self.subscriptions: Subscriptions | None = None
        self._connection = connection
        self._broker = broker
        self._outbox = outbox
        self._acknowledged = acknowledged
        self._quarantine = quarantine
        self._latency = latency
        self._budget = budget
        self._receipts = receipts
        receipts.connected(broker.resend_after.total_seconds())
        self._publisher = Publisher(
            connection, envelope, self.in_flight, quarantine, latency, budget, receipts, on_picture
        )
        self._pacer = BacklogPacer(broker.backlog_per_s, monotonic_s())
        self._rechecked_s = float("-inf")
        self._receiver = MessageReceiver(
            connection, envelope, outbox, on_message, receipts, self.in_flight, self.holds
        )

    async def run(self) -> None:
        """Sends and receives for as long as the connection lives."""
        waking = asyncio.ensure_future(self._wake_on_change())
        try:
            while True:
                await self.send()
                event = await self._connection.event(self._wait_s())
                while event is not None:
                    self._on_event(event)
                    event = await self._connection.event(0) if self._connection.pending() else None
                self._check_broker()
                await self._recheck(monotonic_s())
        finally:
            waking.cancel()

    def _wait_s(self) -> float:
        """How long nothing is due, unless something comes up or down."""
        if self._pacer.active:
            return 0.1
        waits = self.in_flight or self.holds.reasons or self.over_budget or self._publisher.waiting_alone
        retries = self.subscriptions is not None and self.subscriptions.waits
        if waits or retries or self._receipts.waits or self._quarantine.suspects or self._outbox.hangs:
            return BUSY_WAIT_S
        return min(IDLE_WAIT_S, self._broker.keepalive.total_seconds() / 10)

    async def drain(self, lane: Lane) -> None:
        """Sends the messages of ``lane`` and waits until they are acknowledged."""
        await self.send((lane,))
        while self.in_flight.count((lane,)):
            event = await self._connection.event(0.2)
            if event is not None:
                self._on_event(event)

    def record_disconnect(self, *, closed: bool) -> None:
        """The connection ended: a message in flight may be the reason.

        Where the other end ``closed`` it, that is any of them. Where the link went silent, it is a message
        that later ones have overtaken, or that was sent alone after others had passed.
        """
        passed_s = self.in_flight.last_passed_s
        for sent in self.in_flight:
            overtaken = sent.sent_s < passed_s
            if closed or overtaken or (passed_s > 0 and self._quarantine.must_go_alone(sent.row)):
                self._quarantine.record_disconnect(sent.row, monotonic_s())

    @property
    def handling(self) -> bool:
        """Whether a message that came down is not acknowledged to the broker yet."""
        return self._receiver.handling

    def close(self) -> None:
        self._receiver.close()

    async def send(self, lanes: Sequence[Lane] = LANES) -> None:
        """Fills the window with the next messages in the order of lanes; suspects last, and alone."""
        now_s = monotonic_s()
        if any(self._quarantine.must_go_alone(sent.row) for sent in self.in_flight):
            return
        for lane in [lane for lane in lanes if self._quarantine.take_due(lane, now_s)]:
            self._outbox.rewind([lane])
        ready = [lane for lane in lanes if self.holds.is_ready(lane, now_s)]
        window = self.in_flight.window
        first = [lane for lane in ready if lane in RECEIPT_LANES]
        await self._send(first, window.total, ALERT_SLOTS)
        if len(first) < len(RECEIPT_LANES):  # critical alerts wait for no lane that is held
            urgent: list[Lane] = ["alert"] if self.holds.only_spread("alert") and "alert" in lanes else []
            await self._send(urgent, window.total, ALERT_SLOTS, most_rank=0)
        if first:
            await self._resend(first, now_s)
        await self._send([lane for lane in ready if lane in LATEST_LANES], window.count)
        # While a suspect waits to go alone no bulk is sent: a backlog would keep it waiting to its end.
        bulk = [] if self._publisher.waiting_alone else [lane for lane in ready if lane in BULK_LANES]
        if self._budget.pictures_first:
            bulk.reverse()
        await self._send_bulk([lane for lane in bulk if self._is_affordable(lane, now_s)], now_s)
        if not self.in_flight and self._publisher.waiting_alone:
            self._publisher.publish(self._publisher.waiting_alone.popleft(), now_s)

    async def _send(
        self, lanes: Sequence[Lane], places: int, own: int = 0, most_rank: int = LAST_RANK
    ) -> list[Row]:
        """Up to ``places`` in flight, as the window's bytes allow; ``own`` of them whatever else is there."""
        sent: list[Row] = []
        while lanes:
            room = max(self.in_flight.room(), own - self.in_flight.count(lanes))
            room = min(room, places - len(self.in_flight))
            rows = await self._outbox.due(room, lanes, most_rank) if room > 0 else []
            if not rows:
                break
            now_s = monotonic_s()  # the disk may have taken its time
            for row in rows:
                self._publisher.publish(row, now_s)
            sent += rows
        return sent

    async def _resend(self, lanes: Sequence[Lane], now_s: float) -> None:
        """Messages whose receipt is late, after all new ones, and within the byte budget."""
        room = min(self.in_flight.room(), self.in_flight.window.total - len(self.in_flight))
        if room <= 0 or not (self._receipts.urgent or self._budget.allows_resends(now_s)):
            return
        if ids := self._receipts.due(now_s, room, lanes):
            rows = await self._outbox.by_id(ids)
            self._receipts.forget(set(ids) - {row.id for row in rows})
            now_s = monotonic_s()
            for row in sorted(rows, key=lambda row: ids.index(row.id)):
                self._publisher.publish(row, now_s)

    async def _send_bulk(self, lanes: Sequence[Lane], now_s: float) -> None:
        """The backlog at the configured pace, new messages without."""
        self._pacer.refill(now_s)
        places = self._pacer.allowed(self.in_flight.window.count, len(self.in_flight))
        if places <= len(self.in_flight) or self.in_flight.room() <= 0:
            self.in_flight.full = True
            return
        rows = await self._send(lanes, places)
        self._pacer.spend(sum(1 for row in rows if self._publisher.is_historical(row, now_s)))

    def _is_affordable(self, lane: Lane, now_s: float) -> bool:
        media = lane == "media"
        allowed = self._budget.allows_media(now_s) if media else self._budget.allows_telemetry(now_s)
        if allowed:
            self.over_budget.discard(lane)
        else:
            self.over_budget.add(lane)
        return allowed

    def _on_event(self, event: tuple[Any, ...]) -> None:
        match event:
            case ("published", packet_id, code):
                self._on_acknowledgement(packet_id, code.value)
            case ("message", message):
                self._receiver.add(message)
            case ("subscribed", packet_id, codes) if self.subscriptions is not None:
                if refused := self.subscriptions.acknowledged(packet_id, codes, monotonic_s()):
                    log.warning("subscription_refused", topics=refused)
            case ("lost", reason):
                text = f"{self._broker.url}: connection lost: {reason}"
                raise refusal(text, self._connection.ended, self._connection.reference)

    def _on_acknowledgement(self, packet_id: int, code: int) -> None:
        now_s = monotonic_s()
        sent = self.in_flight.acknowledge(packet_id, now_s)
        if sent is None:
            return
        row = sent.row
        if code in (SUCCESS, NO_SUBSCRIBERS):
            self._acknowledged.set()
        # A retained message has reached its place even when nobody subscribes to it now.
        if code == SUCCESS or (code == NO_SUBSCRIBERS and row.retain):
            self._quarantine.clear(row)
            self._latency.acknowledged(row.id, sent.sent_s, now_s)
            self.holds.passed(row.lane)
            if row.lane in RECEIPT_LANES and self._broker.delivery == "receipt":
                if row.id not in self._receiver.overtaking:
                    self._receipts.await_receipt(row, now_s)
            else:
                self._outbox.mark_delivered([row])
        else:
            self._hold_lane(row, code, now_s)

    def _hold_lane(self, row: Row, code: int, now_s: float) -> None:
        """The broker did not take the message: it stays on disk, and its lane waits; later without it."""
        no_subscribers = code == NO_SUBSCRIBERS
        reason = "nobody receives it" if no_subscribers else f"the broker refused it (0x{code:02x})"
        if row.lane not in self.holds.reasons:
            log.warning("lane_held", lane=row.lane, topic=row.topic, reason=reason)
        quarantined = not no_subscribers and self._quarantine.record_refusal(row, now_s, reason)
        wait_s = NO_SUBSCRIBERS_WAIT_S if no_subscribers else 0.0 if quarantined else REFUSED_WAIT_S
        self.holds.hold(row.lane, reason, now_s + wait_s)
        self._outbox.rewind([row.lane])

    def _check_broker(self) -> None:
        """TimeoutError where the broker acknowledges nothing any more."""
        now_s = monotonic_s()
        if self.subscriptions is not None:
            self.subscriptions.retry(now_s)
        waiting_s = self.in_flight.waiting_s(now_s)
        if waiting_s > ACKNOWLEDGED_WITHIN_S:
            self._connection.died = True
            raise TimeoutError(f"{self._broker.url}: nothing acknowledged for {waiting_s:.0f} s")

    async def _recheck(self, now_s: float) -> None:
        """Forgets messages that expired or were dropped while the broker did not take them."""
        if now_s - self._rechecked_s < RECHECK_S:
            return
        self._rechecked_s = now_s
        if self._receipts.trouble(now_s) and not self._outbox.hangs:
            oldest = self._receipts.oldest()
            self._receipts.forget(set(oldest) - {row.id for row in await self._outbox.by_id(oldest)})
        if keys := self._quarantine.keys():
            self._quarantine.forget(set(keys) - await self._outbox.pending(keys))
        if self.holds.reasons:
            depth = await self._outbox.depth()
            for lane in [lane for lane in self.holds.reasons if not depth[lane]]:
                self.holds.passed(lane)

    async def _wake_on_change(self) -> None:
        while True:
            self._outbox.changed.clear()
            await self._outbox.changed.wait()
            self._connection.woken.set()
