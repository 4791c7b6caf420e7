"""Streams as cameras send them, and as somebody between camera and device would: each with real sockets."""

import asyncio
import hashlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from agent.domain.observations import CameraState, Sighting
from agent.vision.camera import Camera
from agent.vision.camera_capture import CameraCapture
from agent.vision.camera_url import Trust
from agent.vision.capture import open_capture
from agent.vision.frame_reader import FrameReader
from agent.vision.http_auth import authorization
from agent.vision.jpeg_stream import JpegCutter, jpeg_size
from agent.vision.rtsp_relay import RtspRelay
from agent.vision.stream_probe import probe_stream
from agent.vision.udp_camera import PACKET, ContinuityCounter, UdpByteStream
from agent.vision.v4l2_mode import V4l2Mode, granted_mode
from tests.test_camera_sources import answers, free_port, jpeg, send, shape
from tests.waiting import until, until_true

SECRET = "p@ss/w:rd"  # noqa: S105
LOGIN = "u:p%40ss%2Fw%3Ard@"
SDP = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs openssl: apt-get install openssl"
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A few seconds of MPEG-TS."""
    path = tmp_path_factory.mktemp("clip") / "a.ts"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    noise = np.random.default_rng(1)
    still = noise.integers(0, 255, (240, 320, 3), dtype=np.uint8)
    for step in range(60):
        writer.write(cv2.circle(still.copy(), (20 + 4 * step, 120), 15, (255, 255, 255), -1))
    writer.release()
    return path.read_bytes()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A self-signed certificate, key and all, for a name."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str) -> Path:
        path = folder / f"{name.replace(':', '_')}.pem"
        if not path.exists():
            subprocess.run(
                [
                    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=camera", "-addext", f"subjectAltName={name}",
                    "-keyout", f"{path}.key", "-out", path,
                ],
                check=True, capture_output=True,
            )  # fmt: skip
            path.write_text(path.read_text() + Path(f"{path}.key").read_text())
        return path

    return make


def server_tls(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


class RtspCamera:
    """Sends ``clip`` as MPEG-TS to whoever answers its challenge; ``asks`` has one challenge a connection."""

    def __init__(self, clip: bytes, asks: list[str], tls: Path | None = None) -> None:
        self.clip, self.asks, self.tls, self.moved = clip, asks, tls, ""
        self.redirect = "RTSP/1.0 302 Moved\r\nLINESLocation: TO\r\n\r\n"
        self.heard: list[str] = []
        self.counts: list[tuple[int, int]] = []
        """Of each connection the nonce counts that came."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.2)
        self._stopped = threading.Event()
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> "RtspCamera":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)
        self._server.close()

    def _accept(self) -> None:
        for number in range(99):
            while not self._stopped.is_set():
                with suppress(TimeoutError):
                    connection, _ = self._server.accept()
                    break
            else:
                return
            ask = self.asks[min(number, len(self.asks) - 1)]
            thread = threading.Thread(target=self._serve, args=(connection, ask, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, ask: str, number: int) -> None:
        with suppress(OSError, ValueError):
            connection.settimeout(60)
            if self.tls is not None:
                connection = server_tls(self.tls).wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                while head := _request(lines):
                    self.heard.append(head)
                    self._answer(connection, head, ask, number)

    def _answer(self, connection: socket.socket, head: str, ask: str, number: int) -> None:
        method, uri, _ = head.partition("\r\n")[0].split()
        sequence = re.search(r"CSeq: (\d+)", head)
        lines = f"CSeq: {sequence[1] if sequence else 0}\r\nSession: 7\r\n"
        if self.moved and number and method == "DESCRIBE":
            answer = self.redirect.replace("LINES", lines).replace("TO", self.moved)
            connection.sendall(answer.encode())
        elif ask and not self._right(head, method, uri, ask, number):
            connection.sendall(f"RTSP/1.0 401 No\r\n{lines}WWW-Authenticate: {ask}\r\n\r\n".encode())
        elif method == "DESCRIBE":
            body = f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
            connection.sendall(f"RTSP/1.0 200 OK\r\n{lines}{body}".encode())
        else:
            way = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n" if method == "SETUP" else ""
            connection.sendall(
                f"RTSP/1.0 200 OK\r\n{lines}{way}Public: DESCRIBE, SETUP, PLAY\r\n\r\n".encode()
            )
            if method == "PLAY":  # in this thread: no second one may use a TLS connection meanwhile
                self._play(connection)

    def _right(self, head: str, method: str, uri: str, ask: str, number: int) -> bool:
        given = re.search(r"^Authorization: (.*?)\r?$", head, re.MULTILINE)
        if given is None:
            return False
        count, own = (re.search(rf'{name}="?(\w+)', given[1]) for name in ("nc", "cnonce"))
        nth = int(count[1], 16) if count else 1
        self.counts.append((number, nth))
        expected = authorization(ask, method, uri, "u", SECRET, nth, own[1] if own else "")
        return given[1] == expected

    def _play(self, connection: socket.socket) -> None:
        with suppress(OSError):
            for number, at in enumerate(range(0, len(self.clip), 7 * PACKET)):
                data = self.clip[at : at + 7 * PACKET]
                head = bytes([0x80, 33]) + number.to_bytes(2) + (number * 900).to_bytes(4) + b"cams"
                connection.sendall(b"$\x00" + (len(head) + len(data)).to_bytes(2) + head + data)
                time.sleep(0.002)


def _request(lines: Any) -> str:
    """The head of the next request; receiver reports are left out."""
    head = b""
    while line := lines.readline():
        if line[:1] == b"$" and not head:
            rest = line[1:]
            while len(rest) < 3:
                rest += lines.read(1)
            lines.read(max(0, int.from_bytes(rest[1:3]) + 3 - len(rest)))
            continue
        head += line
        if line in (b"\r\n", b"\n"):
            return str(head.decode())
    return ""


DIGEST = 'Digest realm="r", nonce="n1", qop="auth"'


@pytest.mark.parametrize(
    "ask",
    ["", DIGEST, 'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"', 'Digest realm="r", nonce="n"'],
)
def test_a_camera_is_logged_into_and_seen(clip: bytes, ask: str) -> None:
    with RtspCamera(clip, [ask]) as camera:
        url = f"rtsp://{LOGIN}127.0.0.1:{camera.port}/s"
        asyncio.run(probe_stream(url, 60))
        opened = open_capture(url, 60, 60)
        assert shape(opened) == (240, 320, 3)
        opened.release()
    if "qop" in ask:
        assert [nth for number, nth in camera.counts if number == 1][:4] == [1, 2, 3, 4]


@pytest.mark.parametrize("first", [DIGEST, ""])
def test_a_password_is_never_basic_in_clear_text(clip: bytes, first: str) -> None:
    """Also where the first connection was asked for Digest, and the one that gives pictures for Basic."""
    with RtspCamera(clip, [first, 'Basic realm="r"']) as camera:
        url = f"rtsp://{LOGIN}127.0.0.1:{camera.port}/s"
        asyncio.run(probe_stream(url, 60))
        with pytest.raises(
            OSError, match=r"password in clear text \(Basic\) without TLS: set the camera to Digest"
        ):
            open_capture(url, 30, 30)
        with pytest.raises(OSError, match="password in clear text"):
            asyncio.run(probe_stream(url, 60))
    assert not [head for head in camera.heard if "Authorization: Basic" in head]


def test_basic_is_given_where_the_file_says_so(clip: bytes) -> None:
    with RtspCamera(clip, ['Basic realm="r"']) as camera:
        url = f"rtsp://{LOGIN}127.0.0.1:{camera.port}/s"
        opened = open_capture(url, 60, 60, trust=Trust(basic=True))
        assert shape(opened) == (240, 320, 3)
        opened.release()


@pytest.mark.parametrize(
    ("redirect", "said"),
    [
        ("RTSP/1.0 302 Moved\r\nLINESLocation: TO\r\n\r\n", "redirects to another address"),
        ("RTSP/1.0  302 Moved\r\nLINESLocation: TO\r\n\r\n", "no picture can be decoded"),
        ("\r\nRTSP/1.0 302 Moved\r\nLINESLocation: TO\r\n\r\n", "no picture can be decoded"),
        (
            "RTSP/1.0 100 Wait\nCSeq: 1\n\nRTSP/1.0 302 Moved\nCSeq: 2\nLocation: TO\r\n\r\n",
            "no picture can be decoded",
        ),
    ],
)
def test_a_redirect_of_rtsp_is_not_followed(clip: bytes, redirect: str, said: str) -> None:
    """However it is written: where the relay misses it, FFmpeg may open nothing but what it was given."""
    with RtspCamera(clip, [""]) as other, RtspCamera(clip, [""]) as camera:
        camera.moved, camera.redirect = f"rtsp://127.0.0.1:{other.port}/x", redirect
        asyncio.run(probe_stream(f"rtsp://127.0.0.1:{camera.port}/s", 60))
        with pytest.raises(OSError, match=said):
            open_capture(f"rtsp://127.0.0.1:{camera.port}/s", 3, 3)
    assert other.heard == []


def test_ffmpeg_hanging_up_is_no_fault_of_the_camera(clip: bytes) -> None:
    """It leaves unread what it does not understand, so that its connection is reset."""
    with RtspCamera(clip, [""]) as camera:
        relay = RtspRelay(f"rtsp://127.0.0.1:{camera.port}/s", 60, 60, Trust())
        inside = socket.create_connection(("127.0.0.1", urlsplit(relay.url).port or 0), timeout=60)
        inside.sendall(f"DESCRIBE {relay.url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        assert inside.recv(1) == b"R"
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        inside.close()
        relay._thread.join(60)
        assert not relay._thread.is_alive()
        assert relay.error is None


@needs_openssl
@pytest.mark.parametrize("ask", ['Basic realm="r"', DIGEST])
def test_rtsps_is_verified(clip: bytes, certificate: Callable[[str], Path], ask: str) -> None:
    good, other = certificate("IP:127.0.0.1"), certificate("DNS:other.example")
    with RtspCamera(clip, [ask], tls=good) as camera:
        url = f"rtsps://{LOGIN}127.0.0.1:{camera.port}/s"
        asyncio.run(probe_stream(url, 60, Trust(good)))
        opened = open_capture(url, 60, 60, trust=Trust(good))
        assert shape(opened) == (240, 320, 3)
        opened.release()
        pinned = Trust(fingerprint=fingerprint(good))
        asyncio.run(probe_stream(url, 60, pinned))
        opened = open_capture(url, 60, 60, trust=pinned)
        assert shape(opened) == (240, 320, 3)
        opened.release()
    with RtspCamera(clip, [ask], tls=good) as unknown:
        refused(
            f"rtsps://{LOGIN}127.0.0.1:{unknown.port}/s",
            Trust(fingerprint=fingerprint(other)),
            f"refused: its fingerprint is {fingerprint(good)}; if that is the camera's, set it",
        )
        for trust in (Trust(), Trust(other)):
            refused(
                f"rtsps://{LOGIN}127.0.0.1:{unknown.port}/s",
                trust,
                "certificate of 127.0.0.1 refused: self.signed certificate",
            )
    with RtspCamera(clip, [ask], tls=other) as stranger:
        refused(f"rtsps://{LOGIN}127.0.0.1:{stranger.port}/s", Trust(other), "not valid for '127.0.0.1'")
    assert unknown.heard == stranger.heard == []


def fingerprint(certificate: Path) -> str:
    """Of the certificate in a file that holds its key too."""
    found = re.search("-----BEGIN CERT.*-----END CERTIFICATE-----", certificate.read_text(), re.DOTALL)
    assert found is not None
    return f"sha256:{hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()}"


def refused(url: str, trust: Trust, message: str) -> None:
    with pytest.raises(OSError, match=message) as caught:
        asyncio.run(probe_stream(url, 60, trust))
    with pytest.raises(OSError, match=message):
        open_capture(url, 30, 30, trust=trust)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@needs_openssl
def test_https_is_verified(certificate: Callable[[str], Path]) -> None:
    good, other = certificate("IP:127.0.0.1"), certificate("DNS:other.example")
    for path, trust, message in [
        (good, Trust(good), ""),
        (good, Trust(), "certificate of 127.0.0.1 refused: self.signed certificate; name the CA"),
        (good, Trust(good.parent / "none.pem"), r"ca .*none\.pem: No such file"),
        (good, Trust(Path("/dev/zero")), "ca /dev/zero: .*name a regular file"),
        (good, Trust(Path(__file__)), r"ca .*\.py: it contains no certificate"),
        (other, Trust(other), "not valid for '127.0.0.1'"),
        (other, Trust(fingerprint=fingerprint(other)), ""),
        (good, Trust(fingerprint=fingerprint(other)), f"its fingerprint is {fingerprint(good)};"),
    ]:
        with answers(lambda handler: send(handler, jpeg(), "image/jpeg"), server_tls(path)) as (bare, asked):
            url = bare.replace("://", f"://{LOGIN}")
            if message:
                refused(url, trust, message)
                assert asked == []
            else:
                asyncio.run(probe_stream(url, 60, trust))
                opened = open_capture(url, 60, 60, trust=trust)
                assert shape(opened) == (48, 64, 3)
                opened.release()


@pytest.mark.parametrize("kind", ["Basic", "Digest"])
def test_http_logs_in_by_digest_only(kind: str) -> None:
    ask = f'{kind} realm="r", nonce="n", qop="auth"'
    counts: list[str] = []

    def respond(handler: Any) -> None:
        given = handler.headers.get("Authorization", "")
        counts.extend(re.findall(r"nc=(\w+)", given))
        if given:
            send(handler, jpeg(), "image/jpeg")
        else:
            send(handler, b"", "text/plain", 401, WWW_Authenticate=ask)

    with answers(respond) as (bare, asked):
        url = bare.replace("://", f"://{LOGIN}")
        if kind == "Basic":
            with pytest.raises(OSError, match="password in clear text"):
                open_capture(f"{url}/x")
        else:
            opened = open_capture(f"{url}/x", 60, 60, fps=50)
            assert [shape(opened) for _ in range(3)] == [(48, 64, 3)] * 3
            opened.release()
            assert counts[:3] == ["00000001", "00000002", "00000003"]
    assert not [heads for _, heads, _ in asked if heads.get("Authorization", "").startswith("Basic")]


def test_the_count_of_a_nonce_is_part_of_the_answer() -> None:
    """RFC 7616, 3.4.1: a camera that checks it refuses each request but the first where it stands still."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    for count in (1, 2, 17):
        said = authorization(DIGEST, "GET", "/x", "u", "p", count, "c")
        right = md5(f"{md5('u:r:p')}:n1:{count:08x}:c:auth:{md5('GET:/x')}")
        assert f'response="{right}"' in said
        assert f"nc={count:08x}" in said


# MPEG-TS over UDP.


@contextmanager
def sent(clip: bytes, port: int, drop: Callable[[int], bool], loops: int = 200) -> Iterator[None]:
    """Sends it again and again, its counters going on, without the datagrams that ``drop`` says."""
    stopped = threading.Event()

    def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            number, counters = 0, dict[int, int]()
            for _ in range(loops):
                for at in range(0, len(clip), 7 * PACKET):
                    number += 1
                    data = bytearray(clip[at : at + 7 * PACKET])
                    for start in range(0, len(data), PACKET):
                        pid = int.from_bytes(data[start + 1 : start + 3]) & 0x1FFF
                        if data[start + 3] & 0x10:
                            counters[pid] = (counters.get(pid, -1) + 1) % 16
                        data[start + 3] = data[start + 3] & 0xF0 | counters.get(pid, 0)
                    if not drop(number):
                        mouth.sendto(data, ("127.0.0.1", port))
                    if stopped.wait(0.003):
                        return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_what_is_lost_on_the_way_is_counted(clip: bytes) -> None:
    port = free_port()
    with sent(clip, port, lambda number: number % 33 == 0):
        opened = open_capture(f"udp://127.0.0.1:{port}", 60, 60)
        shapes = [shape(opened) for _ in range(20)]
        lost, at_s = opened.lost
        opened.release()
    assert shapes[-1] == (240, 320, 3)
    assert lost >= 7
    assert time.monotonic() - at_s < 10


def test_a_port_is_free_again_as_soon_as_a_stream_failed() -> None:
    port = free_port()
    with pytest.raises(OSError, match="no picture can be decoded"):
        open_capture(f"udp://127.0.0.1:{port}", 0.2, 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as strict:
        strict.bind(("127.0.0.1", port))  # without SO_REUSEADDR: nobody else may have it


@pytest.mark.parametrize("sends", [True, False])
def test_a_stream_without_pictures_holds_no_thread_of_a_camera_that_is_closed(sends: bool) -> None:
    """A thread in OpenCV that comes back while Python ends aborts the process."""
    port = free_port()
    table = bytes([0x47, 1, 0, 0x10]) + 184 * b"x"
    opened: list[Any] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        feed = UdpByteStream(f"udp://127.0.0.1:{port}", 600, 600)
        reader = threading.Thread(target=lambda: opened.append(feed.read(PACKET)), daemon=True)
        if sends:
            mouth.sendto(table, ("127.0.0.1", port))
            assert feed.read(PACKET) == table
        reader.start()
        CameraCapture(None, feed=feed).abort()
        reader.join(60)
        assert opened == [b""]
        mouth.sendto(table, ("127.0.0.1", port))
        assert feed.read(PACKET) == b""
        feed.close()


@pytest.mark.slow
def test_damage_is_told_and_not_learnt_from(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.vision.camera_stats.STATE_EVERY_S", 1.0)
    learnt: list[bool] = []
    monkeypatch.setattr("agent.vision.visibility.VisibilityMonitor._learn", lambda *_: learnt.append(True))

    async def scene(drop: Callable[[int], bool], enough: Callable[[list[Any]], bool]) -> list[Any]:
        told: list[Any] = []
        port = free_port()
        with sent(clip, port, drop):
            camera = Camera(url=f"udp://127.0.0.1:{port}", purpose="a test", fps=20)
            task = asyncio.ensure_future(camera.run(told.append))
            await until(lambda: enough(told) or task.done(), 120)
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: not any(one.name == f"camera {camera.url}" for one in threading.enumerate()))
        return told

    def damaged(told: list[Any]) -> bool:
        return any(isinstance(one, CameraState) and "damaged" in (one.trouble or "") for one in told)

    told = asyncio.run(scene(lambda number: number % 33 == 0, damaged))
    state = next(one for one in told if isinstance(one, CameraState) and "damaged" in (one.trouble or ""))
    assert re.fullmatch(r"damaged: \d+ packets lost in \d+ s; use RTSP over TCP", state.trouble or "")
    assert state.lost > 0
    assert any(isinstance(one, Sighting) for one in told)
    assert learnt == []
    whole = asyncio.run(scene(lambda _: False, lambda _: len(learnt) > 2))
    assert not damaged(whole)
    assert learnt


def packet(pid: int, count: int, *, payload: bool = True, begins_anew: bool = False) -> bytes:
    head = bytes(
        [0x47, pid >> 8, pid & 0xFF, (0x20 if begins_anew else 0) | (0x10 if payload else 0) | count]
    )
    return (head + (b"\x01\x80" if begins_anew else b"")).ljust(PACKET, b"x")


@pytest.mark.parametrize(
    ("packets", "lost"),
    [
        ([packet(256, n % 16) for n in range(40)], 0),
        ([packet(256, 3), packet(256, 5)], 1),
        ([packet(256, 15), packet(256, 2)], 2),
        ([packet(256, 3), packet(256, 3), packet(256, 4)], 0),
        ([packet(256, 3), packet(257, 9), packet(256, 4), packet(257, 10)], 0),
        ([packet(256, 3), packet(256, 3, payload=False), packet(256, 4)], 0),
        ([packet(256, 3), packet(256, 9, begins_anew=True), packet(256, 10)], 0),
        ([packet(0x1FFF, 3), packet(0x1FFF, 9)], 0),
        ([packet(256, 3), b"\0" * PACKET, b"short"], 0),
    ],
)  # fmt: skip
def test_continuity(packets: list[bytes], lost: int) -> None:
    counter = ContinuityCounter()
    assert sum(counter.feed(one) for one in packets) == lost == counter.lost


# JPEG out of a stream.


def test_pictures_are_cut_whole_out_of_whatever_is_around_them() -> None:
    pictures = [jpeg(value=value) for value in (10, 90, 200)]
    noise = np.random.default_rng(3)
    around = [
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n",
        b"\n\n",
        noise.bytes(50).replace(b"\xff", b"\0"),
        b"",
    ]
    stream = b"".join(before + picture for before, picture in zip(around, pictures, strict=False)) + around[0]
    for step in (1, 7, 1000, 10**6):
        cutter, found = JpegCutter(), []
        for at in range(0, len(stream), step):
            cutter.feed(stream[at : at + step])
            while (picture := cutter.cut()) is not None:
                found.append(picture)
        assert found == pictures


def test_a_damaged_picture_costs_itself_only() -> None:
    good = jpeg()
    cutter = JpegCutter()
    cutter.feed(good[: len(good) * 2 // 5] + good + b"\xff\xd8\xff\x00" + good)
    assert [cutter.cut(), cutter.cut(), cutter.cut()] == [good, good, None]
    assert jpeg_size(good) == (64, 48)
    assert jpeg_size(b"\xff\xd8\xff\xdb") is None


def test_a_picture_without_an_end_is_not_collected_for_ever() -> None:
    cutter = JpegCutter()
    cutter.feed(jpeg()[:-2])
    for _ in range(15):
        cutter.feed(b"x" * 2**20)
        assert cutter.cut() is None
    with pytest.raises(OSError, match="more than 16 MiB"):
        cutter.feed(b"x" * 2**20)


def test_a_picture_of_endless_scans_is_not_decoded() -> None:
    """33 bytes more are one more pass over all of a picture: a megabyte of them would be decoded for hours."""
    picture = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[
        1
    ].tobytes()
    cutter = JpegCutter()
    cutter.feed(picture)
    assert cutter.cut() == picture
    last_scan = picture[picture.rindex(b"\xff\xda") : -2]
    cutter.feed(picture[:-2] + 1000 * last_scan + picture[-2:])
    with pytest.raises(OSError, match="scans"):
        cutter.cut()


@pytest.mark.parametrize("first", [b"", b"\x47" + 187 * b"\0", b"\xff\xd8\xff"])
def test_a_camera_that_drips_as_it_is_opened_holds_neither_a_thread_nor_the_others(first: bytes) -> None:
    """The size of a chunk that never ends, a digit now and then; OpenCV opens one stream after the other."""

    def drip(handler: Any) -> None:
        chunk = b"%x\r\n%s\r\n" % (len(first), first) if first else b""
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
            while True:
                handler.wfile.write(b"0")
                time.sleep(0.05)

    def see(url: str) -> None:
        with suppress(OSError):
            opened = open_capture(url, 0.3, 0.3)
            aborts = threading.Timer(0.5, opened.abort)  # as FrameReader does
            aborts.start()
            opened.read()
            opened.release()

    with answers(drip) as (url, _):
        thread = threading.Thread(target=see, args=(f"{url}/x",), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()


def test_a_camera_that_drips_holds_no_thread() -> None:
    """A byte now and then is in time for every socket: it ends all the same, in its head and in its body."""

    def drip(handler: Any, begin: bytes) -> None:
        with suppress(OSError):
            handler.wfile.write(begin)
            while True:
                handler.wfile.write(b"x")
                time.sleep(0.05)

    endless_head = b"HTTP/1.0 200 OK\r\nX: "
    with (
        answers(lambda handler: drip(handler, endless_head)) as (url, _),
        pytest.raises(OSError, match=r"127\.0\.0\.1"),
    ):
        open_capture(f"{url}/x", 0.3, 0.3)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    with answers(lambda handler: drip(handler, chunked)) as (url, _):
        drain = FrameReader(f"{url}/x", lambda *_: None, lambda _: True, lambda: None, open_s=5, read_s=5)
        with drain:
            until_true(lambda: drain.opened)
        thread = next((one for one in threading.enumerate() if one.name.startswith("camera http")), None)
        if thread is not None:
            thread.join(4)
            assert not thread.is_alive()


# V4L2.


def test_a_v4l2_camera_is_asked_for_what_the_file_says() -> None:
    asked = Camera(url="0", purpose="a test", width=1280, height=720, pixel_format="MJPG", camera_fps=15).mode
    assert asked.parameters() == [6, cv2.VideoWriter.fourcc(*"MJPG"), 3, 1280, 4, 720, 5, 15]
    given = {6: float(cv2.VideoWriter.fourcc(*"YUYV")), 3: 640.0, 4: 480.0, 5: 30.0}
    said = granted_mode(lambda key: given[key])
    assert said == "640x480 YUYV 30 fps"
    assert asked.refused(said) == "asked for 1280x720 MJPG, the camera gives 640x480 YUYV 30 fps"
    assert V4l2Mode(640, 480).refused(said) is None
    assert V4l2Mode().refused(said) is None
    assert V4l2Mode().parameters() == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "rtsp://h/x", "width": 640, "height": 480}, "are for V4L2 cameras"),
        ({"url": "0", "width": 640}, "width and height go together"),
        ({"url": "0", "width": 8192, "height": 8192}, r"larger than max_pixels \(16777216\)"),
        (
            {"url": "0", "width": 640, "height": 480, "max_pixels": 100_000},
            r"larger than max_pixels \(100000\)",
        ),
        ({"url": "0", "max_pixels": 20_000_000}, "less than or equal to 16777216"),
        (
            {"url": "rtsp://h/x", "fingerprint": f"sha256:{'a' * 64}"},
            "fingerprint is for https:// and rtsps://",
        ),
        ({"url": "rtsps://h/x", "fingerprint": f"sha256:{'a' * 64}", "ca": "x.pem"}, "exclude each other"),
        ({"url": "rtsps://h/x", "fingerprint": "sha1:abcd"}, "pattern"),
        ({"url": "0", "pixel_format": "mjpeg"}, "pattern"),
        ({"url": "rtsp://h/x", "ca": "x.pem"}, "ca is for https:// and rtsps://"),
    ],
)
def test_what_a_camera_can_not_be_asked_for(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Camera.model_validate({"purpose": "a test"} | fields)


def test_a_fingerprint_is_taken_as_openssl_prints_it() -> None:
    camera = Camera(
        url="rtsps://h/x", purpose="a test", fingerprint="sha256 Fingerprint=" + ":".join(["AB"] * 32)
    )
    assert camera.trust.fingerprint == "sha256:" + "ab" * 32
    assert camera.secret_origin() == f"rtsps://h under {camera.trust.fingerprint}"
