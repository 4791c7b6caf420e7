"""The commands about configurations: confirm one on trial, roll back, list the kept ones, show one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.commands.commands import State
from agent.commands.requests import Command, ConfigConfirm, ConfigGet, ConfigRollback
from agent.commands.results import MAX_RESULT
from agent.config.deployment import Deployment
from agent.config.history import history_entries
from agent.config.ledger import PushResult, Version
from agent.config.push import Push, Rollback
from agent.control.order_gate import OrderGate
from agent.domain.message import encode

PART_BYTES = MAX_RESULT - 1024
"""The text of a configuration in one result, as JSON has it; the other fields need the rest."""


class ConfigCommands:
    """Carries out ``config_confirm``, ``config_rollback``, ``config_history`` and ``config_get``."""

    def __init__(
        self,
        deployment: Deployment,
        pushes: asyncio.Queue[Push | Rollback],
        gate: Callable[[], OrderGate],
        send_result: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        self._deployment = deployment
        self._pushes = pushes
        self._gate = gate
        self._send_result = send_result

    async def confirm(self, command: Command, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keeps the revision that waits for it; on disk before it is answered."""
        wanted = ConfigConfirm.model_validate(command.model_dump())
        await self._deployment.confirm(wanted.revision)
        return {"revision": wanted.revision}

    async def roll_back(self, command: Command, result: Mapping[str, Any]) -> State:
        """Queues a rollback; a second result reports its end."""
        wanted = ConfigRollback.model_validate(command.model_dump())

        async def done(outcome: PushResult) -> None:
            state = "succeeded" if outcome.state == "applied" else "failed"
            fields = {"revision": outcome.revision, "target": outcome.target, "reason": outcome.reason}
            errors = outcome.errors[:1]
            await self._send_result(
                {**result, "state": state, **fields, **({"errors": errors} if errors else {})}
            )

        authorize, key_ids = self._gate().present_signers()
        try:
            self._pushes.put_nowait(Rollback(wanted.to_revision, wanted.target, authorize, key_ids, done))
        except asyncio.QueueFull:
            raise ValueError("too many pushes wait: try again later") from None
        return "accepted"

    async def history(self, _: Command, __: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration in force, the earlier ones, and pushes without effect, the newest first."""
        return {"revisions": history_entries(self._deployment.ledger)}

    async def get(self, command: Command, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """The text of a kept configuration, in numbered parts; secrets are never in it."""
        wanted = ConfigGet.model_validate(command.model_dump())
        ledger = self._deployment.ledger
        version: Version | None = ledger.active
        if wanted.revision is not None and (wanted.revision, wanted.target) != (
            ledger.active.revision,
            ledger.active.target,
        ):
            version = ledger.find(wanted.revision, wanted.target)
        if version is None:
            raise ValueError(f"revision {wanted.revision} is not kept; see config_history")
        parts = text_parts(version.text)
        fields = {"revision": version.revision, "target": version.target, "sha256": version.sha256}
        for number, text in enumerate(parts[:-1], 1):
            part = {**fields, "text": text, "part": number, "parts": len(parts)}
            await self._send_result({**result, "state": "accepted", **part})
        return {**fields, "text": parts[-1], "part": len(parts), "parts": len(parts)}


def text_parts(text: str) -> list[str]:
    """The text in parts, each of at most `PART_BYTES` as JSON."""
    parts: list[str] = []
    rest = text
    while rest or not parts:
        count = len(rest)
        while len(encode(rest[:count])) > PART_BYTES:
            count = count * 3 // 4
        parts.append(rest[:count])
        rest = rest[count:]
    return parts
