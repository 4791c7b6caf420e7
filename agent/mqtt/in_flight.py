"""The messages of one connection that were sent and not acknowledged yet, and the room for more.

Pure: the monotonic clock comes in with each call.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agent.domain.message import Lane
from agent.mqtt.inflight_window import Window
from agent.outbox.rows import Row

FIRST_USUAL_BYTES = 1024.0


@dataclass(frozen=True, slots=True)
class Sent:
    row: Row
    sent_s: float
    size: int


class InFlight:
    """Iterates over what was sent. ``receive_maximum``: what the broker's CONNACK allows."""

    def __init__(self, receive_maximum: int) -> None:
        self.window = Window(receive_maximum)
        self.full = False
        """Whether messages had to wait for room since the last acknowledgement."""
        self.last_passed_s = 0.0
        """When the newest of the acknowledged messages was sent."""
        self._sent: dict[int, Sent] = {}
        self._bytes = 0
        self._usual_bytes = FIRST_USUAL_BYTES

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent.values())

    def add(self, packet_id: int, row: Row, size: int, now_s: float) -> None:
        """A message of ``size`` bytes was sent."""
        self._sent[packet_id] = Sent(row, now_s, size)
        self._bytes += size
        self._usual_bytes += 0.1 * (size - self._usual_bytes)

    def acknowledge(self, packet_id: int, now_s: float) -> Sent | None:
        """The broker has acknowledged the message: it leaves. None where it is not in flight."""
        sent = self._sent.pop(packet_id, None)
        if sent is None:
            return None
        self._bytes -= sent.size
        self.last_passed_s = max(self.last_passed_s, sent.sent_s)
        if sent.row.qos:  # a message without acknowledgement says nothing about the link
            self.window.learn(sent.size, now_s - sent.sent_s, now_s, full=self.full)
        self.full = False
        return sent

    def ids(self) -> set[str]:
        return {sent.row.id for sent in self}

    def count(self, lanes: Collection[Lane]) -> int:
        """How many messages of ``lanes`` are in flight."""
        return sum(1 for sent in self if sent.row.lane in lanes)

    def room(self) -> int:
        """How many messages of the usual size fit into the window; at least one if none is in flight."""
        left = self.window.bytes - self._bytes
        if left > 0:
            return max(1, int(left / self._usual_bytes))
        return 0 if self._sent else 1

    def waiting_s(self, now_s: float) -> float:
        """How long the oldest message waits for its acknowledgement."""
        return now_s - min((sent.sent_s for sent in self), default=now_s)
