"""GETs to one camera."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from agent.vision.camera_url import ENCRYPTED, SCHEMES, Trust
from agent.vision.http_auth import Login
from agent.vision.jpeg_stream import LARGEST
from agent.vision.tls import tls_context, untrusted

MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)


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
