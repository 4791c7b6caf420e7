"""MPEG-TS over UDP or RTP, received here and passed to FFmpeg as bytes, so that lost packets are counted.

FFmpeg decodes damaged pictures without an error. The continuity counters of MPEG-TS (ISO 13818-1, 2.4.3.3)
show how many packets are missing.
"""

import io
import ipaddress
import socket
import struct
from contextlib import suppress
from urllib.parse import urlsplit

from agent.host.clock import monotonic_s

PACKET = 188
NULL_PID = 0x1FFF
MPEG_TS = 33
"""The RTP payload type of MPEG-TS (RFC 3551)."""
ABORT_S = 0.5
"""A read looks this often whether it was aborted: nothing wakes one that waits for a datagram."""
RECEIVE_BUFFER = 4 * 1024 * 1024


def bind_udp(host: str, port: int) -> socket.socket:
    """A bound UDP socket; it joins ``host``'s group where that is multicast. OSError: the port is taken."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        receiver.bind(("", port))
        with suppress(ValueError):
            if ipaddress.ip_address(host).is_multicast:
                group = struct.pack("=4sI", socket.inet_aton(host), socket.INADDR_ANY)
                receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except BaseException:
        receiver.close()
        raise
    return receiver


class ContinuityCounter:
    """Counts missing MPEG-TS packets, for each PID separately."""

    def __init__(self) -> None:
        self.lost = 0
        self._last: dict[int, int] = {}

    def feed(self, data: bytes) -> int:
        """Takes whole packets; returns the least number missing before or among them."""
        before = self.lost
        for at in range(0, len(data) - PACKET + 1, PACKET):
            if data[at] != 0x47:
                continue
            pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
            flags = data[at + 3]
            if pid == NULL_PID or not flags & 0x10:  # no payload: the counter does not advance
                continue
            count = flags & 0x0F
            adapted = flags & 0x20 and data[at + 4]
            last = (
                None if adapted and data[at + 5] & 0x80 else self._last.get(pid)
            )  # discontinuity is allowed
            if last is not None and count != last:  # a packet may be duplicated
                self.lost += (count - last - 1) % 16
            self._last[pid] = count
        return self.lost - before


class UdpByteStream(io.BufferedIOBase):
    """The data of a UDP port as a file object for FFmpeg; ``lost`` packets so far, the last at ``lost_s``."""

    def __init__(self, url: str, open_s: float, read_s: float) -> None:
        parts = urlsplit(url)
        self._rtp = parts.scheme == "rtp"
        self._receiver = bind_udp(parts.hostname or "", parts.port or 0)
        self.until_s = monotonic_s() + open_s + read_s
        """The stream ends at this time (monotonic) unless a frame is grabbed before."""
        self._aborted = False
        self._continuity = ContinuityCounter()
        self._data = b""
        self.lost = 0
        self.lost_s = float("-inf")

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            while self._aborted or not self._data or monotonic_s() > self.until_s:
                if self._aborted or (left_s := self.until_s - monotonic_s()) <= 0:
                    return b""
                self._receiver.settimeout(min(left_s, ABORT_S))
                with suppress(TimeoutError):
                    self._data = self._payload(self._receiver.recv(65536))
        except (OSError, ValueError):
            return b""  # end of file, for FFmpeg
        most = size if size is not None and size > 0 else len(self._data)
        data, self._data = self._data[:most], self._data[most:]
        return data

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        return -1

    def abort(self) -> None:
        """Ends the stream, and a blocking `read` within `ABORT_S`; called from another thread."""
        self._aborted = True

    def close(self) -> None:
        self._receiver.close()
        super().close()

    def _payload(self, data: bytes) -> bytes:
        """The MPEG-TS packets of a datagram; missing ones are counted."""
        if self._rtp or (data[:1] != b"\x47" and len(data) % PACKET == 12 and data[:1] >= b"\x80"):
            if len(data) < 12 or data[1] & 0x7F != MPEG_TS:
                return b""
            at = 12 + 4 * (data[0] & 0x0F)
            if data[0] & 0x10 and len(data) >= at + 4:
                at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4])
            data = data[at:]
        missing = self._continuity.feed(data)
        if missing:
            self.lost += missing
            self.lost_s = monotonic_s()
        return data
