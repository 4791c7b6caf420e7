"""The framings of packets on a wire: where a packet begins and ends, and whether its checksum is good. Pure.

    NMEA 0183   $….*hh  or  !….*hh                                   xor of all bytes between
    UBX         B5 62 class id length(2) payload checksum(2)         Fletcher, from class on
    RTCM 3      D3 000000 length(10 bits) number(12 bits) … crc(3)   CRC-24Q of all before it
    MAVLink 1   FE length seq sys comp id payload crc(2)             CRC-16/MCRF4XX from length on, and the
    MAVLink 2   FD length incompat compat seq sys comp id(3) payload crc(2) [signature(13)]     id's CRC_EXTRA
    COBS        00 <COBS of payload and CRC-16/XMODEM> 00
    VE.Direct   CR LF label TAB value … CR LF "Checksum" TAB byte     all bytes add up to 0 (modulo 256)

Each framing is two functions. ``look`` reads the head at one place of a buffer and gives where the packet
begins and ends; it need not be complete. ``check`` takes a whole packet and gives its content for decoders.
"""

import binascii
import re
from collections.abc import Callable
from functools import cache
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

from firmware_bridge.mavlink_dialect import dialect

NMEA_LONGEST = 256
COBS_LONGEST = 300
COBS_SHORTEST = 12
"""With its zero: a header of 8 bytes, a CRC of 2, and one byte of COBS."""
VEDIRECT_LONGEST = 1024
UBX_LONGEST = 4096
INCOMPLETE: Literal["more"] = "more"

Span: TypeAlias = "tuple[int, int] | Literal['more'] | None"
"""Start and end of the packet; ``more``: its head is incomplete; None: no packet."""


class Framing(NamedTuple):
    """``heads`` are the bytes that may begin a packet. ``check`` returns None where the checksum is wrong,
    and empty bytes for a good packet that no decoder needs.
    """

    heads: bytes
    look: Callable[[bytearray, int], Span]
    check: Callable[[bytes], bytes | None]


_SENTENCE = re.compile(rb"[$!][\x20-\x23\x25-\x29\x2b-\x7e]*+\*[0-9A-Fa-f]{2}")
_CUT_SENTENCE = re.compile(rb"[$!][\x20-\x23\x25-\x29\x2b-\x7e]*+(?:\*[0-9A-Fa-f]?)?\Z")


def locate_nmea(buffer: bytearray, at: int) -> Span:
    """A sentence with its checksum. Without a checksum a cut sentence would pass for a whole one: no
    packet.
    """
    found = _SENTENCE.match(buffer, at, at + NMEA_LONGEST)
    if found is not None:
        return at, found.end()
    return INCOMPLETE if len(buffer) - at < NMEA_LONGEST and _CUT_SENTENCE.match(buffer, at) else None


def check_nmea(sentence: bytes) -> bytes | None:
    """The sentence where its checksum is good."""
    folded = int.from_bytes(sentence[1:-3], "little")  # at most 256 bytes; the xor of all ends in the lowest
    for bits in (1024, 512, 256, 128, 64, 32, 16, 8):
        folded ^= folded >> bits
    return sentence if folded & 0xFF == int(sentence[-2:], 16) else None


def locate_ubx(buffer: bytearray, at: int) -> Span:
    """A UBX frame. A frame longer than any navigation message is noise."""
    head = buffer[at : at + 6]
    if len(head) > 1 and head[1] != 0x62:
        return None
    if len(head) < 6:
        return INCOMPLETE
    length = 8 + head[4] + 256 * head[5]
    return (at, at + length) if length <= UBX_LONGEST else None


def check_ubx(frame: bytes) -> bytes | None:
    body = frame[2:-2]
    if sum(body) & 0xFF != frame[-2] or sum(accumulate(body)) & 0xFF != frame[-1]:
        return None
    return frame


def locate_rtcm3(buffer: bytearray, at: int) -> Span:
    """An RTCM 3 frame. An unassigned message number is noise, so that its long CRC is not computed."""
    head = buffer[at : at + 5]
    if len(head) > 1 and head[1] > 3:
        return None
    if len(head) < 5:
        return INCOMPLETE
    number = 16 * head[3] + (head[4] >> 4)
    known = 1000 < number < 1400 or number > 4000
    return (at, at + 6 + 256 * head[1] + head[2]) if known else None


def check_rtcm3(frame: bytes) -> bytes | None:
    crc, table = 0, _crc24q_table()
    for byte in frame:
        crc = (crc << 8) & 0xFFFFFF ^ table[crc >> 16 ^ byte]
    return None if crc else b""  # the CRC of data with its own CRC is 0


@cache
def _crc24q_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 16
        for _ in range(8):
            crc = (crc << 1) ^ (0x1864CFB if crc & 0x800000 else 0)
        table.append(crc)
    return tuple(table)


