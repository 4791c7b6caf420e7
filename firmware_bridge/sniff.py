"""Finds the packets in a stream of bytes: mixed protocols, noise, half a packet at the start or the end.

Sans-IO and bounded. Each protocol's framing is one function that looks at one place in the buffer; after a
failed header the search goes on one byte further, so that noise costs only what it hit.

    NMEA 0183   $….*hh\\r\\n  or  !….*hh\\r\\n
    UBX         B5 62 class id length(2) payload checksum(2)
    COBS        00 <COBS of payload and CRC-16/XMODEM> 00
"""

import binascii
import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

NMEA_LONGEST = 256
COBS_LONGEST = 300
UBX_LONGEST = 4096
MORE: Literal["more"] = "more"
BAD: Literal["bad"] = "bad"
NO: Literal["no"] = "no"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet that a checksum vouches for: an NMEA sentence without its line end, a UBX
    frame, or a COBS payload."""

    protocol: str
    data: bytes


Look: TypeAlias = Callable[[bytearray, int], "tuple[Packet, int] | Literal['more', 'bad', 'no']"]
"""What stands at this place: a packet and the place after it, ``more`` (its rest is not there yet), ``bad``
(whole, but its checksum is wrong), or ``no`` packet."""

_SENTENCE = re.compile(rb"[$!]([\x20-\x23\x25-\x29\x2b-\x7e]*)\*([0-9A-Fa-f]{2})\r?\n?")
_PARTIAL = re.compile(rb"[$!][\x20-\x23\x25-\x7e]*\r?")


def look_nmea(buffer: bytearray, at: int) -> tuple[Packet, int] | Literal["more", "bad", "no"]:
    """A sentence with its checksum; one without is no packet (a cut one would pass for whole)."""
    found = _SENTENCE.match(buffer, at, at + NMEA_LONGEST)
    if found is None:
        partial = _PARTIAL.match(buffer, at, at + NMEA_LONGEST)
        whole = partial is None or partial.end() < len(buffer) or len(buffer) - at >= NMEA_LONGEST
        return NO if whole else MORE
    if found.end() == len(buffer) and not found[0].endswith(b"\n"):
        return MORE  # the line end may still come
    checksum = 0
    for byte in found[1]:
        checksum ^= byte
    if checksum != int(found[2], 16):
        return BAD
    return Packet("nmea", bytes(found[0]).rstrip(b"\r\n")), found.end()


def look_ubx(buffer: bytearray, at: int) -> tuple[Packet, int] | Literal["more", "bad", "no"]:
    """A frame with its Fletcher checksum; one longer than a navigation message can be is noise."""
    if len(buffer) > at + 1 and buffer[at + 1] != 0x62:
        return NO
    if len(buffer) - at < 6:
        return MORE
    end = at + 8 + int.from_bytes(buffer[at + 4 : at + 6], "little")
    if end - at > UBX_LONGEST:
        return NO
    if len(buffer) < end:
        return MORE
    first = second = 0
    for byte in buffer[at + 2 : end - 2]:
        first += byte
        second += first
    if (first & 0xFF, second & 0xFF) != (buffer[end - 2], buffer[end - 1]):
        return BAD
    return Packet("ubx", bytes(buffer[at:end])), end


def look_cobs(buffer: bytearray, at: int) -> tuple[Packet, int] | Literal["more", "bad", "no"]:
    """A frame between two zeros; the second is left where it is, it may open the next."""
    from cobs import cobs

    end = buffer.find(0, at + 1, at + COBS_LONGEST)
    if end < 0:
        return NO if len(buffer) - at >= COBS_LONGEST else MORE
    if end - at < 4:
        return NO
    try:
        content = cobs.decode(bytes(buffer[at + 1 : end]))
    except cobs.DecodeError:
        return BAD
    if len(content) < 3 or binascii.crc_hqx(content, 0) != 0:  # the CRC of all with its CRC is 0
        return BAD
    return Packet("cobs", content[:-2]), end


LOOKS: dict[str, tuple[bytes, Look]] = {
    "nmea": (b"$!", look_nmea),
    "ubx": (b"\xb5", look_ubx),
    "cobs": (b"\0", look_cobs),
}
"""Each framing: the bytes that it can begin with, and how to look."""
SOFT = frozenset({"cobs", "ubx"})
"""Framings whose unfinished packet must not hold up a checked packet of another kind behind it."""


class Sniffer:
    """``feed`` it what comes; it gives the packets of the framings asked for, and counts the rest."""

    def __init__(self, framings: Collection[str] = tuple(LOOKS)) -> None:
        unknown = set(framings) - set(LOOKS)
        if unknown:
            raise ValueError(f"no framing {sorted(unknown)}; known: {', '.join(sorted(LOOKS))}")
        self.framings = tuple(framings)
        self._looks: dict[int, list[tuple[str, Look]]] = {}
        for name in framings:
            starts, look = LOOKS[name]
            for start in starts:
                self._looks.setdefault(start, []).append((name, look))
        self._starts = re.compile(b"[" + re.escape(bytes(self._looks)) + b"]")
        self._buffer = bytearray()
        self._judged = 0  # places before it were looked at already: what is bad there is counted
        self.good: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.skipped_bytes = 0

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that are complete now."""
        buffer = self._buffer
        buffer += data
        packets: list[Packet] = []
        done = at = 0  # all before `done` is accounted for; `at` may look ahead of it
        held = False  # a soft packet between them may still be completed
        while (found := self._starts.search(buffer, at)) is not None:
            at = found.start()
            waiting = failed = False
            for name, look in self._looks[buffer[at]]:
                answer = look(buffer, at)
                if isinstance(answer, tuple):
                    packet, end = answer
                    self._skip(buffer[done:at])
                    packets.append(packet)
                    self.good[name] += 1
                    done = at = end
                    waiting = failed = held = False
                    break
                if answer == BAD:
                    self.bad[name] += at >= self._judged
                    failed = True
                waiting |= answer == MORE and name not in SOFT
                held |= answer == MORE and name in SOFT
            else:
                if waiting:
                    break
                at += 1
                if failed and not held:
                    self._skip(buffer[done:at])
                    done = at
                continue
        keep = self._first_unfinished(done)
        self._skip(buffer[done:keep])
        self._judged = max(at, self._judged) - keep if keep < len(buffer) else 0
        del buffer[:keep]
        return packets

    def _first_unfinished(self, done: int) -> int:
        """Where the first packet begins that may still be completed; all before it is lost."""
        at = done
        while (found := self._starts.search(self._buffer, at)) is not None:
            at = found.start()
            if any(look(self._buffer, at) == MORE for _, look in self._looks[self._buffer[at]]):
                return at
            at += 1
        return len(self._buffer)

    def _skip(self, data: bytearray) -> None:
        self.skipped_bytes += len(data.strip(b"\r\n\0"))
