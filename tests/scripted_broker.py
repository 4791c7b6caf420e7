"""A small MQTT broker for tests whose script decides each answer. It gives nothing to anyone.

MQTT 5 and 3.1.1, as much of it as a client under test needs:

    packet   = kind << 4 | flags, remaining length (7 bits a byte, least first), rest
    CONNECT  = "MQTT", level, flags, keep alive, [properties], client id, [[properties], will], …
    PUBLISH  = topic, [number], [properties], payload       PUBACK = number, [reason]
"""

import asyncio
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1, 2, 3, 4, 8, 9, 12, 13, 14,
)  # fmt: skip
SUCCESS, NO_SUBSCRIBERS, NOT_AUTHORIZED, QUOTA, TOO_MANY, TOO_LARGE = 0x00, 0x10, 0x87, 0x97, 0x93, 0x95

SILENT: Final = -1
"""The answer of a script that leaves a message unacknowledged."""
CUT: Final = -2
"""The answer of a script that closes the connection without a word."""

_WIDTHS = {
    0x01: "B", 0x02: "I", 0x11: "I", 0x18: "I", 0x13: "H", 0x21: "H", 0x22: "H", 0x23: "H",
    0x17: "B", 0x19: "B", 0x24: "B", 0x25: "B", 0x27: "I", 0x28: "B", 0x29: "B", 0x2A: "B",
}  # fmt: skip
EXPIRY, SESSION_EXPIRY, WILL_DELAY, RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = 0x02, 0x11, 0x18, 0x21, 0x27


@dataclass(frozen=True)
class Connect:
    """What a client said of itself."""

    client_id: str
    level: int
    clean_start: bool
    keepalive_s: int
    properties: dict[int, Any]
    will: tuple[str, bytes] | None
    will_properties: dict[int, Any]


@dataclass(frozen=True)
class Publish:
    """One message as it stood on the wire; ``connection`` counts from 1."""

    connection: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    number: int
    properties: dict[int, Any]
    size: int
    at_s: float


Answer = Callable[[Publish], int]


