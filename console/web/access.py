"""Who may come in: a session for each request, limits, and the headers of each answer. Plain ASGI, so that it
holds for pages, files and the web socket alike."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from console.web.headers import NONCE, new_nonce, with_headers
from console.web.login_limits import network_of
from console.web.session import Session, Sessions

LOGIN = "/login"
OPEN = frozenset({LOGIN, "/static/login.css", "/favicon.ico"})
"""Paths without a session."""
SOCKET = "/_nicegui_ws/"
FRAMEWORK = ("/_nicegui", "/static/")
SESSION = "ringpost.session"
"""Where the ASGI scope keeps the session of a request."""
MAX_BODY = 1 << 20
MAX_URL, MAX_COOKIE = 4096, 4096
BODY_WITHIN_S = 15.0
AT_ONCE, AT_ONCE_EACH = 128, 48
"""Requests under way of all addresses, and of one; an open web socket is one."""
STRANGERS_AT_ONCE, STRANGERS_AT_ONCE_EACH = 64, 16
"""Those of them without a session: they leave room for those who have one."""
TOO_MANY = 503, "Too many requests at once"
METHODS = frozenset({"GET", "HEAD", "POST"})
FORWARDED = re.compile(rb"x-forwarded-.*|forwarded|x-real-ip|nicegui-.*|x-http-method.*")
"""Headers that only a proxy may set, and none stands before this server."""
INPUT = re.compile(r'\d*\["event"')
"""A message of the web socket in which somebody does something, rather than the browser by itself."""

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AccessGate:
    """Lets a request pass with a session, from the same origin, under a host name of ours, within limits.

    ``owner`` gives the session of a client of NiceGUI by its id: files of one are no other's.
    """

    def __init__(
        self,
        app: Any,
        sessions: Sessions,
        hosts: Iterable[str],
        cookie: str,
        *,
        tls: bool = False,
        owner: Callable[[str], Session | None] = lambda _: None,
    ) -> None:
        self._app, self._sessions, self._cookie = app, sessions, cookie
        self._hosts, self._tls, self._owner = frozenset(host.lower() for host in hosts), tls, owner
        self._under_way: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope[NONCE] = new_nonce()
        network = _network(scope)
        if _is_full(self._under_way, network, AT_ONCE, AT_ONCE_EACH):
            await self._refuse(scope, receive, send, *TOO_MANY)
            return
        with _counted(self._under_way, network):
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [one for one in scope["headers"] if FORWARDED.fullmatch(one[0]) is None]
        headers = Headers(scope=scope)
        if (refused := self._malformed(scope, headers)) is not None:
            await self._refuse(scope, receive, send, *refused)
            return
        session = self._sessions.find(cookie_of(headers, self._cookie))
        scope[SESSION] = session
        if session is None and scope["path"] not in OPEN:
            await self._refuse(scope, receive, send, 401, "Log in first")
        elif session is not None and self._is_another_s(scope["path"], session):
            await self._refuse(scope, receive, send, 404, "Not found")
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send, session)
        elif session is None:
            await self._stranger(scope, receive, send)
        else:
            if not scope["path"].startswith(FRAMEWORK) and _is_visit(scope, headers):
                self._sessions.touch(session)
            await self._app(scope, _bounded(receive), with_headers(scope, send, tls=self._tls))

    async def _stranger(self, scope: Scope, receive: Receive, send: Send) -> None:
        network = _network(scope)
        if _is_full(self._strangers, network, STRANGERS_AT_ONCE, STRANGERS_AT_ONCE_EACH):
            await self._refuse(scope, receive, send, *TOO_MANY)
            return
        with _counted(self._strangers, network):
            await self._app(scope, _bounded(receive), with_headers(scope, send, tls=self._tls))

    def _malformed(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """What is wrong with a request, whoever sends it."""
        path: str = scope["path"]
        if scope["type"] == "http" and scope["method"] not in METHODS:
            return 405, "Method not allowed"
        if (
            len(path) + len(scope.get("query_string", b"")) > MAX_URL
            or len(headers.get("cookie", "")) > MAX_COOKIE
        ):
            return 414, "Too long"
        if ".." in path.split("/") or not path.isprintable() or "\\" in path or not path.startswith("/"):
            return 400, "Bad path"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > MAX_BODY:
            return 413, "Too large"
        if not self._is_our_host(headers.getlist("host")):
            return (
                421,
                "This server is not known under that name: use a name of its certificate, or localhost",
            )
        if not self._is_our_origin(scope, headers):
            return 403, "Requests from other sites are refused"
        if scope["type"] == "http" and path.startswith(SOCKET):
            return 403, "Web sockets only"
        return None

    def _is_our_host(self, hosts: list[str]) -> bool:
        """No page of another site may reach us under a name of its own (DNS rebinding)."""
        if len(hosts) != 1:
            return False
        name = hosts[0].lower()
        bare = name if name.endswith("]") else name.rpartition(":")[0] or name
        wild = f"*.{bare.partition('.')[2]}"
        return bare in self._hosts or (wild in self._hosts and "." in bare)

    def _is_our_origin(self, scope: Scope, headers: Headers) -> bool:
        """What changes something, and the web socket, must come from a page of ours."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        scheme = "https" if self._tls else "http"
        if origin is not None:
            return origin.lower() == f"{scheme}://{headers['host']}".lower()
        if scope["type"] == "websocket" or scope["method"] == "POST":
            return False
        return site in (None, "same-origin", "none") or headers.get("sec-fetch-mode") == "navigate"

    def _is_another_s(self, path: str, session: Session) -> bool:
        """Whether the path belongs to a page that another session opened."""
        found = re.match(r"/_nicegui/client/([^/]+)/", path)
        return found is not None and self._owner(found[1]) is not session

    async def _socket(self, scope: Scope, receive: Receive, send: Send, session: Session | None) -> None:
        """A web socket; it ends with its session."""
        assert session is not None  # noqa: S101  the web socket is not open
        over = asyncio.ensure_future(session.ended.wait())

        async def receive_until_end() -> Message:
            message = asyncio.ensure_future(receive())
            await asyncio.wait({message, over}, return_when=asyncio.FIRST_COMPLETED)
            if session.ended.is_set():
                message.cancel()
                await send({"type": "websocket.close", "code": 1008, "reason": "the session has ended"})
                return {"type": "websocket.disconnect", "code": 1008}
            found = message.result()
            if INPUT.match(found.get("text") or ""):
                self._sessions.touch(session)
            return found

        async def send_until_end(message: Message) -> None:
            if not session.ended.is_set():
                await send(message)

        try:
            await self._app(scope, receive_until_end, send_until_end)
        finally:
            over.cancel()

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        shown = status == 401 and scope["method"] == "GET" and not scope["path"].startswith(FRAMEWORK)
        answer: Response = RedirectResponse(LOGIN, 303) if shown else PlainTextResponse(text, status)
        await answer(scope, receive, with_headers(scope, send, tls=self._tls))


