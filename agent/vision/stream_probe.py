"""Asks a stream whether it sends, before OpenCV opens it, and says in one line why it does not.

OpenCV opens one stream after the other in a process: a dead one would hold up all others. So a stream is
opened only once it has just sent us media. RTSP 1.0 (RFC 2326) over TCP, HTTP, UDP.
"""

import asyncio
import errno
import re
import socket
import ssl
import struct
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from agent.runtime.error_text import error_reason
from agent.vision.camera_url import ENCRYPTED, NO_TRUST, SCHEMES, Trust, kind_of, redacted
from agent.vision.http_auth import Login
from agent.vision.http_connection import REDIRECTS, same_server
from agent.vision.tls import tls_context, untrusted
from agent.vision.udp_camera import listen

CODECS = frozenset({"H264", "H265", "JPEG", "MP4V-ES", "MPV", "MP2T", "VP8", "VP9", "AV1", "H263-1998"})
"""RTP payload names (RFC 3551 and its kin) that OpenCV's FFmpeg decodes."""
STATIC = {"26": "JPEG", "32": "MPV", "33": "MP2T"}
LONGEST = 64 * 1024
REFUSED = {
    403: "refuses us (403)",
    404: "there is no such stream (404)",
    453: "has no room for another viewer (453)",
    454: "has no room for another viewer (454)",
    461: "does not send over TCP (461)",
    503: "is too busy (503)",
}


async def probe_stream(url: str, within_s: float, trust: Trust = NO_TRUST) -> None:
    """Returns once the stream has sent something. OSError says in one line why it does not.

    ``trust`` says whose certificates are good, and whether a password may be given in clear text.
    """
    try:
        if kind_of(url) == "stream":
            await _ask_stream(url, within_s, trust)
    except ValueError as error:
        raise OSError(f"{redacted(url)}: {error}") from None


async def _ask_stream(url: str, within_s: float, trust: Trust) -> None:
    """`probe_stream` for a stream; ValueError where ``url`` or the answer is wrong."""
    where, parts = redacted(url), urlsplit(url)
    port = parts.port or SCHEMES[parts.scheme]
    call = _RtspClient(parts, trust)
    try:
        async with asyncio.timeout(within_s):
            await call.make(port)
    except TimeoutError:
        raise TimeoutError(f"{where}: {call.silence} in {within_s:g} s") from None
    except ConnectionRefusedError:
        raise ConnectionRefusedError(f"{where}: refused: nothing listens on port {port}") from None
    except socket.gaierror:
        raise OSError(f"{where}: no host is called {parts.hostname}") from None
    except ssl.SSLError as error:
        raise OSError(f"{where}: {untrusted(error, parts.hostname)}") from None
    except (ConnectionError, asyncio.IncompleteReadError):
        raise ConnectionError(f"{where}: it hung up before it sent anything") from None
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            raise OSError(f"{where}: no way to {parts.hostname}: is the network up?") from None
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"{where}: another program listens on port {port}") from None
        raise OSError(f"{where}: {error_reason(error)}") from None


async def _listen(host: str, port: int) -> None:
    """Waits for one datagram."""
    with listen(host, port) as ear:
        ear.setblocking(False)
        await asyncio.get_running_loop().sock_recv(ear, 1)