@dataclass
class ScriptedBroker:
    """``async with ScriptedBroker(answer=…) as broker: broker.url``."""

    answer: Answer = lambda _: SUCCESS
    """The reason code of the acknowledgement, or `SILENT`, or `CUT`."""
    admit: Callable[[int], int] = lambda _: SUCCESS
    """The reason code of the CONNACK for the n-th connection, or `SILENT`, or `CUT`."""
    grant: Callable[[str], int] = lambda _: 1
    """The reason code of the SUBACK for a topic."""
    limits: dict[int, int] = field(default_factory=dict)
    """Properties of the CONNACK; Receive Maximum and Maximum Packet Size are enforced."""
    refers_to: str = ""
    """Another broker, in the CONNACK."""
    delay_s: float = 0.0
    """How long each acknowledgement takes."""
    enforce_bytes: int | None = None
    """Larger packets end the connection without a word, as a broker does that never told its limit."""

    connects: list[Connect] = field(default_factory=list)
    published: list[Publish] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    subscribed_with: list[int] = field(default_factory=list)
    """The options of each: QoS, and 4 for "nothing of my own"."""
    acknowledged: list[int] = field(default_factory=list)
    goodbyes: list[int] = field(default_factory=list)
    """Reason codes of the DISCONNECTs that clients sent."""
    session_expiries: list[int] = field(default_factory=list)
    """The session expiries in seconds that DISCONNECTs set anew."""
    most_in_flight: int = 0
    port: int = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._level = 5
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def topics(self) -> list[str]:
        """The last words of the topics that were published to, in order."""
        return [one.topic.rsplit("/", 1)[-1] for one in self.published]

    def payloads(self, topic: str) -> list[bytes]:
        return [one.payload for one in self.published if one.topic.endswith(topic)]

    def cut(self) -> None:
        """Closes the connection that there is, without a word."""
        if self._writer is not None:
            self._writer.transport.abort()

    def disconnect(self, reason: int) -> None:
        """Ends the connection with an MQTT 5 DISCONNECT."""
        self.send_raw(DISCONNECT, bytes([reason]))
        if self._writer is not None:
            self._writer.close()

    def send(self, topic: str, payload: bytes, number: int = 1, *, retained: bool = False) -> None:
        """A message down, QoS 1."""
        properties = b"\0" if self._level == 5 else b""
        self.send_raw(
            PUBLISH, _text(topic) + struct.pack("!H", number) + properties + payload, flags=2 | retained
        )

    def send_raw(self, kind: int, rest: bytes, flags: int = 0) -> None:
        """Any packet, whether it can be or not."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(bytes([kind << 4 | flags]) + _length(len(rest)) + rest)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
        self._writer = writer
        flying: set[int] = set()
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, flags, rest = await _packet(reader)
                if not self._heard(kind, flags, rest, flying):
                    break
        writer.transport.abort()

    def _heard(self, kind: int, flags: int, rest: bytes, flying: set[int]) -> bool:
        """Answers one packet; False where the script ends the connection."""
        if kind == CONNECT:
            return self._connected(rest)
        if kind == PUBLISH:
            return self._published(flags, rest, flying)
        if kind == SUBSCRIBE:
            self._subscribe(rest)
        elif kind == PUBACK:
            self.acknowledged.append(struct.unpack_from("!H", rest)[0])
        elif kind == PINGREQ:
            self.send_raw(PINGRESP, b"")
        elif kind == DISCONNECT:
            self.goodbyes.append(rest[0] if rest else 0)
            if len(rest) > 1 and SESSION_EXPIRY in (properties := _properties(rest, 1)[0]):
                self.session_expiries.append(properties[SESSION_EXPIRY])
            return False
        return True

    def _connected(self, rest: bytes) -> bool:
        self._level, flags, keepalive_s = rest[6], rest[7], struct.unpack_from("!H", rest, 8)[0]
        at, properties = 10, {}
        if self._level == 5:
            properties, at = _properties(rest, at)
        client_id, at = _string(rest, at)
        will, will_properties = None, {}
        if flags & 0x04:
            if self._level == 5:
                will_properties, at = _properties(rest, at)
            topic, at = _string(rest, at)
            size = struct.unpack_from("!H", rest, at)[0]
            will = topic, rest[at + 2 : at + 2 + size]
        self.connects.append(
            Connect(client_id, self._level, bool(flags & 2), keepalive_s, properties, will, will_properties)
        )
        code = self.admit(len(self.connects))
        if code == CUT:
            return False
        if code != SILENT:
            limits = b"".join(
                struct.pack(f"!B{_WIDTHS[name]}", name, value) for name, value in self.limits.items()
            )
            if self.refers_to:
                limits += b"\x1c" + _text(self.refers_to)
            told = bytes([0, code]) + (_length(len(limits)) + limits if self._level == 5 else b"")
            self.send_raw(CONNACK, told)
        return code in (SUCCESS, SILENT)

    def _published(self, flags: int, rest: bytes, flying: set[int]) -> bool:
        topic, at = _string(rest, 0)
        qos, number, properties = (flags >> 1) & 3, 0, {}
        if qos:
            number, at = struct.unpack_from("!H", rest, at)[0], at + 2
        if self._level == 5:
            properties, at = _properties(rest, at)
        size = 1 + len(_length(len(rest))) + len(rest)
        one = Publish(
            len(self.connects), topic, rest[at:], qos, bool(flags & 1), bool(flags & 8),
            number, properties, size, time.monotonic(),
        )  # fmt: skip
        if size > (self.enforce_bytes or size):
            return False
        self.published.append(one)
        if size > self.limits.get(MAXIMUM_PACKET_SIZE, size):
            self.disconnect(TOO_LARGE)
            return False
        if not qos:
            return True
        flying.add(number)
        self.most_in_flight = max(self.most_in_flight, len(flying))
        if len(flying) > self.limits.get(RECEIVE_MAXIMUM, 65_535):
            self.disconnect(TOO_MANY)
            return False
        code = self.answer(one)
        if code == CUT:
            return False
        if code != SILENT:
            asyncio.get_running_loop().call_later(self.delay_s, self._acknowledge, number, code, flying)
        return True

    def _acknowledge(self, number: int, code: int, flying: set[int]) -> None:
        flying.discard(number)
        told = struct.pack("!H", number) + (bytes([code]) if self._level == 5 and code else b"")
        self.send_raw(PUBACK, told)

    def _subscribe(self, rest: bytes) -> None:
        at, codes = 2, b""
        if self._level == 5:
            _, at = _properties(rest, at)
        while at < len(rest):
            topic, at = _string(rest, at)
            self.subscribed.append(topic)
            self.subscribed_with.append(rest[at])
            at, codes = at + 1, codes + bytes([self.grant(topic)])
        self.send_raw(SUBACK, rest[:2] + (b"\0" if self._level == 5 else b"") + codes)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    first = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return first >> 4, first & 15, await reader.readexactly(size)


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()


def _string(data: bytes, at: int) -> tuple[str, int]:
    size = struct.unpack_from("!H", data, at)[0]
    return data[at + 2 : at + 2 + size].decode(), at + 2 + size


def _properties(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """Numbers by their identifier; of strings only where they end is of interest."""
    size, at = data[at], at + 1  # ours never have 128 bytes of them
    end, found = at + size, {}
    while at < end:
        name, at = data[at], at + 1
        if name in _WIDTHS:
            found[name] = struct.unpack_from(f"!{_WIDTHS[name]}", data, at)[0]
            at += struct.calcsize(f"!{_WIDTHS[name]}")
        else:
            found[name], at = _string(data, at)
    return found, at
