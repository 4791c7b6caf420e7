"""Checks that a stream sends media before OpenCV opens it, and reports in one line why it does not.

OpenCV opens one stream after the other in a process: a dead stream would block all others. So a stream is
opened only after it has sent media to this probe. RTSP 1.0 (RFC 2326) over TCP, HTTP, UDP.
"""

import asyncio
import errno
import re
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from agent.runtime.error_text import error_reason
from agent.vision.camera_url import (
    ENCRYPTED,
    MAX_PIXELS,
    NO_TRUST,
    SCHEMES,
    Trust,
    redacted_url,
    source_kind,
    too_large_text,
)
from agent.vision.http_auth import Login
from agent.vision.http_connection import REDIRECTS, same_server
from agent.vision.session_description import AnnouncedVideo, announced_video
from agent.vision.tls import check_fingerprint, tls_context, tls_error_text
from agent.vision.udp_camera import bind_udp

MAX_MESSAGE_BYTES = 64 * 1024
REFUSAL_TEXTS = {
    403: "denies access (403)",
    404: "there is no such stream (404)",
    453: "has no room for another viewer (453)",
    454: "has no room for another viewer (454)",
    461: "does not send over TCP (461)",
    503: "is too busy (503)",
}


async def probe_stream(
    url: str, within_s: float, trust: Trust = NO_TRUST, max_pixels: int = MAX_PIXELS
) -> None:
    """Returns once the stream has sent data. OSError: one line saying why it does not.

    ``trust``: which servers may get the password. A stream whose announced pictures are larger than
    ``max_pixels`` is refused.
    """
    try:
        if source_kind(url) == "stream":
            await connect(StreamClient(urlsplit(url), trust, max_pixels), within_s)
    except ValueError as error:
        raise OSError(f"{redacted_url(url)}: {error}") from None


async def connect(client: "StreamClient", within_s: float) -> None:
    """Runs ``client`` to its end. OSError as `probe_stream`; ValueError: the URL or the response is wrong."""
    parts = client.parts
    shown, port = redacted_url(parts.geturl()), parts.port or SCHEMES[parts.scheme]
    try:
        async with asyncio.timeout(within_s) as client.limit:
            await client.connect(port)
    except TimeoutError:
        raise TimeoutError(f"{shown}: {client.missing} in {within_s:g} s") from None
    except ConnectionRefusedError:
        raise ConnectionRefusedError(f"{shown}: connection refused: nothing listens on port {port}") from None
    except socket.gaierror:
        raise OSError(f"{shown}: host name {parts.hostname} not found") from None
    except ssl.SSLError as error:
        raise OSError(f"{shown}: {tls_error_text(error, parts.hostname)}") from None
    except (ConnectionError, asyncio.IncompleteReadError):
        raise ConnectionError(f"{shown}: it disconnected before it sent anything") from None
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            raise OSError(f"{shown}: no route to {parts.hostname}: is the network up?") from None
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"{shown}: another program listens on port {port}") from None
        raise OSError(f"{shown}: {error_reason(error)}") from None


async def _await_datagram(host: str, port: int) -> None:
    """Returns with the first datagram."""
    with bind_udp(host, port) as receiver:
        receiver.setblocking(False)
        await asyncio.get_running_loop().sock_recv(receiver, 1)