def cookie_of(headers: Headers, name: str) -> str | None:
    """The value of the cookie ``name``; None where it is absent, or there more than once."""
    values = [
        value
        for line in headers.getlist("cookie")
        for part in line.split(";")
        for key, _, value in [part.strip().partition("=")]
        if key.strip() == name
    ]
    return values[0] if len(values) == 1 else None


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Whether somebody opens a page or sends a form; pictures that a page fetches do not count."""
    return scope["method"] == "POST" or headers.get("sec-fetch-dest") in (None, "document")


def _network(scope: Scope) -> str:
    return network_of((scope.get("client") or ("",))[0])


def _is_full(under_way: Counter[str], network: str, most: int, most_each: int) -> bool:
    return under_way.total() >= most or under_way[network] >= most_each


@contextmanager
def _counted(under_way: Counter[str], network: str) -> Iterator[None]:
    under_way[network] += 1
    try:
        yield
    finally:
        under_way[network] -= 1
        if not under_way[network]:
            del under_way[network]


def _bounded(receive: Receive) -> Receive:
    """``receive`` for a body that is whole within its time and size; else the client counts as gone."""
    left, whole = MAX_BODY, False
    until_s = asyncio.get_running_loop().time() + BODY_WITHIN_S

    async def receive_bounded() -> Message:
        nonlocal left, whole
        if whole:
            return await receive()  # waits for the end of the connection
        try:
            async with asyncio.timeout_at(until_s):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        left -= len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message if left >= 0 else {"type": "http.disconnect"}

    return receive_bounded
