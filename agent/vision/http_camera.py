"""A camera over HTTP(S): MJPEG in whatever wrapping, or one JPEG a GET; other video as a stream of bytes.

The connection is ours, so certificates are verified, no redirect leads to another server, and a password goes
only where `http_auth` allows. JPEG is cut out of the stream by its own markers, which forgives every
wrong boundary, and its size is read before it is decoded.
"""

import http.client
import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from agent.mqtt.tls import MOST_BYTES
from agent.vision.camera_url import ENCRYPTED, MAX_PIXELS, SCHEMES, Trust
from agent.vision.http_auth import Login
from firmware_bridge.regular_files import read_regular
from models.detection import Frame

LARGEST = 16 * 1024 * 1024
"""Bytes of one picture."""
MOST_SCANS = 64
"""Of one picture: each is a pass over all of it, in a native call that nothing ends. About 10 are usual."""
MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
OTHER_VIDEO = (b"\x47", b"FLV", b"\x00\x00\x01", b"\x00\x00\x00\x01", b"\x1a\x45\xdf\xa3")
"""How MPEG-TS, FLV, MPEG-PS, H.264/H.265 and Matroska begin."""
_POS_MSEC, _FPS = 0, 5


def tls_context(trust: Trust) -> ssl.SSLContext:
    """Verifies the certificate and the host name. OSError where the file of the CA can't be read."""
    if trust.ca is None:
        return ssl.create_default_context()
    try:
        text = read_regular(trust.ca, MOST_BYTES).decode("ascii", "ignore")
        context = ssl.create_default_context(cadata=text)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the camera's own certificate will do
        return context
    except (ssl.SSLError, ValueError):
        raise OSError(f"ca {trust.ca}: no certificate in it") from None
    except OSError as error:
        raise OSError(f"ca {trust.ca}: {error.strerror or error}") from None


