"""Finds the packets in a stream of bytes: mixed protocols, noise, half a packet at the start or the end.

Sans-IO and bounded. After a false head the search continues one byte further, so that noise costs only the
packets that it hits. Of two packets that overlap, the sniffer accepts:

* In step, where the last packet has just ended: the packet that begins here; nothing inside it is examined.
* Out of step: the packet that is complete first, so that a corrupted length delays nothing.

A head in step that claims more than `MAX_IN_STEP` bytes counts as out of step. These rules depend only on
the order of the bytes: it does not matter how the stream was cut.
"""

import re
from collections import Counter
from collections.abc import Collection
from heapq import heappop, heappush
from typing import NamedTuple

from firmware_bridge.serial.framings import COBS_LONGEST, FRAMINGS, INCOMPLETE, UBX_LONGEST, Span

MAX_IN_STEP = 300
"""Bytes that good packets may have to wait behind a head in step with a corrupted length; MAVLink has 280."""
MAX_BUFFER = UBX_LONGEST
"""The maximum size of the buffer in bytes."""
IDLE = b"\r\n\0"
"""Bytes that may occur between packets, and do not count as skipped."""


class Packet(NamedTuple):
    """One packet whose checksum is good: an NMEA sentence without its line end, a UBX or MAVLink frame, or
    a COBS payload.
    """

    protocol: str
    data: bytes


class Sniffer:
    """Bytes in, packets of the given framings out; the rest is counted.

    ``good`` counts packets, ``bad`` wrong checksums outside of good packets, and ``skipped_bytes`` all
    bytes that are neither in a good packet nor `IDLE`. RTCM 3 shares GNSS receivers' lines: it is counted,
    never returned.
    """

    def __init__(self, framings: Collection[str] = tuple(FRAMINGS)) -> None:
        unknown = set(framings) - set(FRAMINGS)
        if unknown:
            raise ValueError(f"unknown framing {sorted(unknown)}; known: {', '.join(sorted(FRAMINGS))}")
        self.framings = tuple(framings)
        wanted = set(framings) | ({"rtcm3"} if {"nmea", "ubx"} & set(framings) else set())
        self._heads = {
            head: (name, look)
            for name, (starts, look, _) in FRAMINGS.items()
            if name in wanted
            for head in starts
        }
        self._search = re.compile(b"[" + re.escape(bytes(self._heads)) + b"]").search
        self._zeros_count = "cobs" in wanted
        self._buffer = bytearray()
        self._at = 0  # the search continues here
        self._in_step = False  # a packet, and idle bytes, precede the buffer
        self._waiting: list[tuple[int, int, str]] = []  # end, start, framing: a heap
        self._failed: list[tuple[int, str]] = []  # start, framing: bad, if no good packet covers them
        self.good: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.skipped_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether no byte of a packet has come since the last packet."""
        return not self._buffer.strip(IDLE)

    def feed(self, data: bytes) -> list[Packet]:
        """Adds ``data`` and returns the packets that are complete now."""
        buffer, search = self._buffer, self._search
        buffer += data
        size = len(buffer)
        packets: list[Packet] = []
        done, at = 0, self._at  # all before `done` is accounted for
        place: Span
        while True:
            here, place, name = size, INCOMPLETE, ""
            if (found := search(buffer, at)) is not None:
                here = found.start()
                name, look = self._heads[buffer[here]]
                place = look(buffer, here)
            best = self._first_good(size if place == INCOMPLETE else here) if self._waiting else None
            at = here if place == INCOMPLETE else here + 1
            if best is None and isinstance(place, tuple):
                start, end = place
                if start != here or end - start > MAX_IN_STEP or not self._follows(done, here):
                    if start >= done:
                        heappush(self._waiting, (end, start, name))
                elif end <= size:
                    best = self._checked(start, end, name)
                else:
                    place, at = INCOMPLETE, here
            if best is not None:
                start, at, packet = best
                self._skip(done, start)
                self._waiting.clear()
                self._failed.clear()
                self._in_step, done = True, at
                self.good[packet.protocol] += 1
                if packet.data:
                    packets.append(packet)
            elif place == INCOMPLETE:
                break
        self._trim(done, at)
        return packets

    def _follows(self, done: int, here: int) -> bool:
        """Whether ``here`` is in step."""
        return self._in_step and (here == done or not self._buffer[done:here].strip(IDLE))

    def _first_good(self, limit: int) -> tuple[int, int, Packet] | None:
        """The good packet that was complete first, of those complete before ``limit``."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= limit:
            end, start, name = heappop(waiting)
            if (best := self._checked(start, end, name)) is not None:
                return best
        return None

    def _checked(self, start: int, end: int, name: str) -> tuple[int, int, Packet] | None:
        content = FRAMINGS[name].check(bytes(self._buffer[start:end]))
        if content is None:
            self._failed.append((start, name))
            return None
        return start, end, Packet(name, content)

    def _skip(self, done: int, start: int) -> None:
        """Counts the bytes from ``done`` to ``start``, which belong to no packet."""
        if start == done:
            return
        skipped = len(self._buffer[done:start].translate(None, IDLE))
        self.skipped_bytes += skipped
        self._in_step = self._in_step and not skipped
        for place, name in self._failed:
            if place < start:
                self.bad[name] += 1

    def _trim(self, done: int, at: int) -> None:
        """Drops the bytes that no packet can need any more."""
        if at == done and not self._zeros_count:  # only an incomplete packet remains
            self._at = 0
            del self._buffer[:done]
            return
        keep = min([at, *(start for _, start, _ in self._waiting)])
        if self._zeros_count:
            zero = self._buffer.rfind(
                0, max(done, at - COBS_LONGEST), at
            )  # may open a frame that a later zero closes
            keep = min(keep, zero) if zero >= 0 else keep
        self._skip(done, keep)
        self._failed = [(place - keep, name) for place, name in self._failed if place >= keep]
        self._waiting = [(end - keep, start - keep, name) for end, start, name in self._waiting]
        self._at = at - keep
        del self._buffer[:keep]
