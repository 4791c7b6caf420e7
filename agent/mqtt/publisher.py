"""Encodes and publishes messages on one connection, and keeps account of them."""

from collections import deque
from collections.abc import Callable

from agent.alerts.latency import LatencyLedger
from agent.domain.message import LAST_RANK, LATEST_LANES
from agent.host.clock import kernel_clock, monotonic_s, utc_now
from agent.mqtt.byte_budget import Budget
from agent.mqtt.connection import Connection
from agent.mqtt.envelope import Envelope, restamp, shortened, wire
from agent.mqtt.in_flight import InFlight
from agent.mqtt.quarantine import Quarantine
from agent.mqtt.receipts import Receipts
from agent.outbox.rows import Row

HISTORICAL_AFTER_S = 10.0
HEADER_BYTES = 32
"""What MQTT adds to topic and body: fixed header, lengths, packet id, properties."""


class Publisher:
    """One connection's."""

    def __init__(
        self,
        connection: Connection,
        envelope: Envelope,
        in_flight: InFlight,
        quarantine: Quarantine,
        latency: LatencyLedger,
        budget: Budget,
        receipts: Receipts,
        on_picture: Callable[[Row], None],
    ) -> None:
        self.waiting_alone: deque[Row] = deque()
        """Suspects of a disconnect that wait until no other message is in flight."""
        self._connection = connection
        self._envelope = envelope
        self._in_flight = in_flight
        self._quarantine = quarantine
        self._latency = latency
        self._budget = budget
        self._receipts = receipts
        self._on_picture = on_picture
        self._connected_s = monotonic_s()

    def is_historical(self, row: Row, now_s: float) -> bool:
        """Whether the message is from before this connection, waited long in it, or was asked for again."""
        if row.rank == LAST_RANK:
            return True
        connected_s = now_s - self._connected_s
        return row.age_s is None or row.age_s > max(connected_s, HISTORICAL_AFTER_S)

    def publish(self, row: Row, now_s: float) -> None:
        """Sends one message, unless it is in flight, waits for its receipt, or is in quarantine."""
        sending = row.id in self._in_flight.ids() or any(
            row.id == waiting.id for waiting in self.waiting_alone
        )
        if row.id in self._receipts or sending or self._quarantine.is_waiting(row, now_s):
            return
        if self._quarantine.must_go_alone(row) and self._in_flight:
            self.waiting_alone.append(row)
            return
        topic = f"{self._envelope.prefix}/{row.topic}"
        body = row.body if row.lane == "media" else self._encode(row, now_s)
        size = len(body) + len(topic) + HEADER_BYTES
        largest = self._connection.largest
        if largest is not None and size > largest and row.topic == "status":
            body = shortened(body, largest - len(topic) - HEADER_BYTES)
            size = len(body) + len(topic) + HEADER_BYTES
        if largest is not None and size > largest:
            self._quarantine.record_too_large(row, size, largest)
            return
        self._receipts.mark_sent(row.id)
        packet_id = self._connection.publish(topic, body, row.qos, row.retain, row.expires_s)
        self._in_flight.add(packet_id, row, size, now_s)
        self._budget.spend(size, now_s)
        if row.lane == "media":
            self._on_picture(row)

    def _encode(self, row: Row, now_s: float) -> bytes:
        """The body with epoch, number and latency, and with instants that a clock set since makes right."""
        body = row.body
        historical = self.is_historical(row, now_s) and row.lane not in LATEST_LANES
        steps = self._latency.on_send(row.id, now_s)
        if row.age_s is not None:
            steps["outbox_to_sent"] = round(max(0.0, row.age_s * 1000 - steps.get("second_look", 0.0)), 1)
            if kernel_clock()[0]:
                body = restamp(body, row.age_s, utc_now())
        return wire(body, row.epoch, row.seq, historical=historical, steps=steps)
