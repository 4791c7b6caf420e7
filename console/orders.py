"""Sends signed orders of one session to the device, and waits for what the device says to them.

Entry point: `OrderDesk`. Orders go through the agent's local socket to the same gate as those of a broker:
the device checks signature, role, counter and nonce, whatever the page allows.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Protocol

from agent.cli.command_request import NO_SIGNATURE
from agent.cli.orders import OrderSigner, Unsigned, raise_counter
from agent.cli.revisions import active_revision, next_revision
from agent.domain.message import new_id
from agent.runtime.sanitize import as_list, printable
from agent.trust.trust import NEEDS_NONCE
from console.agent_client import AgentError, AgentUnreachableError
from console.agent_views import ConfigView, Hello, SentMessage
from console.order_steps import ANSWER_S, Answers, OrderStep, State, ack_step, command_steps, push_steps

NO_KEY = "Choose your signing key first"
NO_RIGHT = "Your role does not allow this"


class AgentLink(Protocol):
    """What `OrderDesk` needs of `console.agent_client.AgentClient`."""

    async def order(self, topic: str, payload: bytes) -> None: ...

    def results(self) -> AsyncIterator[SentMessage]: ...

    async def config(self) -> ConfigView: ...

    async def hello(self) -> Hello: ...


class OrderDesk:
    """Orders for the device of ``agent``. Without ``signer`` only unsigned commands are sent."""

    def __init__(
        self, agent: AgentLink, signer: OrderSigner | None, may: Callable[[str], bool] = lambda _: True
    ) -> None:
        """``may`` says whether the roles of the session cover ``push``, or the name of a command."""
        self._agent, self._signer, self._may = agent, signer, may

    async def _device(self) -> str:
        return (await self._agent.hello())["device"]

    async def command(
        self, name: str, fields: Mapping[str, Any] | None = None, *, within_s: float = ANSWER_S,
        then_s: float | None = None,
    ) -> AsyncIterator[OrderStep]:  # fmt: skip
        """``command/<name>``: its steps up to the final one, which has the whole ``text`` where it came in
        parts. ``then_s``: the time for the rest, once the device has begun."""
        if not self._may(name):
            yield OrderStep("refused", NO_RIGHT)
            return
        signer: OrderSigner | None = Unsigned() if name in NO_SIGNATURE else self._signer
        if signer is None:
            yield OrderStep("refused", NO_KEY)
            return
        try:
            device = await self._device()
            nonce = await self._nonce() if name in NEEDS_NONCE else None
            async with self._answers() as answers:
                request = {"id": new_id(), **(fields or {})}
                for repeats in (1, 0):
                    order = signer.command(device, name, request, nonce)
                    await self._agent.order(f"command/{name}", order)
                    yield OrderStep("sent")
                    again = False
                    async for step in command_steps(answers, str(request["id"]), within_s, then_s):
                        if again := bool(repeats) and raise_counter(signer, step.reason):
                            break
                        yield step
                    if not again:
                        return
        except TimeoutError:
            yield OrderStep("no_answer", "the device does not answer")
        except (OSError, AgentError) as error:
            yield failure(error)

    async def ack(
        self, alert_id: str, role: str, action: str = "ack", reason: str | None = None
    ) -> AsyncIterator[OrderStep]:
        """``alert/ack``: acknowledges, closes or rejects an alert, by role and never by name."""
        if self._signer is None or not self._may(action):
            yield OrderStep("refused", NO_KEY if self._may(action) else NO_RIGHT)
            return
        fields = {
            "alert_id": alert_id,
            "role": role,
            "action": action,
            **({"reason": reason} if reason else {}),
        }
        try:
            device = await self._device()
            async with self._answers() as answers:
                for repeats in (1, 0):
                    await self._agent.order("alert/ack", self._signer.ack(device, fields))
                    yield OrderStep("sent")
                    step = await ack_step(answers, alert_id, role, action)
                    if not (repeats and raise_counter(self._signer, step.reason)):
                        yield step
                        return
        except TimeoutError:
            yield OrderStep("no_answer", "the device does not answer")
        except (OSError, AgentError) as error:
            yield failure(error)

    async def push(self, fields: Mapping[str, Any], *, within_s: float = 120.0) -> AsyncIterator[OrderStep]:
        """``config/desired``: ``body`` with ``sha256``, or ``patch``, and further fields of a push.

        ``revision`` and ``base_revision`` come from the device where they are not given. With ``confirm:
        manual`` a step ``waiting`` says that the revision waits to be kept (``config_confirm``).
        """
        if self._signer is None or not self._may("push"):
            yield OrderStep("refused", NO_KEY if self._may("push") else NO_RIGHT)
            return
        try:
            device = await self._device()
            reported = (await self._agent.config())["reported"]
            wanted = {
                "revision": next_revision(reported),
                "base_revision": active_revision(reported),
                **fields,
            }
            wanted = {key: value for key, value in wanted.items() if value is not None}
            async with self._answers() as answers:
                for repeats in (1, 0):
                    await self._agent.order("config/desired", self._signer.push(device, wanted))
                    yield OrderStep("sent", body={"revision": wanted["revision"]})
                    again = False
                    async for step in push_steps(answers, int(wanted["revision"]), within_s):
                        errors = json.dumps(as_list(step.body.get("errors")))
                        if again := bool(repeats) and raise_counter(self._signer, errors):
                            break
                        yield step
                    if not again:
                        return
        except TimeoutError:
            yield OrderStep("no_answer", "the device does not answer")
        except (OSError, AgentError) as error:
            yield failure(error)

    async def _nonce(self) -> str:
        """A nonce of the device's present session. AgentError where it gives none."""
        async with aclosing(self.command("challenge")) as steps:  # type: ignore[type-var]
            async for step in steps:
                if step.is_final:
                    nonce = step.body.get("nonce")
                    if isinstance(nonce, str):
                        return nonce
                    if step.state == "no_answer":
                        raise AgentUnreachableError(step.reason)
                    raise AgentError(f"the device gives no nonce: {step.reason or step.state}")
        raise AgentError("the device gives no nonce")

    @asynccontextmanager
    async def _answers(self) -> AsyncIterator[Answers]:
        """What the device says from now on."""
        answers = Answers()

        async def collect() -> None:
            async for message in self._agent.results():
                if not answers.arrived.full():
                    answers.arrived.put_nowait(message)

        task = asyncio.create_task(collect(), name="order-answers")
        await asyncio.sleep(0)  # the stream is asked for before the order is sent
        try:
            yield answers
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def failure(error: Exception) -> OrderStep:
    """The step for an order that did not reach the gate."""
    state: State = "no_answer" if isinstance(error, AgentUnreachableError) else "refused"
    return OrderStep(state, printable(error))
