"""The limit on the time for a request's head ends with the head: it does not cut off a web socket."""

import asyncio
from typing import Any

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.web.http_protocol import BoundedProtocol


class Transport:
    aborted = False

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def waiting_protocol(monkeypatch: pytest.MonkeyPatch, *, upgrades: bool) -> tuple[BoundedProtocol, Transport]:
    """A protocol that has taken the bytes of one head."""

    def take(self: Any, _data: bytes) -> None:
        if upgrades:
            self.handle_websocket_upgrade(None)

    monkeypatch.setattr(H11Protocol, "data_received", take)
    monkeypatch.setattr(H11Protocol, "handle_websocket_upgrade", lambda *_: None)
    made, transport = BoundedProtocol.__new__(BoundedProtocol), Transport()
    made.loop, made.transport, made.cycle = asyncio.get_running_loop(), transport, None  # type: ignore[assignment]
    made._await_head()
    made.data_received(b"GET / HTTP/1.1\r\n")
    return made, transport


def test_a_web_socket_has_no_head_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def upgrade() -> None:
        made, transport = waiting_protocol(monkeypatch, upgrades=True)
        assert made._head_timer is None
        assert not transport.aborted

    asyncio.run(upgrade())


def test_half_a_head_is_waited_for_and_then_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def half() -> None:
        made, transport = waiting_protocol(monkeypatch, upgrades=False)
        assert made._head_timer is not None
        made._stop_waiting()
        made._too_slow()
        assert transport.aborted

    asyncio.run(half())
