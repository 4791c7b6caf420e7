"""An RTSP relay: FFmpeg connects to it on the loopback, and it connects to the camera.

FFmpeg verifies no host name, sends its password as Basic to any server, follows redirects and does not
support SHA-256. So FFmpeg gets a loopback URL without a login; TLS, login and refusals are handled here.
Media (interleaved, RFC 2326 10.12) is passed through unchanged.
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
from agent.vision.tls import check_fingerprint, tls_context, tls_error_text

MAX_MESSAGE_BYTES = 64 * 1024
"""Maximum size of one request or response."""


class _ClientClosed(Exception):  # noqa: N818  not an error
    """FFmpeg closed its connection with unread data."""


class RtspRelay:
    """FFmpeg may open `url` once; `error` says what is wrong with the camera. Runs in its own thread."""

    def __init__(self, url: str, open_s: float, read_s: float, trust: Trust) -> None:
        self._parts = urlsplit(url)
        user, password = (unquote(one or "") for one in (self._parts.username, self._parts.password))
        encrypted = self._parts.scheme in ENCRYPTED
        self._login = Login(user, password, encrypted=encrypted, basic=trust.basic)
        self._tls, self._trust = tls_context(trust) if encrypted else None, trust
        self._open_s, self._read_s = open_s, read_s
        self._closed = threading.Event()
        self.error: str | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.settimeout(open_s)
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/{secrets.token_urlsafe(16)}"
        self._thread = threading.Thread(target=self._run, name="rtsp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the relay; its thread ends within half a second."""
        self._closed.set()
        with suppress(OSError):
            self._listener.close()

    def _run(self) -> None:
        with suppress(OSError):  # FFmpeg did not connect in time
            with self._listener:
                client, _ = self._listener.accept()
            with client:  # FFmpeg is disconnected after `error` is set
                self.error = self._relay(client)

    def _relay(self, client: socket.socket) -> str | None:
        """Relays until one side disconnects. Returns what is wrong with the camera, or None."""
        try:
            with self._connect() as camera:
                client.settimeout(self._read_s)
                _RelaySession(client, camera, self.url, self._upstream(), self._login).run(self._closed)
        except _ClientClosed:
            return None
        except ssl.SSLError as error:
            return tls_error_text(error, self._parts.hostname)
        except ValueError as error:
            return str(error)
        except OSError as error:
            return None if self._closed.is_set() else str(error.strerror or error) or None
        return None

    def _upstream(self) -> str:
        """The camera's own URL, for use in requests."""
        scheme, host = self._parts.scheme, self._parts.hostname or ""
        name = f"[{host}]" if ":" in host else host
        port = self._parts.port or SCHEMES[scheme]
        return self._parts._replace(netloc=f"{name}:{port}", fragment="").geturl()

    def _connect(self) -> socket.socket:
        host, port = self._parts.hostname or "", self._parts.port or SCHEMES[self._parts.scheme]
        camera = socket.create_connection((host, port), timeout=self._open_s)
        camera.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            camera = verified = self._tls.wrap_socket(camera, server_hostname=host)
            check_fingerprint(verified, self._trust, host)
        camera.settimeout(self._read_s)
        return camera


class _RelaySession:
    """One RTSP session between FFmpeg (``client``) and the camera."""

    def __init__(
        self, client: socket.socket, camera: socket.socket, relay_url: str, upstream: str, login: Login
    ) -> None:
        self._client, self._camera = client, camera
        self._relay_url, self._upstream, self._login = relay_url, upstream, login
        self._authorised = False
        self._pending: dict[str, tuple[bytes, bool]] = {}
        """Requests without a response, by CSeq: the request, and whether it was repeated with a login."""

    def run(self, closed: threading.Event) -> None:
        """Relays until one side disconnects. ValueError: a bad response of the camera; OSError: it failed."""
        from_client, from_camera = bytearray(), bytearray()
        while not closed.is_set():
            waiting = isinstance(self._camera, ssl.SSLSocket) and self._camera.pending()
            ready, _, _ = select.select([self._client, self._camera], [], [], 0 if waiting else 0.5)
            if self._client in ready:
                data = self._from_client()
                if not data:
                    return
                from_client += data
                self._requests(from_client)
            if waiting or self._camera in ready:
                data = self._camera.recv(65536)
                if not data:
                    return
                from_camera += data
                self._responses(from_camera)

    def _from_client(self) -> bytes:
        try:
            return self._client.recv(65536)
        except ConnectionError as error:
            raise _ClientClosed from error

    def _to_client(self, data: bytearray) -> None:
        try:
            self._client.sendall(data)
        except ConnectionError as error:
            raise _ClientClosed from error

    def _requests(self, data: bytearray) -> None:
        """Forwards each whole request, with the camera's own URL and login, and receiver reports."""
        while (size := message_size(data)) > 0:
            message = bytes(data[:size])
            del data[:size]
            if message[:1] == b"$":
                self._camera.sendall(message)
                continue
            number = _header(message, b"CSeq") or ""
            self._pending = dict(list(self._pending.items())[-8:]) | {number: (message, False)}
            self._camera.sendall(self._with_login(message))

    def _with_login(self, request: bytes) -> bytes:
        start, _, rest = request.partition(b"\r\n")
        method, _, target = start.partition(b" ")
        uri = target.rpartition(b" ")[0].decode("latin-1")
        if uri == self._relay_url or uri.startswith(self._relay_url + "/"):
            uri = self._upstream + uri[len(self._relay_url) :]
            self._authorised = True
        if not self._authorised:
            raise ValueError("another program on this device opened the relay")
        more = self._login.header(method.decode("latin-1"), uri)
        lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        return f"{method.decode('latin-1')} {uri} RTSP/1.0\r\n{lines}".encode() + rest

    def _responses(self, data: bytearray) -> None:
        """Forwards media and responses; a login challenge is answered here."""
        through = 0
        while (size := message_size(data, through)) > 0:
            if data[through] != 0x24 and not self._forwards(bytes(data[through : through + size])):
                self._to_client(data[:through])
                del data[: through + size]
                through = 0
            else:
                through += size
        if through:
            self._to_client(data[:through])
            del data[:through]

    def _forwards(self, response: bytes) -> bool:
        """Whether ``response`` is forwarded to FFmpeg."""
        match = re.match(rb"RTSP/\d\.\d (\d{3})", response)
        if match is None:
            return response[:1].isalpha()  # a request of the camera: FFmpeg may answer it
        if 300 <= int(match[1]) < 400:
            raise ValueError("it redirects to another address; set that as url, if it is right")
        request, repeated = self._pending.pop(_header(response, b"CSeq") or "", (b"", True))
        if (
            match[1] == b"401"
            and not repeated
            and self._login.accept_challenge(_headers(response, b"WWW-Authenticate"))
        ):
            self._pending[_header(request, b"CSeq") or ""] = (request, True)
            self._camera.sendall(self._with_login(request))
            return False
        return True


def message_size(data: bytearray, at: int = 0) -> int:
    """The size in bytes of the message at ``at``, 0 where it is incomplete. ValueError: it is too long."""
    if len(data) <= at:
        return 0
    if data[at] == 0x24:
        size = 4 + int.from_bytes(data[at + 2 : at + 4]) if len(data) >= at + 4 else MAX_MESSAGE_BYTES
        return size if len(data) >= at + size else 0
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        if len(data) - at > MAX_MESSAGE_BYTES:
            raise ValueError("answers, but not in RTSP")
        return 0
    length = _header(bytes(data[at : end + 4]), b"Content-Length") or "0"
    if not length.isdigit() or int(length) > MAX_MESSAGE_BYTES:
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
