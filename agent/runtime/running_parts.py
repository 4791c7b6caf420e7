"""The parts that run: each source, the link and the fallback notifier, with the settings of each.

Each part runs in a task of its own under `supervise`. A source may take over changed settings while it runs;
any other part ends and starts again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel

from agent.host.clock import monotonic_s
from agent.runtime.health import Health, Running
from agent.runtime.supervisor import FIRST_WAIT_S, LONGEST_WAIT_S, SHARED_FIRST_WAIT_S, supervise
from firmware_bridge.source import Latest, SourcePart

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class RunningParts:
    """All running parts by name; their states go into ``health``."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._settings: dict[str, BaseModel] = {}

    async def end_others(self, wanted: Mapping[str, BaseModel], restart: Collection[str] = ()) -> None:
        """Ends the parts that are not wanted any more, or not with the settings that they run with, and those
        of ``restart``."""
        for name in list(self.tasks):
            if name in restart or not _goes_on(self._settings[name], wanted.get(name)):
                await self.end(name)

    def adopt(self, wanted: Mapping[str, BaseModel]) -> list[str]:
        """Gives the running parts their settings; returns the names of those that have to be started.

        Call `end_others` before, so that only wanted parts run.
        """
        for name in self.tasks:
            if self._settings[name] != wanted[name]:
                self._settings[name] = wanted[name]
                self._health.renew(name, monotonic_s())
        return [name for name in wanted if name not in self.tasks]

    def start(
        self,
        name: str,
        part: BaseModel,
        run: Callable[[], Awaitable[None]],
        spawn: Spawn,
        *,
        speaks: bool,
        longest_wait_s: float | None,
        shared: bool = False,
    ) -> None:
        """Starts a part under supervision; silence is reported only of a part that ``speaks``. ``shared``: a
        whole fleet has the same other end, which must not be met by all at once."""
        self._settings[name] = part
        on_change = self.status_callback(name, speaks=speaks)
        job = supervise(
            name,
            run,
            on_change,
            longest_wait_s=longest_wait_s or LONGEST_WAIT_S,
            first_wait_s=SHARED_FIRST_WAIT_S if shared else FIRST_WAIT_S,
            full_jitter=shared,
        )
        self.tasks[name] = spawn(job)

    async def end(self, name: str) -> None:
        """Cancels a part, and waits until it has ended."""
        task = self.tasks.pop(name)
        task.cancel()
        try:
            await asyncio.wait([task])  # a cancellation of ours is not taken for the part's
        finally:
            self._health.forget(name)

    def latest(self, name: str) -> Latest:
        """The function that gives the present settings of a source; also while it ends."""

        def settings() -> SourcePart:
            part = self._settings[name]
            assert isinstance(part, SourcePart)  # noqa: S101  `_goes_on`: a part stays of one type
            return part

        return settings

    def status_callback(self, name: str, *, speaks: bool) -> Callable[[Running], None]:
        """The function that the supervisor calls with each change of state of the part ``name``."""
        return lambda running: self._health.set_running(name, running, monotonic_s(), speaks=speaks)


def _goes_on(part: BaseModel, wanted: BaseModel | None) -> bool:
    """Whether a part that runs with the settings ``part`` goes on under ``wanted``."""
    if isinstance(part, SourcePart) and isinstance(wanted, SourcePart):
        return part.goes_on_as(wanted)
    return part == wanted
