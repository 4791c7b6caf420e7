"""What the centre sends: pushed configurations, acknowledgements of alerts, commands.

Owns: the commands and the results they lead to, the queue of pushes, the grants that show people in pictures.
Entry point: `Inbound.on_message`, called for each message of any broker; `agent.control.order_gate` opens it.
Guarantees: `on_message` returns once what the message led to is on disk; only then does the link acknowledge
it to the broker. Nothing that arrives is executed: a command is one of a fixed table.
Threads: the event loop only.
Errors: OSError where the disk refuses a write; the message stays unacknowledged, so the broker repeats it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import structlog

from agent.commands.commands import Commands, State, acknowledge, names_active_alert
from agent.commands.rate_limit import PUSH_BURST, PUSHES_PER_SECOND, RateLimiter
from agent.commands.requests import (
    Command,
    ConfigConfirm,
    ConfigGet,
    ConfigRollback,
    Fetch,
    OutputCommand,
    Resend,
)
from agent.commands.results import MAX_WAITING, WITHOUT_EFFECT, bounded
from agent.commands.under_way import KEY as UNDER_WAY
from agent.commands.under_way import UnderWay
from agent.config.deployment import Deployment
from agent.config.ledger import PushResult
from agent.config.model import Config
from agent.config.push import Push, Rollback
from agent.control.config_commands import ConfigCommands
from agent.control.order_gate import OrderGate
from agent.host.clock import monotonic_s, read_clocks
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.privacy.rescue_grant import Grant, RescueGrants
from agent.runtime.sanitize import json_object
from agent.trust.challenges import VALID_S
from agent.trust.trust import Trust

log = structlog.get_logger()

MAX_WAITING_PUSHES = 8
"""Pushes that wait for the end of a trial; one more drops the oldest of them."""
RESCUE = "rescue"
"""Where the outbox remembers the grants."""


class Inbound:
    """Acts on messages of the centre."""

    def __init__(
        self,
        deployment: Deployment,
        outbox: Outbox,
        pipeline: Pipeline,
        rescue: RescueGrants,
        running: Callable[[], Config],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        trust: Trust,
    ) -> None:
        """``running`` gives the configuration that runs, also one on trial; ``spawn`` starts a task."""
        self.deployment = deployment
        self.outbox = outbox
        self.pipeline = pipeline
        self.rescue = rescue
        self.running = running
        self.spawn = spawn
        self.pushes: asyncio.Queue[Push | Rollback] = asyncio.Queue(MAX_WAITING_PUSHES)
        self._ignored_ack = b""
        self._refusals = RateLimiter(PUSH_BURST, PUSHES_PER_SECOND)
        self.under_way = UnderWay()
        configuration = ConfigCommands(deployment, self.pushes, lambda: self.gate, self.send_result)
        self.commands = Commands(
            self.send_result,
            rebirth=self.rebirth,
            output=self.switch_output,
            answers_below=pipeline.messages.prefix + "/",
            more={
                "fetch": (Fetch, self.fetch),
                "rescue": (Grant, self.take_grant),
                "resend": (Resend, self.resend),
                "challenge": (Command, self.challenge),
                "config_confirm": (ConfigConfirm, configuration.confirm),
                "config_get": (ConfigGet, configuration.get),
                "config_history": (Command, configuration.history),
                "config_rollback": (ConfigRollback, configuration.roll_back),
            },
        )
        self.trust = trust
        self.gate = OrderGate(
            trust,
            self.commands,
            take_push=self._queue_push,
            acknowledge=self._acknowledge,
            refuse_push=self._refuse_push,
        )
        self.on_message = self.gate.on_message
        """Acts on one message that came down."""
        pipeline.order_counters = self.remembered
        pipeline.on_result = self.under_way.note

    def restore(self) -> None:
        """Takes up the grants, the ids of commands and the counters from before a restart."""
        self.trust.restore(self.outbox.recall, self.deployment.ledger.counters)
        self.rescue.restore(self.outbox.recall(RESCUE), monotonic_s())
        for key in self.commands.restore(self.outbox.recall):
            log.warning("commands_damaged", key=key)
        try:
            self.under_way.restore(self.outbox.recall(UNDER_WAY))
        except ValueError as error:
            log.warning("commands_damaged", key=UNDER_WAY, error=str(error))

    async def report_cut_off(self) -> None:
        """A job: sends the results of the commands that a restart has cut off, and ends."""
        for result in self.under_way.cut_off():
            await self.send_result(result)

    def remembered(self) -> dict[str, bytes]:
        """What belongs into each commit that an order leads to: its counters, the commands under way."""
        return {**self.trust.remembered(), **self.under_way.remembered()}

    async def _queue_push(self, push: Push) -> None:
        self.deployment.on_newer_push(push.payload, push.target)
        if self.pushes.full():
            dropped = self.pushes.get_nowait()
            reason = f"{MAX_WAITING_PUSHES} newer pushes wait for the end of a trial"
            log.warning("push_dropped", reason=reason)
            if isinstance(dropped, Rollback):
                await dropped.done(PushResult(state="rejected", reason=reason))
            else:
                await self._refuse_push(
                    json_object(dropped.payload) or {}, [{"path": "push", "message": reason}]
                )
        self.pushes.put_nowait(push)

    async def _refuse_push(self, body: Mapping[str, Any], errors: Sequence[Mapping[str, str]]) -> None:
        """Answers a push that changes nothing, not even what is remembered of the last push.

        Of a flood only the first are answered.
        """
        if self._refusals.admit("push", monotonic_s()) != "admitted":
            return
        named = {key: body[key] for key in ("revision", "sha256") if isinstance(body.get(key), int | str)}
        fields = {**self.deployment.reported(), "revision": None, "sha256": None, **named}
        fields |= {"state": "rejected", "errors": list(errors), "reason": None}
        at, now_s = read_clocks()
        await self.outbox.put(self.pipeline.messages.config_reported(fields, at, now_s))

    async def _acknowledge(self, payload: bytes) -> bool:
        """Whether it names an active alert. A repeat changes nothing, and a change of mind is sent later."""
        at, now_s = read_clocks()
        is_about_alert = names_active_alert(self.pipeline.book, payload)
        alert = acknowledge(self.pipeline.book, payload, at)
        if alert is None:
            if payload == self._ignored_ack:
                return is_about_alert  # a centre that repeats it in a loop fills no log
            self._ignored_ack = payload
            log.warning("acknowledgement_ignored", payload=payload[:200].decode(errors="replace"))
            return is_about_alert
        self.pipeline.raise_alerts([alert], now_s)
        if written := self.pipeline.buffer.written():
            await asyncio.wait([written])  # the broker does not send again what was acknowledged to it
        return True

    async def challenge(self, _: Command, __: Mapping[str, Any]) -> Mapping[str, Any]:
        """``command/challenge``: a nonce for an order that switches or uncovers something."""
        return {"nonce": self.trust.challenges.issue(monotonic_s()), "valid_s": VALID_S}

    async def rebirth(self) -> None:
        """``command/rebirth``: sends the messages that begin a connection again."""
        await self.outbox.put(*self.pipeline.birth_messages(self.pipeline.messages.session))

    def switch_output(self, command: OutputCommand, result: Mapping[str, Any]) -> None:
        """``command/output``. ValueError where the configuration lists no such output."""
        self.pipeline.actuators.request(command, self.running().outputs(), result, monotonic_s())
        self.pipeline.outputs_changed()

    async def fetch(self, command: Command, result: Mapping[str, Any]) -> State:
        """``command/fetch``: begins to send a clip; a second result reports its end."""
        wanted = Fetch.model_validate(command.model_dump())

        async def done(fields: Mapping[str, Any]) -> None:
            state = "succeeded" if fields["sent"] else "failed"
            await self.send_result({**result, "state": state, **fields})

        await self.pipeline.recorder.fetch(wanted.alert_id, wanted.pictures, done)
        return "accepted"

    async def resend(self, command: Command, result: Mapping[str, Any]) -> State:
        """``command/resend``: sends lost numbers again where they are kept, and the others as gaps."""
        wanted = Resend.model_validate(command.model_dump())

        async def carry_out() -> None:
            try:
                found = await self.outbox.resend(wanted.lane, wanted.epoch, wanted.ranges)
            except OSError as error:
                await self.send_result({**result, "state": "failed", "reason": str(error)})
                return
            missing = sum(count for _, _, count in found.missing)
            counts = {"again": found.resent, "owed": found.pending, "missing": missing}
            await self.send_result({**result, "state": "succeeded", **counts})

        self.spawn(carry_out())
        return "accepted"

    async def take_grant(self, command: Command, result: Mapping[str, Any]) -> State:
        """``command/rescue``: shows people in pictures for a limited time; on disk before it is answered."""
        grant = Grant.model_validate(command.model_dump())
        self.rescue.accept(grant, self.deployment.config.privacy.rescue_key, *read_clocks())
        try:
            await self.outbox.put(remember={RESCUE: self.rescue.dump()})
        except BaseException:
            self.rescue.withdraw(grant, monotonic_s())  # a grant answered as failed shows nobody
            raise
        fields = {"id": grant.id, "role": grant.role, "reason": grant.reason, "camera": grant.camera}
        self.gate.audit.append("grant", who=result.get("keys", ()), until=grant.expires, **fields)
        await self.gate.audit.written()
        log.warning(
            "redaction_lifted", role=grant.role, reason=grant.reason, camera=grant.camera, id=grant.id
        )
        return "succeeded"

    async def send_result(
        self, result: Mapping[str, Any], remember: Mapping[str, bytes] = MappingProxyType({})
    ) -> None:
        """Writes the result of a command, in one commit with ``remember`` and the counters."""
        self.under_way.note(result)
        self.gate.settle_present()
        if result.get("state") in WITHOUT_EFFECT and self.outbox.known_depth["result"] >= MAX_WAITING:
            log.warning("result_dropped", command=result.get("command"), reason=f"{MAX_WAITING} wait")
            await self.outbox.put(remember={**remember, **self.remembered()})
            return
        message = self.pipeline.messages.command_result(bounded(result), *read_clocks())
        await self.outbox.put(message, remember={**remember, **self.remembered()})
