"""The packets of MQTT 5 and 3.1.1 that a broker writes. Pure."""

import struct
from collections.abc import Iterable

from simulators.virtual.mqtt_packets import (
    BYTES,
    CONNACK,
    DISCONNECT,
    PAIR,
    PUBACK,
    PUBLISH,
    SUBACK,
    TEXTS,
    UNSUBACK,
    V5,
    Properties,
    Publish,
)


def packet(first: int, content: bytes) -> bytes:
    size, head = len(content), bytearray([first])
    while True:
        size, digit = size >> 7, size & 0x7F
        head.append(digit | 0x80 if size else digit)
        if not size:
            return bytes(head) + content


def _text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def _properties(values: Properties, level: int) -> bytes:
    if level != V5:
        return b""
    if not values:
        return b"\0"
    data = bytearray()
    for key, value in values.items():
        if key in BYTES:
            data += bytes([key]) + int(value).to_bytes(BYTES[key])
        elif key in TEXTS:
            data += bytes([key]) + _text(value)
        elif key == PAIR:
            data += b"".join(bytes([key]) + _text(name) + _text(one) for name, one in value)
    return packet(0, bytes(data))[1:]


def write_connack(
    level: int, code: int, *, resumed: bool = False, properties: Properties | None = None
) -> bytes:
    content = bytes([resumed, code]) + _properties(properties or {}, level)
    return packet(CONNACK << 4, content)


def write_publish(
    message: Publish, packet_id: int, qos: int, level: int, *, retain: bool, repeated: bool
) -> bytes:
    first = PUBLISH << 4 | repeated << 3 | qos << 1 | retain
    number = struct.pack(">H", packet_id) if qos else b""
    return packet(
        first, _text(message.topic) + number + _properties(message.properties, level) + message.payload
    )


def write_puback(packet_id: int, code: int, level: int) -> bytes:
    content = struct.pack(">H", packet_id) + (bytes([code]) if level == V5 and code else b"")
    return packet(PUBACK << 4, content)


def write_suback(packet_id: int, codes: Iterable[int], level: int) -> bytes:
    return packet(SUBACK << 4, struct.pack(">H", packet_id) + _properties({}, level) + bytes(codes))


def write_unsuback(packet_id: int, codes: Iterable[int], level: int) -> bytes:
    content = struct.pack(">H", packet_id)
    return packet(UNSUBACK << 4, content + (_properties({}, level) + bytes(codes) if level == V5 else b""))


def write_disconnect(code: int) -> bytes:
    return packet(DISCONNECT << 4, bytes([code]))
