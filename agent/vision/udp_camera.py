"""MPEG-TS over UDP or RTP, received here and handed to FFmpeg as bytes: so that what was lost is counted.

FFmpeg decodes damaged pictures without a word. The continuity counters of MPEG-TS (ISO 13818-1, 2.4.3.3) say
how many packets are missing.
"""

import io
import ipaddress
import socket
import struct
import time
from contextlib import suppress
from urllib.parse import urlsplit

PACKET = 188
NULL_PID = 0x1FFF
MPEG_TS = 33
"""The RTP payload type of MPEG-TS (RFC 3551)."""
RECEIVE_BUFFER = 4 * 1024 * 1024


def listen(host: str, port: int) -> socket.socket:
    """A bound UDP socket, a member of ``host``'s group where that is multicast. OSError if it can't be."""
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        ear.bind(("", port))
        with suppress(ValueError):
            if ipaddress.ip_address(host).is_multicast:
                group = struct.pack("=4sI", socket.inet_aton(host), socket.INADDR_ANY)
                ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except BaseException:
        ear.close()
        raise
    return ear


class Continuity:
    """Counts packets of MPEG-TS that are missing, of each programme stream by itself."""

    def __init__(self) -> None:
        self.lost = 0
        self._last: dict[int, int] = {}

    def take(self, data: bytes) -> int:
        """``data`` is whole packets; how many are missing before or among them, at least."""
        before = self.lost
        for at in range(0, len(data) - PACKET + 1, PACKET):
            if data[at] != 0x47:
                continue
            pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
            flags = data[at + 3]
            if pid == NULL_PID or not flags & 0x10:  # no payload: the counter stands
                continue
            count = flags & 0x0F
            adapted = flags & 0x20 and data[at + 4]
            last = None if adapted and data[at + 5] & 0x80 else self._last.get(pid)  # it may begin anew
            if last is not None and count != last:  # one packet may come twice
                self.lost += (count - last - 1) % 16
            self._last[pid] = count
        return self.lost - before


class UdpBytes(io.BufferedIOBase):
    """What comes on a port, for FFmpeg to read; ``lost`` packets so far, the last of them at ``lost_s``."""

    def __init__(self, url: str, open_s: float, read_s: float) -> None:
        parts = urlsplit(url)
        self._rtp = parts.scheme == "rtp"
        self._ear = listen(parts.hostname or "", parts.port or 0)
        self.until_s = time.monotonic() + open_s + read_s
        """Then it ends, if no frame could be made of what came."""
        self._continuity = Continuity()
        self._data = b""
        self.lost = 0
        self.lost_s = float("-inf")

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            while not self._data or time.monotonic() > self.until_s:
                if (left_s := self.until_s - time.monotonic()) <= 0:
                    return b""
                self._ear.settimeout(left_s)
                self._data = self._payload(self._ear.recv(65536))
        except (OSError, ValueError):
            return b""  # the end, for FFmpeg
        most = size if size is not None and size > 0 else len(self._data)
        data, self._data = self._data[:most], self._data[most:]
        return data

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        return -1

    def close(self) -> None:
        self._ear.close()
        super().close()

    def _payload(self, data: bytes) -> bytes:
        """The packets of MPEG-TS in a datagram; what is missing is counted."""
        if self._rtp or (data[:1] != b"\x47" and len(data) % PACKET == 12 and data[:1] >= b"\x80"):
            if len(data) < 12 or data[1] & 0x7F != MPEG_TS:
                return b""
            at = 12 + 4 * (data[0] & 0x0F)
            if data[0] & 0x10 and len(data) >= at + 4:
                at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4])
            data = data[at:]
        missing = self._continuity.take(data)
        if missing:
            self.lost += missing
            self.lost_s = time.monotonic()
        return data
