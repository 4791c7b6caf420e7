"""``command/restart_part``: ends a source or the link, and starts it again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from agent.commands.commands import State
from agent.commands.requests import Command, RestartPart
from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.domain.yaml_loader import alternatives
from agent.mqtt.link import Link
from agent.runtime.running_parts import RunningParts

log = structlog.get_logger()

OF_BROKER = ("link", "elsewhere")
"""The parts whose settings are those of the broker."""
END_WITHIN_S = 10.0
"""A part that takes longer to end is left to itself, and a new one starts beside it."""


class PartRestarts:
    """Carries out ``restart_part``."""

    def __init__(
        self,
        parts: RunningParts,
        start: Callable[[str, Any], None],
        link: Link,
        deployment: Deployment,
        running: Callable[[], Config],
        send_result: Callable[[Mapping[str, Any]], Awaitable[None]],
        spawn: Callable[[Any], object],
    ) -> None:
        """``start`` starts a part with its settings; ``running`` gives the configuration that runs."""
        self._parts = parts
        self._start = start
        self._link = link
        self._running = running
        self._deployment = deployment
        self._send_result = send_result
        self._spawn = spawn

    async def command(self, command: Command, result: Mapping[str, Any]) -> State:
        """ValueError: there is no such part, or a configuration is on trial."""
        name = RestartPart.model_validate(command.model_dump()).part
        if name not in self._parts.tasks:
            raise ValueError(f"no part {name!r}; {alternatives(name, self._parts.tasks)}")
        if self._deployment.ledger.trial is not None:
            raise ValueError("a configuration is on trial: wait for its end")
        self._spawn(self._restart(name, result))
        return "accepted"

    async def _restart(self, name: str, result: Mapping[str, Any]) -> None:
        if name == "link":
            await self._link.settled()
        if name not in self._parts.tasks:
            await self._send_result({**result, "state": "failed", "reason": f"{name} has ended meanwhile"})
            return
        fields: dict[str, Any] = {}
        log.warning("part_restarts", part=name, reason="by command")
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self._parts.end(name)
        except TimeoutError:
            fields["note"] = f"the part before has not ended within {END_WITHIN_S:g} s"
        finally:
            config = self._running()
            part = config.sources.get(name, config.broker if name in OF_BROKER else None)
            if name not in self._parts.tasks and part is not None:  # else the configuration was changed
                self._start(name, part)
        await self._send_result({**result, "state": "succeeded", **fields})
