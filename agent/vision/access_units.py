"""H.264 and H.265 out of RTP packets (RFC 6184, RFC 7798), undecoded: access units in Annex B form. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.vision.frame_timestamps import FrameClock

CODECS = frozenset({"H264", "H265"})
CLOCK_HZ = 90_000
MAX_UNIT_BYTES = 8 * 1024 * 1024
"""A longer access unit is dropped."""
START_CODE = b"\x00\x00\x00\x01"
H264_KEY, H264_STAP, H264_FU = 5, 24, 28
H265_KEYS, H265_AP, H265_FU = range(16, 24), 48, 49


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded picture: when it arrived (monotonic), whether decoding can begin with it, and its bytes."""

    at_s: float
    key: bool
    data: bytes


class AccessUnits:
    """Call `feed` for each packet in order. Nothing is given between a lost packet and the next key picture.

    ``parameter_sets``: NAL units of the session description, put before each key picture.
    """

    def __init__(self, codec: str, payload: int, parameter_sets: Sequence[bytes]) -> None:
        self._h265, self._payload = codec == "H265", payload
        self._head = b"".join(START_CODE + nal for nal in parameter_sets)
        self._clock = FrameClock()
        self._nals: list[bytes] = []
        self._fragments: list[bytes] = []
        self._bytes = 0
        self._key = False
        self._sequence: int | None = None
        self._stamp, self._ticks = 0, 0
        self._waits_for_key = True
        self._dropped: int | None = None
        """The timestamp of a unit of which something is missing."""

    def feed(self, packet: bytes, arrived_s: float) -> Iterator[AccessUnit]:
        """The units that are complete with ``packet``: one or none, and two where a marker is missing."""
        if len(packet) < 13 or packet[0] >> 6 != 2 or packet[1] & 0x7F != self._payload:
            return
        start = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
        end = len(packet) - (packet[-1] if packet[0] & 0x20 else 0)
        sequence, stamp = int.from_bytes(packet[2:4]), int.from_bytes(packet[4:8])
        lost = self._sequence is not None and sequence != (self._sequence + 1) & 0xFFFF
        self._sequence = sequence
        if lost:
            self._drop(stamp)
        elif stamp != self._stamp and self._nals:
            yield from self._complete(arrived_s)
        self._ticks += (stamp - self._stamp + 2**31) % 2**32 - 2**31
        self._stamp = stamp
        if stamp != self._dropped and start < end:
            self._take(packet[start:end])
            if self._bytes > MAX_UNIT_BYTES:
                self._drop(stamp)
        if packet[1] & 0x80:
            yield from self._complete(arrived_s)

    def _drop(self, stamp: int) -> None:
        self._dropped, self._waits_for_key = stamp, True
        self._nals, self._fragments, self._bytes, self._key = [], [], 0, False

    def _complete(self, arrived_s: float) -> Iterator[AccessUnit]:
        at_s = self._clock.at_s(arrived_s, self._ticks / CLOCK_HZ)
        nals, key = self._nals, self._key
        self._nals, self._fragments, self._bytes, self._key, self._dropped = [], [], 0, False, None
        self._waits_for_key = self._waits_for_key and not key
        if nals and not self._waits_for_key:
            data = b"".join(START_CODE + nal for nal in nals)
            yield AccessUnit(at_s, key, self._head + data if key else data)

    def _take(self, payload: bytes) -> None:
        """The NAL units of one packet: one, several (aggregated), or a piece of one (fragmented)."""
        head = 2 if self._h265 else 1
        kind = payload[0] >> 1 & 0x3F if self._h265 else payload[0] & 0x1F
        if kind == (H265_AP if self._h265 else H264_STAP):
            at = head
            while at + 2 < len(payload):
                size = int.from_bytes(payload[at : at + 2])
                self._add(payload[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == (H265_FU if self._h265 else H264_FU) and len(payload) > head + 1:
            flags = payload[head]
            if flags & 0x80:
                self._fragments = [self._fragment_head(payload, flags)]
            if self._fragments:
                self._fragments.append(payload[head + 1 :])
                self._bytes += len(payload)
            if flags & 0x40 and self._fragments:
                self._add(b"".join(self._fragments))
                self._fragments = []
        else:
            self._add(payload)

    def _fragment_head(self, payload: bytes, flags: int) -> bytes:
        if self._h265:
            return bytes([payload[0] & 0x81 | (flags & 0x3F) << 1, payload[1]])
        return bytes([payload[0] & 0xE0 | flags & 0x1F])

    def _add(self, nal: bytes) -> None:
        if not nal:
            return
        self._nals.append(nal)
        self._bytes += len(nal)
        self._key |= (nal[0] >> 1 & 0x3F) in H265_KEYS if self._h265 else nal[0] & 0x1F == H264_KEY
