"""One clean connection of a command to the broker: what each device reported, and who waits for it.

The session ends with the connection, the client id is random, and only messages on subscribed topics count
(docs/decisions/0029): two technicians never take each other's connection or answers.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agent.cli import broker_session
from agent.cli.broker_session import FIRST_FAILURE_CODE, check_subscribed, topic_matches
from agent.host.entropy import uniform
from agent.mqtt.connection import Connection
from agent.runtime.sanitize import json_object

FIRST_RETRY_S, MAX_RETRY_S = 0.5, 10.0
"""Backoff between attempts to reconnect: doubled after each failure, with jitter."""
SETTLED_S = 0.7
"""Retained messages arrive one after the other; after this time without one, all have arrived."""

T = TypeVar("T")
Observer = Callable[[str, str, bytes], None]
"""Takes device, topic below the device's, and payload."""


@dataclass
class Outgoing:
    """A message that the broker has not acknowledged yet."""

    topic: str
    payload: bytes
    retain: bool
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FleetLink:
    """Made by `fleet_link`."""

    def __init__(
        self, url: str, root: str, filters: Sequence[str], connection: Connection, note: Callable[[str], None]
    ) -> None:
        self.root = root
        self.reports: dict[str, dict[str, dict[str, Any]]] = {}
        """By device and topic: the newest JSON object."""
        self._live: Counter[tuple[str, str]] = Counter()
        self._order: dict[tuple[str, str], int] = {}
        self._messages = 0
        self.observers: list[Observer] = []
        self.note = note
        """Takes a line about the connection."""
        self._url, self._filters = url, filters
        self._connection = connection
        self._subscription: int | None = None
        self._sent: dict[int, Outgoing] = {}
        self._changed = asyncio.Event()
        self._subscribed = False
        self._last_s = 0.0
        self._error: OSError | None = None

    def report(self, device: str, topic: str) -> dict[str, Any]:
        """The newest JSON object of a topic; empty where none came."""
        return self.reports.get(device, {}).get(topic, {})

    def mark(self, device: str, topic: str) -> Callable[[], bool]:
        """Says later whether a newer message came: a retained one may be the answer to an earlier order."""
        before, live = self.report(device, topic), self._live[device, topic]
        return lambda: self._live[device, topic] > live or self.report(device, topic) != before

    def is_later(self, device: str, topic: str, other: str) -> bool:
        """Whether the newest message of ``topic`` was made after that of ``other``, or came after it."""
        made, other_made = self.report(device, topic).get("at"), self.report(device, other).get("at")
        if isinstance(made, str) and isinstance(other_made, str):
            return made >= other_made
        return self._order.get((device, topic), 0) > self._order.get((device, other), 0)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Returns once the broker has the message. OSError where it refuses it, or is lost for good."""
        outgoing = Outgoing(topic, payload, retain)
        self._send(outgoing)
        if self._error is not None:
            raise self._error
        await outgoing.done

    async def until(self, check: Callable[[], T | None], within_s: float) -> T | None:
        """The first true result of ``check``, tried at each message; None after ``within_s``.

        OSError where the connection is lost for good, or a subscription is refused.
        """
        end_s = asyncio.get_running_loop().time() + within_s
        while not (found := check()):
            if self._error is not None:
                raise self._error
            changed = self._changed
            try:
                async with asyncio.timeout_at(end_s):
                    await changed.wait()
            except TimeoutError:
                return check()
        return found

    async def settle(self, within_s: float = 5.0) -> None:
        """Returns once the retained messages have arrived. OSError as `until`."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + within_s
        while loop.time() < end_s and not (self._subscribed and loop.time() - self._last_s > SETTLED_S):
            await self.until(lambda: None, 0.1)

    def _send(self, outgoing: Outgoing) -> None:
        number = self._connection.publish(outgoing.topic, outgoing.payload, 1, outgoing.retain)
        self._sent[number] = outgoing

    def subscribe(self) -> None:
        """Before anything is published: an answer may come within milliseconds."""
        self._subscription = self._connection.subscribe(self._filters)

    async def run(self, *, reconnects: bool) -> None:
        """Takes messages for ever; after a loss it connects again where ``reconnects``."""
        try:
            while True:
                try:
                    await self._take_messages()
                except ConnectionError as error:
                    if not reconnects:
                        raise
                    await self._reconnect(str(error))
        except OSError as error:
            self._error = error
            for outgoing in self._sent.values():
                if not outgoing.done.done():
                    outgoing.done.set_exception(error)
            self._wake()

    async def _take_messages(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            match await self._connection.event(0.5):
                case ("lost", reason):
                    raise ConnectionError(f"connection lost: {reason}")
                case ("subscribed", number, codes) if number == self._subscription:
                    check_subscribed(self._filters, codes)
                    self._subscribed, self._last_s = True, loop.time()
                case ("published", number, code):
                    self._on_acknowledged(number, code)
                case ("message", message):
                    self._connection.acknowledge(message)
                    self._last_s = loop.time()
                    if any(topic_matches(message.topic, topic) for topic in self._filters):
                        self._on_message(message.topic, message.payload, bool(message.retain))

    def _on_acknowledged(self, number: int, code: Any) -> None:
        outgoing = self._sent.pop(number, None)
        if outgoing is None or outgoing.done.done():
            return
        if code.value >= FIRST_FAILURE_CODE:
            error = OSError(f"refused to publish {outgoing.topic}: {str(code).lower()}: see the broker's ACL")
            outgoing.done.set_exception(error)
        else:
            outgoing.done.set_result(None)

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        device, _, below = topic.removeprefix(self.root + "/").partition("/")
        body = json_object(payload)
        if body is not None:
            self.reports.setdefault(device, {})[below] = body
            self._live[device, below] += not retained
            self._messages += 1
            self._order[device, below] = self._messages
        for observer in tuple(self.observers):
            observer(device, below, payload)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _reconnect(self, problem: str) -> None:
        """Connects again and repeats what was not acknowledged; a device takes the same push once."""
        self._connection.close()
        wait_s = FIRST_RETRY_S
        while True:
            self.note(f"{problem}; retrying")
            await asyncio.sleep(wait_s * uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, MAX_RETRY_S)
            try:
                self._connection = await broker_session.open_session(self._url)
                break
            except OSError as error:
                problem = str(error)
        self.note("reconnected")
        self.subscribe()
        unsent, self._sent = list(self._sent.values()), {}
        for outgoing in unsent:
            self._send(outgoing)

    def close(self) -> None:
        """Disconnects."""
        self._connection.close()


@asynccontextmanager
async def fleet_link(
    url: str,
    root: str,
    filters: Sequence[str],
    *,
    reconnects: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[FleetLink]:
    """A connection that subscribes to ``filters``: topics with ``+`` as any one level of their end or device.

    OSError: the broker is not reached.
    """
    link = FleetLink(url, root, filters, await broker_session.open_session(url), note)
    link.subscribe()
    task = asyncio.ensure_future(link.run(reconnects=reconnects))
    try:
        yield link
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        link.close()
