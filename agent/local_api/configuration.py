"""``config`` and ``order``: the configuration of the device, and signed bytes for the gate."""

import asyncio
from datetime import timedelta
from typing import Any

from agent.config.history import history_entries
from agent.config.loader import digest
from agent.domain.message import stamp
from agent.domain.yaml_loader import BadConfig, read_text
from agent.host.clock import utc_now
from agent.local_api.parts import AgentParts, Answer, Call, RequestError
from agent.mqtt.topics import PUSHES, ROLES

ORDERS = (PUSHES, "alert/ack", ROLES)
COMMANDS = "command/"


class ConfigurationView:
    """Shows the configuration, and hands orders to the same gate as a broker's."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._in_turn = asyncio.Lock()

    async def config(self, _: Call) -> Answer:
        """The text in force and its history; secrets are never in it."""
        deployment = self._parts.deployment
        ledger, reported = deployment.ledger, deployment.reported()
        file_text = await asyncio.to_thread(self._file_text)
        drift = reported.get("drift")
        return Answer(
            {
                "text": ledger.active.text,
                "revision": ledger.active.revision_of(None),
                "sha256": ledger.active.sha256,
                "file_text": file_text,
                "file_sha256": None if file_text is None else digest(file_text),
                "history": history_entries(ledger),
                "drift": ", ".join(map(str, drift)) if drift else None,
                "trial": self._trial(),
                "reported": reported,
            }
        )

    def _file_text(self) -> str | None:
        try:
            return read_text(self._parts.deployment.local_file)
        except (OSError, BadConfig):
            return None

    def _trial(self) -> dict[str, Any] | None:
        deployment = self._parts.deployment
        trial, left_s = deployment.ledger.trial, deployment.trial_left_s
        if trial is None:
            return None
        deadline = None if left_s is None else stamp(utc_now() + timedelta(seconds=left_s))
        return {
            "revision": trial.revision,
            "since": trial.at,
            "waiting_for": deployment.waiting_for,
            "deadline": deadline,
            "confirm": deployment.waits_for_confirmation,
        }

    async def order(self, call: Call) -> Answer:
        """Hands the bytes to the gate, one order after the other; what it led to is on disk on return."""
        topic = call.text("topic")
        if topic not in ORDERS and not (topic.startswith(COMMANDS) and topic.count("/") == 1):
            raise RequestError(f"topic: {topic[:60]!r} is none of {', '.join(ORDERS)}, {COMMANDS}<name>")
        async with self._in_turn:
            await self._parts.inbound.on_message(topic, call.data, None, False)
        return Answer({})
