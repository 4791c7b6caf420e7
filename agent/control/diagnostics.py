"""``command/diagnostics``: what support asks for first, as results of at most 8 KiB in numbered parts."""

import asyncio
import platform
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import CoroutineType
from typing import Any

from pydantic import BaseModel

from agent.commands.commands import State
from agent.commands.requests import Command
from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.config.secret_filter import SecretFilter
from agent.domain.message import encode
from agent.host.clock import monotonic_s
from agent.outbox.outbox import Outbox
from agent.reporting.reporter import Reporter
from agent.runtime.native_calls import abandoned_threads
from agent.runtime.recent_warnings import RECENT
from agent.runtime.sanitize import json_object
from agent.runtime.versions import versions
from firmware_bridge.secret import Secret

PART_BYTES = 6 * 1024
"""The facts of one part; the rest of a result is for its other fields."""
MAX_PARTS = 8
MAX_TASKS = 40


class Diagnostics:
    """Carries out ``diagnostics``."""

    def __init__(
        self,
        deployment: Deployment,
        outbox: Outbox,
        reporter: Reporter,
        running: Callable[[], Config],
        send_result: Callable[[Mapping[str, Any]], Awaitable[None]],
        spawn: Callable[[Any], object],
    ) -> None:
        self._deployment = deployment
        self._outbox = outbox
        self._reporter = reporter
        self._running = running
        self._send_result = send_result
        self._spawn = spawn
        self._busy = False
        self._started_s = monotonic_s()

    async def command(self, _: Command, result: Mapping[str, Any]) -> State:
        """The parts follow as further results; the last one is ``succeeded``."""
        if self._busy:
            raise ValueError("diagnostics are under way: one at a time")
        self._busy = True
        self._spawn(self._send(result))
        return "accepted"

    async def _send(self, result: Mapping[str, Any]) -> None:
        try:
            facts = await self._facts()
            secrets = await asyncio.to_thread(SecretFilter.of, list(secrets_of(self._running())))
            parts = list(split(await asyncio.to_thread(cleaned, facts, secrets)))
            for number, part in enumerate(parts[:MAX_PARTS], 1):
                last = number == min(len(parts), MAX_PARTS)
                fields = {"part": number, "parts": min(len(parts), MAX_PARTS), "facts": part}
                fields |= {"cut_off": True} if last and len(parts) > MAX_PARTS else {}
                await self._send_result({**result, "state": "succeeded" if last else "accepted", **fields})
        finally:
            self._busy = False

    async def _facts(self) -> dict[str, Any]:
        """All facts, by section; each is a mapping or a list."""
        threads = Counter(thread.name.rstrip("0123456789_-") for thread in threading.enumerate())
        tasks = Counter(_task_name(task) for task in asyncio.all_tasks())
        health = json_object(self._reporter.last_health) or {}
        return {
            "versions": versions(),
            "process": {
                "up_s": round(monotonic_s() - self._started_s),
                "machine": platform.machine(),
                "hanging_threads": abandoned_threads(0.0),
                "threads": dict(threads.most_common(MAX_TASKS)),
                "tasks": dict(tasks.most_common(MAX_TASKS)),
            },
            "config": self._deployment.reported(),
            "queue": dict(await self._outbox.depth()),
            "disk": dict(self._outbox.troubles),
            "reasons": self._reporter.reasons(monotonic_s()),
            "health": [{key: value} for key, value in health.items() if key not in ("parts", "reasons")],
            "parts": health.get("parts", []),
            "warnings": list(RECENT),
        }


def _task_name(task: "asyncio.Task[Any]") -> str:
    work = task.get_coro()
    return work.__qualname__ if isinstance(work, CoroutineType) else "?"


def secrets_of(model: Any) -> Iterator[Secret]:
    """Each secret that a configuration names."""
    if isinstance(model, Secret):
        yield model
    elif isinstance(model, BaseModel):
        yield from secrets_of(dict(model))
    elif isinstance(model, Mapping):
        for value in model.values():
            yield from secrets_of(value)


def cleaned(value: Any, secrets: SecretFilter) -> Any:
    """``value`` with each text in it cleaned."""
    if isinstance(value, str):
        return secrets.clean(value)
    if isinstance(value, Mapping):
        return {str(key): cleaned(one, secrets) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(one, secrets) for one in value]
    return value


def split(facts: Mapping[str, Any], part_bytes: int = PART_BYTES) -> Iterator[dict[str, Any]]:
    """``facts`` in parts of at most ``part_bytes``. Lists go on in the next; larger entries are left out."""
    part: dict[str, Any] = {}
    size = 0
    for name, value in facts.items():
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            entry_size = len(encode({name: entry})) + 1
            if entry_size > part_bytes:
                entry, entry_size = "left out: too large", 64 + len(name)  # noqa: PLW2901
            if part and size + entry_size > part_bytes:
                yield part
                part, size = {}, 0
            if isinstance(value, list):
                part.setdefault(name, []).append(entry)
            else:
                part[name] = entry
            size += entry_size
    yield part
