"""Binds the pages of NiceGUI to their sessions.

NiceGUI knows the browser of a message only by the client id in it. Here the web socket that brings it must
have the session that the page was drawn for, and be the one that the page opened.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from console.web.access import SESSION
from console.web.session import Session

MESSAGES = ("event", "javascript_response", "ack", "log")


def owner_of(client_id: str) -> Session | None:
    """The session that the client's page was drawn for."""
    from nicegui import Client

    client = Client.instances.get(client_id)
    found = None if client is None else client.request.scope.get(SESSION)
    return found if isinstance(found, Session) else None


def guard_sockets(sio: Any) -> None:
    """Puts the checks before the handlers of NiceGUI's socket server ``sio``. To be called once."""
    handlers = sio.handlers["/"]
    if getattr(sio, "is_guarded_by_ringpost", False):
        return
    sio.is_guarded_by_ringpost = True

    def session_of(sid: str) -> Session | None:
        found = sio.get_environ(sid).get("asgi.scope", {}).get(SESSION)
        return found if isinstance(found, Session) else None

    def may(sid: str, client_id: object) -> bool:
        session = session_of(sid)
        return isinstance(client_id, str) and session is not None and owner_of(client_id) is session

    connect, handshake = handlers["connect"], handlers["handshake"]

    async def checked_connect(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        from socketio.exceptions import ConnectionRefusedError as Refused

        ids = parse_qs(environ.get("QUERY_STRING", "")).get("client_id", [])
        if len(ids) != 1 or not may(sid, ids[0]):
            raise Refused("Implicit handshake failed")  # NiceGUI's page loads anew at these words
        await connect(sid, environ, auth)

    async def checked_handshake(sid: str, data: Any) -> bool:
        return isinstance(data, dict) and may(sid, data.get("client_id")) and bool(await handshake(sid, data))

    sio.on("connect", checked_connect)
    sio.on("handshake", checked_handshake)
    for name in MESSAGES:
        sio.on(name, _checked(handlers[name], may, lambda sid, client: client in sio.rooms(sid)))


def _checked(
    handler: Callable[[str, Any], Any], may: Callable[[str, object], bool], joined: Callable[[str, str], bool]
) -> Callable[[str, Any], Awaitable[None]]:
    async def checked(sid: str, message: Any = None) -> None:
        if not isinstance(message, dict) or not may(sid, message.get("client_id")):
            return
        if joined(sid, message["client_id"]):
            handler(sid, message)

    return checked