def untrusted(error: ssl.SSLError, host: str | None) -> str:
    """Why a TLS connection to ``host`` failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.verify_message or "not trusted").rstrip(".")
        return f"certificate of {host} refused: {reason}; name the CA that signed it as ca: FILE"
    return f"TLS with {host} failed: {(error.reason or str(error)).lower().replace('_', ' ')}"


def same_server(url: str, location: str) -> str | None:
    """Where a redirect leads, or None where that is another server."""
    to = urljoin(url, location)
    try:
        before, after = urlsplit(url), urlsplit(to)
        ports = [one.port or SCHEMES.get(one.scheme, 0) for one in (before, after)]
    except ValueError:
        return None
    same = (before.scheme, before.hostname) == (after.scheme, after.hostname) and ports[0] == ports[1]
    return to if same else None


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG declares, None where it declares none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        if kind == 0xFF:
            at += 1
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


class JpegCutter:
    """Cuts whole JPEG pictures out of a stream: `feed` it bytes, `cut` the next picture."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        """How far the picture at the start of ``_data`` was walked through; 0: its start is looked for."""
        self._scan = False
        self._scans = 0

    def feed(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > LARGEST:
            raise OSError(f"a picture of more than {LARGEST >> 20} MiB")

    def cut(self) -> bytes | None:
        """The next whole picture, or None where more must come first."""
        while True:
            if self._at == 0:
                start = self._data.find(b"\xff\xd8\xff")
                del self._data[: max(0, len(self._data) - 2) if start < 0 else start]
                if start < 0:
                    return None
                self._at, self._scan, self._scans = 2, False, 0
            done = self._walk()
            if done is None:
                return None
            if done:
                picture = bytes(self._data[: self._at])
                del self._data[: self._at]
                self._at = 0
                return picture
            del self._data[:2]  # damaged or cut short: the next start is looked for
            self._at = 0

    def _walk(self) -> bool | None:
        """To the end of the picture: True; False where it is damaged; None where more must come."""
        data = self._data
        while True:
            if self._scan:
                found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(data, self._at)
                if found is None:
                    self._at = max(self._at, len(data) - 1)
                    return None
                self._at, self._scan = found.start(), False
            if len(data) < self._at + 4 and data[self._at : self._at + 2] != b"\xff\xd9":
                return None
            if data[self._at] != 0xFF:
                return False
            kind = data[self._at + 1]
            if kind == 0xD9:
                self._at += 2
                return True
            if kind == 0xFF:
                self._at += 1
                continue
            length = int.from_bytes(data[self._at + 2 : self._at + 4])
            if kind in (0x00, 0x01, 0xD8) or 0xD0 <= kind <= 0xD7 or length < 2:
                return False
            if len(data) < self._at + 2 + length:
                return None
            self._at += 2 + length
            self._scan = kind == 0xDA
            self._scans += self._scan
            if self._scans > MOST_SCANS:
                raise OSError(f"a picture of more than {MOST_SCANS} scans")


class Connection:
    """GETs of one url, over one connection as long as the camera keeps it."""

    def __init__(self, url: str, within_s: float, trust: Trust) -> None:
        parts: SplitResult = urlsplit(url)
        user, password = (unquote(one or "") for one in (parts.username, parts.password))
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._host, port = parts.hostname or "", parts.port or SCHEMES[parts.scheme]
        self._login = Login(user, password, encrypted=parts.scheme in ENCRYPTED, basic=trust.basic)
        self._within_s = within_s
        self._socket: socket.socket | None = None
        if parts.scheme in ENCRYPTED:
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, port, timeout=within_s, context=tls_context(trust)
            )
        else:
            self._http = http.client.HTTPConnection(self._host, port, timeout=within_s)

    def get(self) -> http.client.HTTPResponse:
        """The answer 200 to a GET. OSError says why there is none, at the latest after twice the limit."""
        with self.at_most(2 * self._within_s):
            return self._get(self._url)

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Hangs up on the camera unless this ends in time: one byte now and then is in time for a socket."""
        late = threading.Timer(seconds, self.abort)
        late.daemon = True
        late.start()
        try:
            yield
        finally:
            late.cancel()

    def _get(self, url: str) -> http.client.HTTPResponse:
        for _ in range(MOST_REDIRECTS + 2):
            answer = self._once(url)
            if answer.status == 200:
                return answer
            with suppress(OSError, http.client.HTTPException):
                answer.read(LARGEST)
            if answer.status == 401 and self._login.challenged(
                answer.headers.get_all("WWW-Authenticate", [])
            ):
                continue
            to = answer.headers.get("Location", "")
            if answer.status not in REDIRECTS:
                raise OSError(f"it answers {answer.status}")
            led = same_server(url, to)
            if led is None:
                raise OSError("it redirects to another server; write that address as url, if it is right")
            url = led
        raise OSError("it redirects in a circle")

    def limit(self, within_s: float) -> None:
        """How long it may send nothing, from now on."""
        self._http.timeout = within_s
        if self._socket is not None:
            self._socket.settimeout(within_s)

    def abort(self) -> None:
        """Ends whatever waits for the camera, from another thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._http.close()

    def _once(self, url: str) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        for again in (True, False):
            try:
                heads = {"User-Agent": "ringpost", "Accept": "*/*"} | self._login.header("GET", path)
                self._http.request("GET", path, headers=heads)
                self._socket = self._http.sock  # http.client forgets it where the camera will close
                return self._http.getresponse()
            except ssl.SSLError as error:
                raise OSError(untrusted(error, self._host)) from None
            except (http.client.HTTPException, ConnectionError) as error:  # it kept the connection no longer
                self._http.close()
                if not again:
                    raise OSError(f"no HTTP answer: {error or type(error).__name__}") from None
            except ValueError as error:
                raise OSError(str(error)) from None
        raise AssertionError


class HttpPictures:
    """MJPEG or snapshots, with the methods of cv2.VideoCapture that `agent.vision.capture.Drain` uses."""

    def __init__(
        self,
        connection: Connection,
        answer: http.client.HTTPResponse,
        head: bytes,
        read_s: float,
        every_s: float,
    ) -> None:
        self._connection, self._answer, self._read_s, self._every_s = connection, answer, read_s, every_s
        self._cutter = JpegCutter()
        self._cutter.feed(head)
        self._single = answer.headers.get_content_type() in ("image/jpeg", "image/jpg", "image/pjpeg")
        self._picture = b""
        self._due_s = 0.0
        self.error: str | None = None

    def grab(self) -> bool:
        """Whether the next picture came, within the read limit."""
        until_s = time.monotonic() + self._read_s
        try:
            while (picture := self._cutter.cut()) is None:
                data = b"" if self._answer.isclosed() else self._answer.read1(65536)
                if not data and not self._again():
                    return False
                self._cutter.feed(data)
                if time.monotonic() > until_s:
                    return False
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not isinstance(error, TimeoutError):
                self.error = str(error) or None
            return False
        size = jpeg_size(picture)
        if size is not None and size[0] * size[1] > MAX_PIXELS:
            self.error = too_large(*size)
            return False
        self._picture = picture
        return True

    def retrieve(self) -> tuple[bool, Frame]:
        """The picture that was grabbed last; False where it can't be decoded."""
        import cv2
        import numpy as np

        frame = cv2.imdecode(np.frombuffer(self._picture, np.uint8), cv2.IMREAD_COLOR)
        return (
            (False, np.empty((0, 0, 3), np.uint8)) if frame is None else (True, np.asarray(frame, np.uint8))
        )

    def get(self, _: int) -> float:
        """No clock and no rate of its own."""
        return 0.0

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return True

    def release(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        """Ends a `grab` that waits, from another thread."""
        self._connection.abort()

    def _again(self) -> bool:
        """Asks for the next snapshot, once it is due; False where this is a stream, which has ended."""
        if not self._single or not self._picture:
            return False
        self._answer.read(1)  # http.client frees the connection only now
        self._due_s = max(self._due_s + self._every_s, time.monotonic())
        time.sleep(max(0.0, min(self._every_s, self._due_s - time.monotonic())))
        self._answer = self._connection.get()
        return True


class HttpBytes(io.BufferedIOBase):
    """The body of an answer, for FFmpeg to read."""

    def __init__(
        self, connection: Connection, answer: http.client.HTTPResponse, head: bytes, within_s: float
    ) -> None:
        self._connection, self._answer, self._head = connection, answer, head
        self.until_s = time.monotonic() + within_s
        """Then it ends, if no frame could be made of what came."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = size if size is not None and size > 0 else 65536
        if time.monotonic() > self.until_s:
            return b""
        if self._head:
            data, self._head = self._head[:most], self._head[most:]
            return data
        try:
            return self._answer.read1(most)
        except (OSError, http.client.HTTPException, ValueError):
            return b""  # the end, for FFmpeg

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        return -1

    def abort(self) -> None:
        """Ends a `read` that waits, from another thread."""
        self._connection.abort()

    def at_most(self, seconds: float) -> AbstractContextManager[None]:
        """Ends whatever reads from it unless this ends in time."""
        return self._connection.at_most(seconds)

    def close(self) -> None:
        self._connection.close()
        super().close()


def too_large(width: int, height: int) -> str:
    """What is said of a picture that is refused before it is decoded."""
    return (
        f"its pictures are {width}x{height}, larger than {MAX_PIXELS / 1e6:.0f} megapixels;"
        " set the camera to a smaller picture"
    )


def http_source(url: str, open_s: float, read_s: float, trust: Trust, fps: float) -> HttpPictures | HttpBytes:
    """An open camera. OSError says why there is none."""
    connection = Connection(url, open_s, trust)
    try:
        answer = connection.get()
        connection.limit(read_s)
        with connection.at_most(2 * read_s):
            head = answer.read1(65536)
        if not head:
            raise OSError("it answers, but no picture came")
        if head.startswith(OTHER_VIDEO) and answer.headers.get_content_maintype() != "multipart":
            return HttpBytes(connection, answer, head, open_s + read_s)
        return HttpPictures(connection, answer, head, read_s, min(1 / fps, read_s / 2))
    except BaseException:
        connection.close()
        raise
