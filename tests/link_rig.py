"""A link under supervision, against a scripted broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.alerts.latency import LatencyLedger
from agent.domain.message import Lane, Message, encode, new_id
from agent.host.clock import since_boot_s
from agent.mqtt.broker import Broker
from agent.mqtt.envelope import Envelope
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.runtime.health import Running
from agent.runtime.supervisor import supervise
from tests.scripted_broker import (
    Publish,
    ScriptedBroker,
)

SPEAKER = Envelope(device="d")


UP = SPEAKER.prefix


def message(lane: Lane = "alert", size: int = 0, **more: Any) -> Message:
    """A message that can be told from others by its id."""
    identity = new_id()
    topic = more.pop("topic", {"telemetry": "telemetry/gnss", "result": "command/result"}.get(lane, lane))
    body = encode({"id": identity, "filling": "x" * size})
    return Message(lane=lane, topic=topic, id=identity, body=body, **more)


def status(session: int) -> list[Message]:
    return [message("status", retain=True)]


def clock_ahead(by_s: float) -> Callable[[], float]:
    return lambda: since_boot_s() + by_s


async def nothing(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
    pass


class Run:
    """A link under supervision, with short waits."""

    def __init__(self, link: Link, outbox: Outbox, latency: LatencyLedger | None = None) -> None:
        self.link = link
        self.latency = latency or LatencyLedger()
        self.outbox = outbox
        self.states: list[Running] = []
        self.task: asyncio.Task[None] | None = None

    def start(self, broker: Broker) -> None:
        job = supervise("link", lambda: self.link.run(broker), self.states.append, longest_wait_s=0.05)
        self.task = asyncio.ensure_future(job)

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    async def owed(self, lane: Lane) -> int:
        return (await self.outbox.depth())[lane]


@asynccontextmanager
async def run(
    folder: Path,
    broker: ScriptedBroker | None,
    *,
    heard: Callable[[str, bytes, str | None], Any] = nothing,
    birth_messages: Callable[[int], Sequence[Message]] = status,
    owed: Sequence[Message] = (),
    **fields: Any,
) -> AsyncIterator[Run]:
    """A link with an outbox in ``folder`` that owes ``owed``, connected to ``broker``."""
    outbox = await asyncio.to_thread(Outbox.open, folder, 32_000_000)
    latency = LatencyLedger()
    one = Run(Link(SPEAKER, outbox, birth_messages, heard, latency), outbox, latency)
    try:
        if owed:
            await outbox.put(*owed)
        if broker is not None:
            one.start(Broker(**{"url": broker.url, **fields}))
        yield one
    finally:
        await one.end()
        await asyncio.to_thread(outbox.close)


def ids(published: Sequence[Publish], topic: str = "alert") -> list[str]:
    return [json.loads(one.payload)["id"] for one in published if one.topic == f"{UP}/{topic}"]


async def not_owed(one: Run, lane: Lane) -> bool:
    return await one.owed(lane) == 0
