"""How far an order is, from what the device says. Entry points: `command_steps`, `ack_step`, `push_steps`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agent.runtime.sanitize import as_dict, as_list, printable
from console.agent_views import SentMessage

State: TypeAlias = Literal["sent", "accepted", "waiting", "succeeded", "failed", "refused", "no_answer"]
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "refused", "no_answer"})
COMMAND_STATES: Mapping[str, State] = {
    "succeeded": "succeeded", "failed": "failed", "expired": "failed", "rejected": "refused",
    "duplicate": "refused",
}  # fmt: skip
"""States of ``command/result``; all others mean that the device is at it."""
PUSH_STATES: Mapping[str, State] = {
    "applied": "succeeded", "validated": "succeeded", "degraded": "failed", "rolled_back": "failed",
    "rejected": "refused", "unconfirmed": "waiting",
}  # fmt: skip
"""States of ``config/reported``; ``waiting``: until somebody confirms it."""
ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class OrderStep:
    """How far an order is. ``body`` is the device's message; ``reason`` is in the words of the device."""

    state: State
    reason: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"


class Answers:
    """Messages of the device since the order was sent."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[SentMessage] = asyncio.Queue(maxsize=1000)

    async def on(self, name: str, within_s: float) -> dict[str, Any]:
        """The body of the next message on the topic that ends with ``name``. TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                message = await self.arrived.get()
                if message.topic == name or message.topic.endswith(f"/{name}"):
                    return message.body

    async def next(self, within_s: float) -> SentMessage:
        """The next message. TimeoutError."""
        async with asyncio.timeout(within_s):
            return await self.arrived.get()


async def command_steps(
    answers: Answers, command_id: str, within_s: float, then_s: float | None
) -> AsyncIterator[OrderStep]:
    parts: dict[int, str] = {}
    limit_s = within_s
    while True:
        body = await answers.on("command/result", limit_s)
        if body.get("command_id") != command_id:
            continue
        if isinstance(body.get("part"), int) and isinstance(body.get("text"), str):
            parts[body["part"]] = body["text"]
        state = COMMAND_STATES.get(str(body.get("state")), "accepted")
        whole = "".join(parts[part] for part in sorted(parts))
        if state in FINAL and parts:
            body = {**body, "text": whole}
        yield OrderStep(state, printable(body.get("reason") or ""), body)
        if state in FINAL:
            return
        limit_s = then_s or within_s


async def ack_step(answers: Answers, alert_id: str, role: str, action: str) -> OrderStep:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + ANSWER_S
    while True:
        message = await answers.next(until_s - loop.time())
        body = message.body
        if message.topic.endswith("command/result"):
            if (body.get("command"), body.get("command_id")) == ("ack", alert_id) and body.get(
                "state"
            ) == "rejected":
                return OrderStep("refused", printable(body.get("reason") or ""), body)
        elif message.topic == "alert" or message.topic.endswith("/alert"):
            alert = as_dict(body.get("alert"))
            answer = as_dict(alert.get("acknowledged"))
            ours = (answer.get("role"), answer.get("action")) == (role, action)
            if alert.get("alert_id") == alert_id and ours:
                return OrderStep("succeeded", "", body)
            if alert.get("alert_id") == alert_id and alert.get("phase") == "end":
                return OrderStep(
                    "failed", f"the alert has ended: {printable(alert.get('reason') or '?')}", body
                )


async def push_steps(answers: Answers, revision: int, within_s: float) -> AsyncIterator[OrderStep]:
    while True:
        body = await answers.on("config/reported", within_s)
        if body.get("revision") != revision:
            continue
        state = PUSH_STATES.get(str(body.get("state")), "accepted")
        errors = [as_dict(error) for error in as_list(body.get("errors"))]
        first = next((f"{error.get('path')}: {error.get('message')}" for error in errors), "")
        yield OrderStep(state, printable(body.get("reason") or first), body)
        if state in FINAL:
            return
