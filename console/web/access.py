"""Who may come in: a session for each request, and the headers of each answer. Plain ASGI, so that it holds
for pages, files and the web socket alike."""

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response

from console.web.session import Session, Sessions

COOKIE = "ringpost_session"
LOGIN = "/login"
OPEN = (LOGIN, "/static/")
"""Paths without a session."""
CSP = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; font-src 'self';"
    " img-src 'self' data: blob:; media-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; worker-src 'self' blob:"
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class AccessGate:
    """Lets a request pass with a session, from the same origin, under a host name of ours."""

    def __init__(self, app: Any, sessions: Sessions, hosts: frozenset[str]) -> None:
        self._app, self._sessions, self._hosts = app, sessions, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._is_ours(headers):
            await self._refuse(scope, receive, send, 403)
        elif not scope["path"].startswith(OPEN) and session_of(headers, self._sessions) is None:
            await self._refuse(scope, receive, send, 401)
        else:
            await self._app(scope, receive, self._with_headers(send))

    def _is_ours(self, headers: Headers) -> bool:
        """Whether host and origin are ours: no page of another site may use the session of a browser."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host.rpartition(":")[0] not in self._hosts and host not in self._hosts:
            return False
        return origin is None or origin.partition("://")[2] == host

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        to_login = status == 401 and scope["method"] == "GET" and not scope["path"].startswith("/_nicegui")
        answer: Response = RedirectResponse(LOGIN, 303) if to_login else Response(status_code=status)
        await answer(scope, receive, self._with_headers(send))

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = CSP
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
            await send(message)

        return send_with_headers


def session_of(headers: Headers, sessions: Sessions) -> Session | None:
    """The session of the cookie in ``headers``."""
    cookie = SimpleCookie()
    cookie.load(headers.get("cookie", ""))
    morsel = cookie.get(COOKIE)
    return sessions.find(morsel.value if morsel else None)