def locate_mavlink(buffer: bytearray, at: int) -> Span:
    """A MAVLink frame. An unknown id or flag makes the frame impossible to check: no packet.

    Version 1 has no fields unknown to us, so that an invalid length reveals noise.
    """
    known, head = mavlink_ids(), buffer[at : at + 10]
    if head[0] == 0xFE:
        if len(head) < 6:
            return INCOMPLETE
        _, longest = known.get(head[5], (b"", -1))
        return (at, at + 8 + head[1]) if head[1] <= longest else None
    if len(head) > 2 and head[2] > 1:
        return None
    if len(head) < 10:
        return INCOMPLETE
    signature = 13 if head[2] else 0
    return (at, at + 12 + head[1] + signature) if head[7] + 256 * head[8] + 65536 * head[9] in known else None


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""CRC-16/MCRF4XX is the CRC of `binascii.crc_hqx` with the bits of each byte in reverse."""


def check_mavlink(frame: bytes) -> bytes | None:
    number, start = (frame[5], 6) if frame[0] == 0xFE else (int.from_bytes(frame[7:10], "little"), 10)
    end = start + frame[1]
    checked = frame[1:end] + mavlink_ids()[number][0] + frame[end : end + 2]
    return None if binascii.crc_hqx(checked.translate(_REVERSED), 0xFFFF) else frame  # as for COBS


@cache
def mavlink_ids() -> dict[int, tuple[bytes, int]]:
    """The CRC_EXTRA and longest payload of each message id in the dialect.

    Loading takes 50 ms, at the first head. Without the dialect no id is known, and no MAVLink frame is
    found.
    """
    try:
        known = dialect().mavlink_map
    except ModuleNotFoundError:
        return {}
    return {number: (bytes([kind.crc_extra]), kind.unpacker.size) for number, kind in known.items()}


def locate_cobs(buffer: bytearray, at: int) -> Span:
    """A COBS frame, ended by the zero ``at``; that zero stays in the buffer: it may open the next frame.

    Data between zeros that is not COBS belongs to some binary protocol and is no damaged frame.
    """
    from cobs import cobs

    start = buffer.rfind(0, max(0, at - COBS_LONGEST), at)
    if start < 0 or at - start < COBS_SHORTEST:
        return None
    try:
        cobs.decode(buffer[start + 1 : at])
    except cobs.DecodeError:
        return None
    return start, at


def check_cobs(frame: bytes) -> bytes | None:
    from cobs import cobs

    content = bytes(cobs.decode(frame[1:]))
    return None if binascii.crc_hqx(content, 0) else content[:-2]  # the CRC of data with its own CRC is 0


_BLOCK_STARTS = (b"\r\nPID\t", b"\r\nH1\t", b"\r\nV\t")
_BMV_600 = b"\r\nBMV\t"
_POWER = b"\r\nP\t"
_CHECKSUM = b"\r\nChecksum\t"
_HEX = re.compile(rb":[0-9A-Fa-f]*\n")


def locate_vedirect(buffer: bytearray, at: int) -> Span:
    """A block, which begins with the product, or with the first value of the history: half a block is no
    packet.

    A block of a BMV-600, which names itself at the end, begins with its voltage. Newer monitors send the
    power too.
    """
    head = bytes(buffer[at : at + 6])
    if not head.startswith(_BLOCK_STARTS):
        return INCOMPLETE if any(label.startswith(head) for label in _BLOCK_STARTS) else None
    last = buffer.find(_CHECKSUM, at, at + VEDIRECT_LONGEST)
    if last >= 0 and head.startswith(_BLOCK_STARTS[2]):
        block = buffer[at:last]
        if _BMV_600 not in block or _POWER in block:
            return None
    if last >= 0 and len(buffer) > last + len(_CHECKSUM):
        return at, last + len(_CHECKSUM) + 1
    return INCOMPLETE if len(buffer) - at < VEDIRECT_LONGEST else None


def check_vedirect(block: bytes) -> bytes | None:
    """The block where its sum is good. Messages of the HEX protocol may occur anywhere in it, and don't
    count.
    """
    text = _HEX.sub(b"", block[:-1])
    return text if (sum(text) + block[-1]) & 0xFF == 0 else None


FRAMINGS: dict[str, Framing] = {
    "nmea": Framing(b"$!", locate_nmea, check_nmea),
    "ubx": Framing(b"\xb5", locate_ubx, check_ubx),
    "rtcm3": Framing(b"\xd3", locate_rtcm3, check_rtcm3),
    "mavlink": Framing(b"\xfd\xfe", locate_mavlink, check_mavlink),
    "cobs": Framing(b"\0", locate_cobs, check_cobs),
    "vedirect": Framing(b"\r", locate_vedirect, check_vedirect),
}
