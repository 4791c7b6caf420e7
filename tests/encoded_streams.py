"""H.264 and H.265 as an RTSP camera sends it: RTP packets of a file, and a server of several streams."""

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

VECTORS = Path(__file__).parent / "vectors" / "streams"
"""One view at two sizes, 10 pictures a second, 20 pictures, each tenth a key picture."""
PAYLOAD, CLOCK_HZ, FPS = 96, 90_000, 10


def nals(data: bytes) -> list[bytes]:
    """The NAL units of a file in Annex B form."""
    return [nal.rstrip(b"\x00") for nal in re.split(rb"\x00\x00\x01", data) if nal.rstrip(b"\x00")]


def pictures(data: bytes, *, h265: bool = False) -> list[list[bytes]]:
    """The NAL units of each picture; parameter sets belong to the picture after them."""
    found: list[list[bytes]] = [[]]
    for nal in nals(data):
        kind = nal[0] >> 1 & 0x3F if h265 else nal[0] & 0x1F
        found[-1].append(nal)
        if kind < 32 if h265 else kind in (1, 5):
            found.append([])
    return found[:-1]


def fragments(nal: bytes, size: int, *, h265: bool) -> Iterator[bytes]:
    """The payloads of one NAL unit: itself, or fragments of ``size`` bytes."""
    if len(nal) <= size:
        yield nal
        return
    head = 2 if h265 else 1
    kind = nal[0] >> 1 & 0x3F if h265 else nal[0] & 0x1F
    first = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]) if h265 else bytes([nal[0] & 0xE0 | 28])
    for at in range(head, len(nal), size):
        flags = (0x80 if at == head else 0) | (0x40 if at + size >= len(nal) else 0) | kind
        yield first + bytes([flags]) + nal[at : at + size]


@cache
def payloads(data: bytes, h265: bool, size: int) -> list[list[bytes]]:
    """The payloads of each picture."""
    return [
        [one for nal in picture for one in fragments(nal, size, h265=h265)]
        for picture in pictures(data, h265=h265)
    ]


def rtp_packets(
    data: bytes,
    *,
    h265: bool = False,
    size: int = 900,
    rounds: int = 1,
    markers: bool = True,
    fps: float = FPS,
) -> Iterator[tuple[int, bytes]]:
    """(number of the picture, packet) of a file that is played ``rounds`` times."""
    sequence, played = count(65_500), count()
    for _ in range(rounds):
        for picture in payloads(data, h265, size):
            number = next(played)
            for index, payload in enumerate(picture):
                last = markers and index == len(picture) - 1
                head = bytes([0x80, PAYLOAD | (0x80 if last else 0)])
                stamp = round(2**32 - 20_000 + number * CLOCK_HZ / fps) % 2**32
                head += (next(sequence) % 2**16).to_bytes(2) + stamp.to_bytes(4) + b"abcd"
                yield number, head + payload


class RtspStreams:
    """A camera with several streams: ``files`` by path, endlessly repeated. Each request is in ``heard``."""

    def __init__(self, files: Mapping[str, Path], fps: float = FPS, rounds: int = 50) -> None:
        self.files, self.heard, self._fps, self._rounds = dict(files), list[str](), fps, rounds
        self._data = {path: path.read_bytes() for path in files.values()}
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self.port = self._server.getsockname()[1]
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> "RtspStreams":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(20)
        self._server.close()

    def url(self, path: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                connection, _ = self._server.accept()
                connection.settimeout(20)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            while not self._stopped.is_set() and (start := lines.readline().decode()):
                if start[:1] == "$":
                    continue
                sequence = "0"
                while (line := lines.readline().decode("latin-1").strip()) != "":
                    if line.lower().startswith("cseq:"):
                        sequence = line.partition(":")[2].strip()
                method, uri, _ = start.split()
                self.heard.append(f"{method} {uri}")
                name = uri.split("/")[3]
                body, status = "", "200 OK"
                if name not in self.files:
                    status = "404 Not Found"
                elif method == "DESCRIBE":
                    codec = "H265" if self.files[name].suffix == ".h265" else "H264"
                    body = (
                        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                        f"a=rtpmap:96 {codec}/90000\r\na=control:track1\r\n"
                    )
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n" if method == "SETUP" else ""
                connection.sendall(
                    f"RTSP/1.0 {status}\r\nCSeq: {sequence}\r\nSession: 7\r\nContent-Type: application/sdp\r\n"
                    f"Content-Length: {len(body)}\r\n{more}\r\n{body}".encode()
                )
                if method == "PLAY":
                    thread = threading.Thread(target=self._send, args=(connection, name), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _send(self, connection: socket.socket, name: str) -> None:
        path, began_s = self.files[name], time.monotonic()
        with suppress(OSError):
            h265, rounds, fps = path.suffix == ".h265", self._rounds, self._fps
            for number, packet in rtp_packets(self._data[path], h265=h265, rounds=rounds, fps=fps):
                if name not in self.files or self._stopped.wait(
                    max(0.0, began_s + number / self._fps - time.monotonic())
                ):
                    break
                connection.sendall(b"$\x00" + len(packet).to_bytes(2) + packet)
            connection.shutdown(socket.SHUT_RDWR)
