"""RTSP through our own hands: FFmpeg speaks to us on the loopback, we speak to the camera.

FFmpeg verifies no host name, gives its password as Basic to whoever asks, follows redirects and knows no
SHA-256. So it gets an address without a login here, and the TLS, the login and the refusals are ours. Media
(interleaved, RFC 2326 10.12) is passed on as it comes.
"""

import re
import secrets
import select
import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from agent.vision.camera_url import ENCRYPTED, SCHEMES, Trust
from agent.vision.http_auth import Login
from agent.vision.tls import tls_context, untrusted

LONGEST = 64 * 1024
"""Bytes of one request or answer."""


class _HungUp(Exception):  # noqa: N818  no fault of anyone's
    """FFmpeg closed its connection with something unread."""


class Relay:
    """``with Relay(…) as relay``: FFmpeg may open `url` once. What went wrong with the camera is `error`."""

    def __init__(self, url: str, open_s: float, read_s: float, trust: Trust) -> None:
        self._parts = urlsplit(url)
        user, password = (unquote(one or "") for one in (self._parts.username, self._parts.password))
        encrypted = self._parts.scheme in ENCRYPTED
        self._login = Login(user, password, encrypted=encrypted, basic=trust.basic)
        self._tls = tls_context(trust) if encrypted else None
        self._open_s, self._read_s = open_s, read_s
        self._closed = threading.Event()
        self.error: str | None = None
        self._door = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._door.settimeout(open_s)
        self.url = f"rtsp://127.0.0.1:{self._door.getsockname()[1]}/{secrets.token_urlsafe(16)}"
        self._thread = threading.Thread(target=self._run, name="rtsp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The thread ends with its next waiting."""
        self._closed.set()
        with suppress(OSError):
            self._door.close()

    def _run(self) -> None:
        with suppress(OSError):  # nobody came in time
            with self._door:
                inside, _ = self._door.accept()
            with inside:  # it hangs up on FFmpeg once it is known why
                self.error = self._talk(inside)

    def _talk(self, inside: socket.socket) -> str | None:
        """Until one side hangs up; what is wrong with the camera, if that is known."""
        try:
            with self._connect() as camera:
                inside.settimeout(self._read_s)
                _Talk(inside, camera, self.url, self._upstream(), self._login).run(self._closed)
        except _HungUp:
            return None
        except ssl.SSLError as error:
            return untrusted(error, self._parts.hostname)
        except ValueError as error:
            return str(error)
        except OSError as error:
            return None if self._closed.is_set() else str(error.strerror or error) or None
        return None

    def _upstream(self) -> str:
        """The camera's own url, as requests name it."""
        scheme, host = self._parts.scheme, self._parts.hostname or ""
        name = f"[{host}]" if ":" in host else host
        port = self._parts.port or SCHEMES[scheme]
        return self._parts._replace(netloc=f"{name}:{port}", fragment="").geturl()

    def _connect(self) -> socket.socket:
        host, port = self._parts.hostname or "", self._parts.port or SCHEMES[self._parts.scheme]
        camera = socket.create_connection((host, port), timeout=self._open_s)
        camera.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            camera = self._tls.wrap_socket(camera, server_hostname=host)
        camera.settimeout(self._read_s)
        return camera


class _Talk:
    """One conversation between FFmpeg (``inside``) and the camera."""

    def __init__(
        self, inside: socket.socket, camera: socket.socket, mine: str, upstream: str, login: Login
    ) -> None:
        self._inside, self._camera = inside, camera
        self._mine, self._upstream, self._login = mine, upstream, login
        self._known = False
        self._asked: dict[str, tuple[bytes, bool]] = {}
        """Of each request without an answer yet, by CSeq: itself, and whether it was repeated."""

    def run(self, closed: threading.Event) -> None:
        """Until one of both hangs up. OSError, or ValueError where the camera is refused."""
        said, heard = bytearray(), bytearray()
        while not closed.is_set():
            waiting = isinstance(self._camera, ssl.SSLSocket) and self._camera.pending()
            ready, _, _ = select.select([self._inside, self._camera], [], [], 0 if waiting else 0.5)
            if self._inside in ready:
                data = self._from_inside()
                if not data:
                    return
                said += data
                self._requests(said)
            if waiting or self._camera in ready:
                data = self._camera.recv(65536)
                if not data:
                    return
                heard += data
                self._answers(heard)

    def _from_inside(self) -> bytes:
        try:
            return self._inside.recv(65536)
        except ConnectionError as error:
            raise _HungUp from error

    def _to_inside(self, data: bytearray) -> None:
        try:
            self._inside.sendall(data)
        except ConnectionError as error:
            raise _HungUp from error

    def _requests(self, said: bytearray) -> None:
        """Passes on each whole request with the camera's own url and our login, and receiver reports."""
        while (size := _whole(said)) > 0:
            one = bytes(said[:size])
            del said[:size]
            if one[:1] == b"$":
                self._camera.sendall(one)
                continue
            number = _header(one, b"CSeq") or ""
            self._asked = dict(list(self._asked.items())[-8:]) | {number: (one, False)}
            self._camera.sendall(self._signed(one))

    def _signed(self, request: bytes) -> bytes:
        start, _, rest = request.partition(b"\r\n")
        method, _, target = start.partition(b" ")
        uri = target.rpartition(b" ")[0].decode("latin-1")
        if uri == self._mine or uri.startswith(self._mine + "/"):
            uri = self._upstream + uri[len(self._mine) :]
            self._known = True
        if not self._known:
            raise ValueError("another program on this device opened the relay")
        more = self._login.header(method.decode("latin-1"), uri)
        lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        return f"{method.decode('latin-1')} {uri} RTSP/1.0\r\n{lines}".encode() + rest

    def _answers(self, heard: bytearray) -> None:
        """Passes on media and answers; one that asks for a login is answered here."""
        through = 0
        while (size := _whole(heard, through)) > 0:
            if heard[through] != 0x24 and not self._pass(bytes(heard[through : through + size])):
                self._to_inside(heard[:through])
                del heard[: through + size]
                through = 0
            else:
                through += size
        if through:
            self._to_inside(heard[:through])
            del heard[:through]

    def _pass(self, answer: bytes) -> bool:
        """Whether FFmpeg is to see ``answer``."""
        match = re.match(rb"RTSP/\d\.\d (\d{3})", answer)
        if match is None:
            return answer[:1].isalpha()  # a request of the camera's: FFmpeg answers it or not
        if 300 <= int(match[1]) < 400:
            raise ValueError("it redirects to another address; write that as url, if it is right")
        request, repeated = self._asked.pop(_header(answer, b"CSeq") or "", (b"", True))
        if (
            match[1] == b"401"
            and not repeated
            and self._login.challenged(_headers(answer, b"WWW-Authenticate"))
        ):
            self._asked[_header(request, b"CSeq") or ""] = (request, True)
            self._camera.sendall(self._signed(request))
            return False
        return True


def _whole(data: bytearray, at: int = 0) -> int:
    """How many bytes the message at ``at`` has, 0 where it is not whole yet. ValueError: it is too long."""
    if len(data) <= at:
        return 0
    if data[at] == 0x24:
        size = 4 + int.from_bytes(data[at + 2 : at + 4]) if len(data) >= at + 4 else LONGEST
        return size if len(data) >= at + size else 0
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        if len(data) - at > LONGEST:
            raise ValueError("answers, but not in RTSP")
        return 0
    length = _header(bytes(data[at : end + 4]), b"Content-Length") or "0"
    if not length.isdigit() or int(length) > LONGEST:
        raise ValueError(f"answers with a body of {length[:20]} bytes")
    size = end + 4 - at + int(length)
    return size if len(data) >= at + size else 0


def _headers(message: bytes, name: bytes) -> list[str]:
    head = message.partition(b"\r\n\r\n")[0]
    found = re.findall(
        rb"^" + re.escape(name) + rb"[ \t]*:[ \t]*(.*?)[ \t]*\r?$", head, re.MULTILINE | re.IGNORECASE
    )
    return [one.decode("latin-1") for one in found]


def _header(message: bytes, name: bytes) -> str | None:
    return next(iter(_headers(message, name)), None)
