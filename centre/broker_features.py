"""``ringpost centre --check``: whether a broker does what the protocol asks of it, tried with real messages.

All topics are below ``<root>/host/probe/``, which no device has.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from agent.host.entropy import token_hex
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_either
from agent.runtime.error_text import describe_error
from centre.share_probe import share_problem

WITHIN_S = 5.0
EXPIRY_S = 60
"""Of the session that is left and resumed."""


@dataclass(frozen=True, slots=True)
class Feature:
    """The result of one probe. ``needed``: a centre of one process does not work without it."""

    name: str
    problem: str | None
    needed: bool = True

    @property
    def state(self) -> Literal["ok", "warning", "failed"]:
        if self.problem is None:
            return "ok"
        return "failed" if self.needed else "warning"


async def broker_features(broker: Broker, root: str, *, fall_back: bool = True) -> list[Feature]:
    """Tries each feature on connections of its own. OSError where the broker is not reached."""
    probe = _Probe(broker, f"{root}/host/probe/{token_hex(6)}", fall_back)
    async with probe.connection() as connection:
        version = "5" if connection.mqtt5 else "3.1.1"
    tried: dict[str, Callable[[], Awaitable[str | None]]] = {
        "QoS 1 from one client to another": probe.delivers,
        "retained messages for a subscription with wildcards": probe.retains,
        "last will": probe.wills,
        "a session that outlives its connection": probe.keeps_sessions,
    }
    found = [Feature(f"MQTT {version}", None)]
    for name, one in tried.items():
        try:
            problem = await one()
        except OSError as error:
            problem = describe_error(error)
        found.append(Feature(name, problem))
    try:
        problem = await share_problem(broker, root)
    except OSError as error:
        problem = describe_error(error)
    found.append(Feature("shared subscriptions, for several workers", problem, needed=False))
    return found


@dataclass(frozen=True, slots=True)
class _Probe:
    _broker: Broker
    _topic: str
    _fall_back: bool

    @asynccontextmanager
    async def connection(
        self, client_id: str = "", will: tuple[str, bytes] | None = None, expiry_s: int = 0, end_s: int = 0
    ) -> AsyncIterator[Connection]:
        connection = await open_either(
            self._broker,
            client_id or f"ringpost-probe-{token_hex(6)}",
            will,
            session_expiry_s=expiry_s,
            will_delay_s=0,
            fall_back=self._fall_back,
        )
        try:
            yield connection
        finally:
            connection.close(session_expiry_s=end_s)

    async def delivers(self) -> str | None:
        async with self.connection() as receiver, self.connection() as sender:
            await _subscribed(receiver, f"{self._topic}/+")
            sender.publish(f"{self._topic}/a", b"{}", 1, False)
            return _unless(await _message(receiver), "no message arrived: may this client read and write it?")

    async def retains(self) -> str | None:
        topic = f"{self._topic}/retained"
        async with self.connection() as sender:
            sender.publish(topic, b"{}", 1, True)
            await _published(sender)
            try:
                async with self.connection() as receiver:
                    await _subscribed(receiver, f"{self._topic}/+")
                    message = await _message(receiver)
            finally:
                sender.publish(topic, b"", 1, True)
                await _published(sender)
        text = "a new subscription with a wildcard got none: a centre knows no device until its next message"
        return _unless(message, text)

    async def wills(self) -> str | None:
        async with self.connection() as receiver:
            await _subscribed(receiver, f"{self._topic}/+")
            async with self.connection(will=(f"{self._topic}/will", b"{}")) as dying:
                dying.close(with_will=True)
            try:
                return _unless(await _message(receiver), "none came: nobody is told that a device is gone")
            finally:
                receiver.publish(f"{self._topic}/will", b"", 1, True)
                await _published(receiver)

    async def keeps_sessions(self) -> str | None:
        client_id = f"ringpost-probe-{token_hex(6)}"
        async with self.connection(client_id, expiry_s=EXPIRY_S, end_s=EXPIRY_S) as first:
            await _subscribed(first, f"{self._topic}/+")
        async with self.connection() as sender:
            sender.publish(f"{self._topic}/a", b"{}", 1, False)
            await _published(sender)
        async with self.connection(client_id, expiry_s=EXPIRY_S) as again:
            if not again.resumed:
                return "the session was gone: messages for a device that reconnects are lost"
            found = _unless(await _message(again), "the session was there, the message in it not")
        if not again.mqtt5:  # a clean session removes what 3.1.1 keeps for ever
            async with self.connection(client_id):
                pass
        return found


def _unless(found: Any, problem: str) -> str | None:
    return problem if found is None else None


async def _event(connection: Connection, kind: str) -> tuple[Any, ...] | None:
    """The next event of a kind; messages that come before it are dropped. None after `WITHIN_S`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            while True:
                event = await connection.event(0.5)
                match event:
                    case ("lost", reason):
                        raise OSError(f"the connection was ended: {reason}")
                    case (found, *_) if found == kind:
                        return event
    return None


async def _subscribed(connection: Connection, topic: str) -> None:
    connection.subscribe([topic])
    event = await _event(connection, "subscribed")
    if event is None or any(code.value >= 0x80 for code in event[2]):
        raise OSError(f"not allowed to subscribe to {topic}")


async def _published(connection: Connection) -> None:
    event = await _event(connection, "published")
    if event is None or event[2].value >= 0x80:
        raise OSError(
            "not allowed to publish below host/probe" if event else "a message was not acknowledged"
        )


async def _message(connection: Connection) -> Any:
    event = await _event(connection, "message")
    if event is not None:
        connection.acknowledge(event[1])
    return event