class _RtspClient:
    """One conversation; ``silence`` is what it means if there is no answer now. ValueError: a bad answer."""

    def __init__(self, parts: SplitResult, trust: Trust) -> None:
        self.silence = "no data came" if parts.scheme in ("udp", "rtp") else "no answer"
        self._parts = parts
        self._user, password = (unquote(one or "") for one in (parts.username, parts.password))
        encrypted = parts.scheme in ENCRYPTED
        self._tls = tls_context(trust) if encrypted else None
        self._login = Login(self._user, password, encrypted=encrypted, basic=trust.basic)
        self._count = 0

    async def make(self, port: int) -> None:
        host = self._parts.hostname or ""
        if self._parts.scheme in ("udp", "rtp"):
            await _listen(host, port)
            return
        speak = self._http if self._parts.scheme in ("http", "https") else self._rtsp
        for _ in range(2):  # HTTP wants a new connection for the login
            self._reader, self._writer = await asyncio.open_connection(
                host, port, limit=LONGEST, ssl=self._tls
            )
            try:
                if await speak(host, port):
                    break
            finally:
                self._writer.close()

    async def _http(self, host: str, port: int) -> bool:
        """Whether media came; False to try again with the login that it asks for."""
        self.silence = "it accepts, but no answer came"
        path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        status, heads, _ = await self._ask("GET", path, "HTTP/1.0", {"Host": f"{host}:{port}"})
        if status == 401 and self._login.challenged(_offered(heads)):
            return False
        if status in REDIRECTS:
            if same_server(self._parts.geturl(), dict(heads).get("location", "")) is None:
                raise ValueError("it redirects to another server; write that address as url, if it is right")
            return True  # it is followed when the stream is opened
        self._judge(status)
        if (kind := dict(heads).get("content-type", "")).startswith("text/html"):
            raise ValueError(f"a web page ({kind}), not a video; which path has the stream?")
        self.silence = "it answers, but no picture came"
        await self._reader.readexactly(1)
        return True

    async def _rtsp(self, host: str, port: int) -> bool:
        self.silence = "it accepts, but no answer came"
        name = f"[{host}]" if ":" in host else host
        query = f"?{self._parts.query}" if self._parts.query else ""
        url = f"{self._parts.scheme}://{name}:{port}{self._parts.path}{query}"
        status, heads, body = await self._ask("DESCRIBE", url, "RTSP/1.0", {"Accept": "application/sdp"})
        if status == 401 and self._login.challenged(_offered(heads)):
            more = {"Accept": "application/sdp"}
            status, heads, body = await self._ask("DESCRIBE", url, "RTSP/1.0", more)
        self._judge(status)
        base = dict(heads).get("content-base", url + "/")
        track = urljoin(base if base.endswith("/") else base + "/", _video(body.decode(errors="replace")))
        self.silence = "it answers, but no picture came"
        way = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        status, heads, _ = await self._ask("SETUP", track, "RTSP/1.0", way)
        self._judge(status)
        session = {"Session": dict(heads).get("session", "").partition(";")[0]}
        try:
            status, _, _ = await self._ask("PLAY", url, "RTSP/1.0", session)
            self._judge(status)
            while await self._interleaved() != 0:
                pass
        finally:
            self._send("TEARDOWN", url, "RTSP/1.0", session)
            with suppress(OSError):
                await self._writer.drain()
        return True

    def _judge(self, status: int) -> None:
        if status == 401:
            raise ValueError(
                f"user {self._user!r} or its password is refused (401)"
                if self._user
                else "it wants a user and a password (401)"
            )
        if status != 200:
            raise ValueError(REFUSED.get(status, f"it answers {status}"))

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

    async def _ask(
        self, method: str, uri: str, protocol: str, more: dict[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers (names in small letters) and, of RTSP, the body."""
        self._send(method, uri, protocol, more)
        while (first := await self._reader.readexactly(1)) == b"$":
            await self._rest()
        try:
            head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            head = ""
        start, *lines = head.split("\r\n")
        match = re.match(r"(RTSP|HTTP)/\d\.\d (\d{3})", start)
        if match is None or match[1] != protocol[:4]:
            raise ValueError(f"answers, but not in {protocol[:4]}")
        heads = [
            (name.strip().lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines)
        ]
        size = dict(heads).get("content-length", "0") if match[1] == "RTSP" else "0"
        if not size.isdigit() or int(size) > LONGEST:
            raise ValueError(f"answers with a body of {size[:20]} bytes")
        return int(match[2]), heads, await self._reader.readexactly(int(size))

    async def _interleaved(self) -> int:
        """The channel of the next RTP or RTCP packet."""
        while await self._reader.readexactly(1) != b"$":
            pass
        return await self._rest()

    async def _rest(self) -> int:
        channel, size = struct.unpack(">BH", await self._reader.readexactly(3))
        await self._reader.readexactly(size)
        return int(channel)


def _offered(heads: list[tuple[str, str]]) -> list[str]:
    return [value for name, value in heads if name == "www-authenticate"]


def _video(sdp: str) -> str:
    """The control address of the video in a session description. ValueError where we can't decode it."""
    medium = re.search(r"^m=video \d+ \S+ (\d+)[^\r\n]*(.*?)(?=^m=|\Z)", sdp, re.MULTILINE | re.DOTALL)
    if medium is None:
        raise ValueError("no video in this stream")
    number, lines = medium[1], medium[2]
    named = re.search(rf"^a=rtpmap:{number} ([^/\s]+)", lines, re.MULTILINE)
    codec = named[1].upper() if named else STATIC.get(number, f"payload {number}")
    if codec not in CODECS:
        raise ValueError(f"sends {codec}, which can't be decoded here; set the camera to H.264")
    control = re.search(r"^a=control:(\S+)", lines, re.MULTILINE)
    return control[1] if control else ""
