"""HTTP GET requests to one camera. No redirect to another server is followed."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from agent.vision.camera_url import ENCRYPTED, SCHEMES, Trust
from agent.vision.http_auth import Login
from agent.vision.jpeg_stream import MAX_JPEG_BYTES
from agent.vision.tls import check_fingerprint, tls_context, tls_error_text

MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)


def same_server(url: str, location: str) -> str | None:
    """The target of a redirect, or None where that is another server."""
    to = urljoin(url, location)
    try:
        before, after = urlsplit(url), urlsplit(to)
        ports = [one.port or SCHEMES.get(one.scheme, 0) for one in (before, after)]
    except ValueError:
        return None
    same = (before.scheme, before.hostname) == (after.scheme, after.hostname) and ports[0] == ports[1]
    return to if same else None


class _VerifiedConnection(http.client.HTTPSConnection):
    """HTTPS to a server whose certificate is trusted; ValueError where it has another fingerprint."""

    def __init__(self, host: str, port: int, within_s: float, trust: Trust) -> None:
        super().__init__(host, port, timeout=within_s, context=tls_context(trust))
        self._trust = trust

    def connect(self) -> None:
        super().connect()
        try:
            check_fingerprint(self.sock, self._trust, self.host)
        except ValueError:
            self.close()
            raise


class HttpConnection:
    """GET requests of one URL, on one connection as long as the camera keeps it open."""

    def __init__(self, url: str, within_s: float, trust: Trust) -> None:
        parts: SplitResult = urlsplit(url)
        user, password = (unquote(one or "") for one in (parts.username, parts.password))
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._host, port = parts.hostname or "", parts.port or SCHEMES[parts.scheme]
        self._login = Login(user, password, encrypted=parts.scheme in ENCRYPTED, basic=trust.basic)
        self._within_s = within_s
        self._socket: socket.socket | None = None
        if parts.scheme in ENCRYPTED:
            self._http: http.client.HTTPConnection = _VerifiedConnection(self._host, port, within_s, trust)
        else:
            self._http = http.client.HTTPConnection(self._host, port, timeout=within_s)

    def get(self) -> http.client.HTTPResponse:
        """A response with status 200. OSError: why there is none, at the latest after twice the limit."""
        with self.at_most(2 * self._within_s):
            return self._get(self._url)

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Closes the connection after ``seconds``: a socket time-out alone allows a byte now and then."""
        timer = threading.Timer(seconds, self.abort)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _get(self, url: str) -> http.client.HTTPResponse:
        for _ in range(MAX_REDIRECTS + 2):
            response = self._request(url)
            if response.status == 200:
                self._login.worked()
                return response
            with suppress(OSError, http.client.HTTPException):
                response.read(MAX_JPEG_BYTES)
            if response.status == 401 and self._login.accept_challenge(
                response.headers.get_all("WWW-Authenticate", [])
            ):
                continue
            location = response.headers.get("Location", "")
            if response.status not in REDIRECTS:
                raise OSError(f"it answers {response.status}")
            target = same_server(url, location)
            if target is None:
                raise OSError("it redirects to another server; set that address as url, if it is right")
            url = target
        raise OSError("it redirects in a loop")

    def limit(self, within_s: float) -> None:
        """Sets the read timeout in seconds."""
        self._http.timeout = within_s
        if self._socket is not None:
            self._socket.settimeout(within_s)

    def abort(self) -> None:
        """Ends every blocking call on this connection; called from another thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._http.close()

    def _request(self, url: str) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        for may_retry in (True, False):
            try:
                headers = {"User-Agent": "ringpost", "Accept": "*/*"} | self._login.header("GET", path)
                self._http.request("GET", path, headers=headers)
                self._socket = self._http.sock  # http.client drops it where the camera will close
                return self._http.getresponse()
            except ssl.SSLError as error:
                raise OSError(tls_error_text(error, self._host)) from None
            except (
                http.client.HTTPException,
                ConnectionError,
            ) as error:  # the camera closed the kept connection
                self._http.close()
                if not may_retry:
                    raise OSError(f"no HTTP response: {error or type(error).__name__}") from None
            except ValueError as error:
                raise OSError(str(error)) from None
        raise AssertionError
