"""Calls an alert out to chosen devices: outputs on, or rescue mode, with the result of each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from agent.cli.orders import OrderSigner
from agent.commands.requests import OutputCommand, RescueModeRequest
from agent.domain.message import new_id
from agent.runtime.error_text import describe_error
from centre.map.actions import Actions
from centre.map.force import Force
from centre.map.queued_alert import QueuedAlert
from console.order_steps import OrderStep
from console.orders import NO_RIGHT

AT_ONCE = 20
MAX_DEVICES = 200


@dataclass(frozen=True, slots=True)
class CallOrder:
    """One order of a call-out."""

    device: str
    command: Literal["output", "rescue_mode"]
    source: str = ""
    output: str = ""
    for_s: float = 60.0
    """How long the output is on (at most 600 s), or rescue mode lasts (at most 4 hours)."""

    def fields(self, reason: str) -> dict[str, Any]:
        """The fields of its command. ValueError: one line that says what is wrong."""
        try:
            if self.command == "output":
                body = {"source": self.source, "output": self.output, "on": True, "ttl_s": self.for_s}
                OutputCommand.model_validate({"id": new_id(), **body})
            else:
                body = {"for_s": self.for_s, "reason": reason[:200] or "call-out"}
                RescueModeRequest.model_validate({"id": new_id(), **body})
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            raise ValueError(f"{self.command}: {detail['loc'][0]}: {detail['msg']}") from error
        return body

    @property
    def what(self) -> str:
        """Such as ``board/siren``, or ``rescue mode``."""
        return f"{self.source}/{self.output}" if self.command == "output" else "rescue mode"


@dataclass(frozen=True, slots=True)
class CallStep:
    """How far one order of a call-out is."""

    order: CallOrder
    step: OrderStep


def call_orders(force: Force, *, outputs: bool, rescue: bool, for_s: float = 60.0) -> list[CallOrder]:
    """What one press sends to a device: each of its outputs, and rescue mode where it has a camera."""
    found = [
        CallOrder(force.device, "output", source, output, min(for_s, 600.0))
        for source, names in force.outputs.items()
        for output in names
        if outputs
    ]
    if rescue and force.cameras:
        found.append(CallOrder(force.device, "rescue_mode", for_s=max(for_s, 600.0)))
    return found


async def call_out(
    actions: Actions,
    alert: QueuedAlert,
    orders: Sequence[CallOrder],
    signer: OrderSigner | None,
    role: str,
    may: Callable[[str], bool] = lambda _: True,
) -> AsyncIterator[CallStep]:
    """Sends all orders, several at a time; gives each step of each as it comes. Ends when all have ended.

    ``may`` says whether the roles of the session cover a command: the key may be that of all sessions."""
    problem = actions.refusal(signer, role)
    if problem is None and len({order.device for order in orders}) > MAX_DEVICES:
        problem = f"at most {MAX_DEVICES} devices at once"
    if problem is not None or signer is None:
        for order in orders:
            yield CallStep(order, OrderStep("refused", problem or ""))
        return
    arrived: asyncio.Queue[CallStep | None] = asyncio.Queue()
    slots = asyncio.Semaphore(AT_ONCE)
    reason = f"alert {alert.alert_id}: {alert.text}"

    async def send(order: CallOrder) -> None:
        try:
            async with slots:
                async for step in _steps(actions, alert, order, signer, role, reason):
                    arrived.put_nowait(CallStep(order, step))
        finally:
            arrived.put_nowait(None)

    for order in orders:
        if not may(order.command):
            yield CallStep(order, OrderStep("refused", NO_RIGHT))
    tasks = [asyncio.ensure_future(send(order)) for order in orders if may(order.command)]
    try:
        running = len(tasks)
        while running:
            step = await arrived.get()
            if step is None:
                running -= 1
            else:
                yield step
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _steps(
    actions: Actions, alert: QueuedAlert, order: CallOrder, signer: OrderSigner, role: str, reason: str
) -> AsyncIterator[OrderStep]:
    try:
        fields = order.fields(reason)
        entry = await actions.record_call_out(
            alert.key, signer, role, {"to": order.device, "command": order.command, **fields}
        )
    except (OSError, ValueError) as error:
        yield OrderStep("refused", describe_error(error))
        return
    desk = actions.orders.desk(order.device, signer)
    async with aclosing(desk.command(order.command, fields)) as steps:  # type: ignore[type-var]
        async for step in steps:
            if step.is_final:
                await actions.record_result(entry, step)
            yield step
