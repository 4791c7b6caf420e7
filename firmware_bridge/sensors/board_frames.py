"""The frames of the sensor board: SMP header, CBOR map, CRC and COBS. Pure."""

import binascii
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

PROTOCOL = 1


GROUP = 64


HELLO, REPORT, EVENT, ACK, OUTPUT, PING = range(6)


READ, READ_ANSWER, WRITE, PUSH = range(4)
"""SMP operations. PUSH is SMP's answer to a write, and also the board's own messages (commands 0 to 2)."""


LONGEST = 256


_HEADER = struct.Struct("!BBHHBB")


_VERSION_2 = 1 << 3


class BoardMessage(NamedTuple):
    """The content of one frame."""

    op: int
    command: int
    content: dict[Any, Any]
    sequence: int


def encode(command: int, content: Mapping[Any, Any], sequence: int = 0, op: int = PUSH) -> bytes:
    """One frame on the wire, with a zero before and after it. ValueError where it is too long."""
    import cbor2
    from cobs import cobs

    body = cbor2.dumps(content)
    message = _HEADER.pack(_VERSION_2 | op, 0, len(body), GROUP, sequence & 0xFF, command) + body
    frame = cobs.encode(message + struct.pack("!H", binascii.crc_hqx(message, 0)))
    if len(frame) > LONGEST:
        raise ValueError(f"a frame of {len(frame)} bytes; the maximum is {LONGEST}")
    return bytes(b"\0" + frame + b"\0")


def parse(payload: bytes) -> BoardMessage | None:
    """The message in a payload with a good CRC; None where it is not of our group or not a map."""
    import cbor2

    if len(payload) < _HEADER.size:
        return None
    op, flags, length, group, sequence, command = _HEADER.unpack_from(payload)
    body = payload[_HEADER.size :]
    if op & ~3 != _VERSION_2 or flags or group != GROUP or length != len(body):
        return None
    try:
        content = cbor2.loads(body)
    except (cbor2.CBORError, ValueError, RecursionError, OverflowError):
        return None
    return BoardMessage(op & 3, command, content, sequence) if isinstance(content, dict) else None
