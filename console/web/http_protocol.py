"""uvicorn's HTTP/1.1 with limits on the number of connections, and on the time for a request's head."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_S = 10.0
MAX_HEAD = 16 * 1024
MAX_CONNECTIONS = 192
"""Beyond it the one that waits for longest makes room; `console.web.listening` drops what is far beyond."""


class BoundedProtocol(H11Protocol):
    """Closes a connection whose request does not come within `HEAD_WITHIN_S`: it holds up nobody else."""

    _head_timer: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._upgraded:  # a web socket has its own protocol from here on
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._head_timer is None and not self.transport.is_closing():
            self._await_head()  # a further request on this connection has begun

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._stop_waiting()
        self._upgraded = True
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """Ends the connection that has waited for its request for longest: a new one may be somebody's."""
        waiting = {
            one._head_timer.when(): one
            for one in self.connections
            if isinstance(one, BoundedProtocol) and one._head_timer is not None
        }
        waiting[min(waiting)].transport.abort()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