class StreamClient:
    """One probe; ``missing`` names what has not come if time runs out now. ValueError: a bad response."""

    limit: asyncio.Timeout
    """When it has to be done."""

    def __init__(self, parts: SplitResult, trust: Trust, max_pixels: int) -> None:
        self.missing = "no data came" if parts.scheme in ("udp", "rtp") else "no answer"
        self.parts, self._max_pixels = parts, max_pixels
        self._user, password = (unquote(one or "") for one in (parts.username, parts.password))
        encrypted = parts.scheme in ENCRYPTED
        self._tls, self._trust = tls_context(trust) if encrypted else None, trust
        self._login = Login(self._user, password, encrypted=encrypted, basic=trust.basic)
        self._count = 0

    async def connect(self, port: int) -> None:
        """Connects and returns once media came."""
        host = self.parts.hostname or ""
        if self.parts.scheme in ("udp", "rtp"):
            await _await_datagram(host, port)
            return
        probe = self._http if self.parts.scheme in ("http", "https") else self._rtsp
        for _ in range(2):  # the login over HTTP needs a new connection
            self._reader, self._writer = await asyncio.open_connection(
                host, port, limit=MAX_MESSAGE_BYTES, ssl=self._tls
            )
            try:
                if self._tls is not None:
                    check_fingerprint(self._writer.get_extra_info("ssl_object"), self._trust, host)
                if await probe(host, port):
                    break
            finally:
                self._writer.close()

    async def _http(self, host: str, port: int) -> bool:
        """True once media came; False to repeat with the requested login."""
        self.missing = "it accepts, but no answer came"
        path = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        status, headers, _ = await self._request("GET", path, "HTTP/1.0", {"Host": f"{host}:{port}"})
        if status == 401 and self._login.accept_challenge(_challenges(headers)):
            return False
        if status in REDIRECTS:
            if same_server(self.parts.geturl(), dict(headers).get("location", "")) is None:
                raise ValueError("it redirects to another server; set that address as url, if it is right")
            return True  # followed when the stream is opened
        self._check_status(status)
        if (kind := dict(headers).get("content-type", "")).startswith("text/html"):
            raise ValueError(f"a web page ({kind}), not a video; which path has the stream?")
        self.missing = "it answers, but no picture came"
        await self._reader.readexactly(1)
        return True

    async def _rtsp(self, host: str, port: int) -> bool:
        self.missing = "it accepts, but no answer came"
        name = f"[{host}]" if ":" in host else host
        query = f"?{self.parts.query}" if self.parts.query else ""
        url = f"{self.parts.scheme}://{name}:{port}{self.parts.path}{query}"
        status, headers, body = await self._request(
            "DESCRIBE", url, "RTSP/1.0", {"Accept": "application/sdp"}
        )
        if status == 401 and self._login.accept_challenge(_challenges(headers)):
            more = {"Accept": "application/sdp"}
            status, headers, body = await self._request("DESCRIBE", url, "RTSP/1.0", more)
        self._check_status(status)
        video = announced_video(body.decode(errors="replace"))
        if video.size is not None and video.size[0] * video.size[1] > self._max_pixels:
            raise ValueError(too_large_text(*video.size, self._max_pixels))
        base = dict(headers).get("content-base", url + "/")
        track = urljoin(base if base.endswith("/") else base + "/", video.control)
        self.missing = "it answers, but no picture came"
        transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        status, headers, _ = await self._request("SETUP", track, "RTSP/1.0", transport)
        self._check_status(status)
        session = {"Session": dict(headers).get("session", "").partition(";")[0]}
        try:
            status, _, _ = await self._request("PLAY", url, "RTSP/1.0", session)
            self._check_status(status)
            await self._receive(video, lambda: self._send("GET_PARAMETER", url, "RTSP/1.0", session))
        finally:
            self._send("TEARDOWN", url, "RTSP/1.0", session)
            with suppress(OSError):
                await self._writer.drain()
        return True

    async def _receive(self, _video: AnnouncedVideo, _keep_alive: Callable[[], None]) -> None:
        """Returns with the first packet of media. ``keep_alive`` tells the camera that somebody listens."""
        while await self._interleaved() != 0:
            pass

    def _check_status(self, status: int) -> None:
        if status == 401:
            raise ValueError(
                f"user {self._user!r} or its password is refused (401)"
                if self._user
                else "user name and password required (401)"
            )
        if status != 200:
            raise ValueError(REFUSAL_TEXTS.get(status, f"it answers {status}"))

    def _send(self, method: str, uri: str, protocol: str, more: dict[str, str]) -> None:
        self._count += 1
        lines = {
            "CSeq": str(self._count),
            "User-Agent": "ringpost",
            **more,
            **self._login.header(method, uri),
        }
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._writer.write(f"{method} {uri} {protocol}\r\n{text}\r\n".encode())

    async def _request(
        self, method: str, uri: str, protocol: str, more: dict[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Sends a request. Returns status, headers (names in lower case) and, for RTSP, the body."""
        self._send(method, uri, protocol, more)
        while (first := await self._reader.readexactly(1)) == b"$":
            await self._packet()
        try:
            head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            head = ""
        start, *lines = head.split("\r\n")
        match = re.match(r"(RTSP|HTTP)/\d\.\d (\d{3})", start)
        if match is None or match[1] != protocol[:4]:
            raise ValueError(f"answers, but not in {protocol[:4]}")
        headers = [
            (name.strip().lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines)
        ]
        size = dict(headers).get("content-length", "0") if match[1] == "RTSP" else "0"
        if not size.isdigit() or int(size) > MAX_MESSAGE_BYTES:
            raise ValueError(f"answers with a body of {size[:20]} bytes")
        return int(match[2]), headers, await self._reader.readexactly(int(size))

    async def _interleaved(self) -> int:
        """The channel of the next RTP or RTCP packet."""
        while await self._reader.readexactly(1) != b"$":
            pass
        return await self._packet()

    async def _packet(self) -> int:
        """Reads the rest of an interleaved packet; returns its channel."""
        channel, size = struct.unpack(">BH", await self._reader.readexactly(3))
        await self._reader.readexactly(size)
        return int(channel)


def _challenges(headers: list[tuple[str, str]]) -> list[str]:
    return [value for name, value in headers if name == "www-authenticate"]
