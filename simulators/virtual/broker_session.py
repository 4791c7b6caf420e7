"""What a broker keeps of one client: its subscriptions, and the messages that wait for it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.virtual.mqtt_packets import EXPIRY, Publish, Subscription

FOR_EVER_S = 0xFFFFFFFF


@dataclass(slots=True)
class Delivery:
    """One message on its way to one client. ``group``: of the shared subscription that it came by."""

    message: Publish
    qos: int
    retain: bool = False
    group: str = ""
    repeated: bool = False


@dataclass(slots=True, eq=False)
class Session:
    """``send`` writes to the connected client; None while there is none."""

    client_id: str
    expiry_s: int
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    waiting: deque[Delivery] = field(default_factory=deque)
    in_flight: dict[int, Delivery] = field(default_factory=dict)
    receive_maximum: int = 65_535
    send: Callable[[Delivery, int], None] | None = None
    dropped: int = 0
    _last_id: int = 0

    def offer(self, delivery: Delivery, now_s: float, most_waiting: int) -> None:
        """Sends it, or keeps it for later; QoS 0 is not kept for a client that is away."""
        if self.send is None and delivery.qos == 0:
            return
        if len(self.waiting) >= most_waiting:
            self.dropped += 1
            return
        self.waiting.append(delivery)
        self.pump(now_s)

    def pump(self, now_s: float) -> None:
        """Sends what waits, as far as the client takes it."""
        while self.waiting and self.send is not None:
            delivery = self.waiting[0]
            if delivery.qos and len(self.in_flight) >= self.receive_maximum:
                return
            self.waiting.popleft()
            message = delivery.message
            if message.expires_s is not None:
                left_s = message.expires_s - now_s
                if left_s <= 0:
                    continue
                message.properties[EXPIRY] = max(1, round(left_s))
            number = self._next_id() if delivery.qos else 0
            if delivery.qos:
                self.in_flight[number] = delivery
            self.send(delivery, number)

    def acknowledge(self, packet_id: int, now_s: float) -> None:
        self.in_flight.pop(packet_id, None)
        self.pump(now_s)

    def disconnected(self) -> None:
        """What was not acknowledged is sent again on the next connection, first and in order."""
        self.send = None
        again = list(self.in_flight.values())
        for one in again:
            one.repeated = True
        self.in_flight.clear()
        kept = [one for one in (*again, *self.waiting) if one.qos]
        self.waiting = deque(kept)

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self.in_flight:
                return self._last_id
