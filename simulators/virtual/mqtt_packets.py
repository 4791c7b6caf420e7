"""The packets of MQTT 5 and 3.1.1 as a broker reads them; QoS 0 and 1. Pure.

https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html, …/mqtt/v3.1.1/mqtt-v3.1.1.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14
V5 = 5

EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION = 0x02, 0x03, 0x08, 0x09
SESSION_EXPIRY, WILL_DELAY, RECEIVE_MAXIMUM, MOST_QOS, PACKET_MAXIMUM = 0x11, 0x18, 0x21, 0x24, 0x27

BYTES = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
"""Properties that are numbers, and their size."""
TEXTS = {0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F}
PAIR, VARIABLE = 0x26, 0x0B

Properties = dict[int, Any]


class MalformedError(ValueError):
    """No packet of MQTT."""


@dataclass(slots=True)
class Publish:
    """A message, or a will. ``expires_s``: the instant, by the broker's clock, from which nobody gets it."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    packet_id: int = 0
    repeated: bool = False
    properties: Properties = field(default_factory=dict)
    expires_s: float | None = None


@dataclass(slots=True)
class Connect:
    level: int
    client_id: str
    clean: bool
    keepalive_s: int
    will: Publish | None
    username: str | None
    properties: Properties


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of a SUBSCRIBE."""

    topic_filter: str
    qos: int
    no_local: bool = False
    as_published: bool = False
    retained: int = 0
    """0: retained messages are sent; 1: for a new subscription; 2: none."""


class Reader:
    """Reads the fields of one packet. MalformedError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def rest(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int | None = None) -> bytes:
        end = len(self._data) if size is None else self._at + size
        if end > len(self._data):
            raise MalformedError("the packet ends too early")
        found, self._at = self._data[self._at : end], end
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        try:
            return self.binary().decode()
        except UnicodeDecodeError as error:
            raise MalformedError("text that is not UTF-8") from error

    def variable(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            one = self.number(1)
            value |= (one & 0x7F) << shift
            if one < 0x80:
                return value
        raise MalformedError("a length of more than four bytes")

    def properties(self) -> Properties:
        inner = Reader(self.take(self.variable()))
        found: Properties = {}
        while inner.rest:
            key = inner.variable()
            if key in BYTES:
                found[key] = inner.number(BYTES[key])
            elif key in TEXTS:
                found[key] = inner.binary()
            elif key == PAIR:
                found.setdefault(key, []).append((inner.binary(), inner.binary()))
            elif key == VARIABLE:
                found[key] = inner.variable()
            else:
                raise MalformedError(f"unknown property 0x{key:02x}")
        return found


def split_packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Takes the complete packets from the head of ``buffer``: first byte and content."""
    while len(buffer) >= 2:
        size, at = 0, 1
        while True:
            if at >= len(buffer):
                return
            size |= (buffer[at] & 0x7F) << 7 * (at - 1)
            at += 1
            if buffer[at - 1] < 0x80:
                break
            if at > 4:
                raise MalformedError("a length of more than four bytes")
        if len(buffer) < at + size:
            return
        first, content = buffer[0], bytes(buffer[at : at + size])
        del buffer[: at + size]
        yield first, content


def read_connect(data: bytes) -> Connect:
    """The CONNECT of any version; its ``level`` may be one that the broker does not support."""
    reader = Reader(data)
    if reader.text() not in ("MQTT", "MQIsdp"):
        raise MalformedError("not MQTT")
    level, flags, keepalive_s = reader.number(1), reader.number(1), reader.number(2)
    properties = reader.properties() if level == V5 else {}
    client_id, will = reader.text(), None
    if flags & 0x04:
        will_properties = reader.properties() if level == V5 else {}
        topic, payload = reader.text(), reader.binary()
        will = Publish(
            topic, payload, qos=flags >> 3 & 3, retain=bool(flags & 0x20), properties=will_properties
        )
    username = reader.text() if flags & 0x80 else None
    return Connect(level, client_id, bool(flags & 0x02), keepalive_s, will, username, properties)


def read_publish(first: int, data: bytes, level: int) -> Publish:
    reader = Reader(data)
    topic, qos = reader.text(), first >> 1 & 3
    packet_id = reader.number(2) if qos else 0
    properties = reader.properties() if level == V5 else {}
    return Publish(
        topic, reader.take(), qos, bool(first & 1), packet_id, bool(first & 8), properties=properties
    )


def read_subscribe(data: bytes, level: int) -> tuple[int, list[Subscription]]:
    reader = Reader(data)
    packet_id, found = reader.number(2), []
    if level == V5:
        reader.properties()
    while reader.rest:
        name, options = reader.text(), reader.number(1)
        if level != V5:
            options &= 3
        found.append(Subscription(name, options & 3, bool(options & 4), bool(options & 8), options >> 4 & 3))
    return packet_id, found


def read_unsubscribe(data: bytes, level: int) -> tuple[int, list[str]]:
    reader = Reader(data)
    packet_id, found = reader.number(2), []
    if level == V5:
        reader.properties()
    while reader.rest:
        found.append(reader.text())
    return packet_id, found
