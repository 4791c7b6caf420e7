"""The gate for everything that arrives: it opens signed orders, and answers those that it refuses.

Behind it nothing looks at a signature again. An order that the broker delivers twice is taken once, and an
order whose effect could not be stored counts when it is delivered again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import structlog

from agent.audit.silent import Audit, SilentAudit
from agent.commands.commands import RESULT, Commands
from agent.commands.requests import NOT_ACTIVE
from agent.config.push import Authorize, Push
from agent.domain.message import encode
from agent.mqtt.topics import GROUPS, PUSHES, ROLES
from agent.trust.dsse import is_envelope, parse
from agent.trust.order import Order, digest_of, peek_body
from agent.trust.refusal import OrderRefused
from agent.trust.roles import Roles
from agent.trust.trust import OrderRepeated, Trust

log = structlog.get_logger()

UNSIGNED = frozenset({"ping", "rebirth", "resend", "challenge"})
"""Commands that neither change nor show anything: they need no signature."""
ACKS = "alert/ack"
PRESENT: ContextVar[Order] = ContextVar("order")
"""The order of the command that a task carries out."""
WITHOUT_EFFECT = frozenset({"rejected", "expired", "duplicate", "dropped"})
"""States of a command that was not carried out."""
T = TypeVar("T")


class OrderGate:
    """Opens orders, and hands them on.

    ``take_push`` gets each push whose signature counts; ``acknowledge`` the body of each acknowledgement, and
    says whether it had an effect; ``refuse_push`` the errors of each push that is refused here.
    """

    def __init__(
        self,
        trust: Trust,
        commands: Commands,
        *,
        take_push: Callable[[Push], Awaitable[None]],
        acknowledge: Callable[[bytes], Awaitable[bool]],
        refuse_push: Callable[[Mapping[str, Any], Sequence[Mapping[str, str]]], Awaitable[None]],
    ) -> None:
        self.trust = trust
        self._commands = commands
        self._take_push = take_push
        self._acknowledge = acknowledge
        self._refuse_push = refuse_push
        self.audit: Audit = SilentAudit()
        self.on_roles: Callable[[Roles], None] = lambda _: None
        """Called once a newer roles document is in force."""

    async def on_message(self, topic: str, payload: bytes, answer_to: str | None, retained: bool) -> None:
        """Acts on one message; ``topic`` is below the device's, or ``groups/<name>/config/desired``."""
        group = None
        if topic.startswith(f"{GROUPS}/"):
            _, group, topic = topic.split("/", 2)
        if topic == PUSHES:
            if payload:
                await self._on_push(payload, group)
        elif group is not None:
            return
        elif topic == ROLES:
            if payload:
                await self._on_roles_document(payload)
        elif topic == ACKS:
            await self._on_ack(payload)
        elif topic.startswith("command/"):
            await self._on_command(topic.removeprefix("command/"), payload, answer_to, retained)

    async def _on_push(self, payload: bytes, group: str | None) -> None:
        try:
            order = self.trust.open("push", payload, group=group)
        except OrderRepeated:
            return  # a retained push comes again at each connection
        except OrderRefused as refusal:
            log.warning("push_refused", path=refusal.path, reason=refusal.reason)
            self._note_refusal("push", payload, refusal, group=group)
            await self._refuse_push(peek_body(payload), [{"path": refusal.path, "message": refusal.reason}])
            return
        push = Push(
            payload=encode(order.body),
            target=order.target,
            authorize=partial(self.trust.require_paths, order),
            key_ids=order.key_ids,
            counters=order.counters,
        )
        named = {key: order.body.get(key) for key in ("revision", "base_revision", "sha256", "validate_only")}
        await self._note("push", order, state="received", **named)
        await self._take_push(push)

    async def _on_ack(self, payload: bytes) -> None:
        try:
            order = self.trust.open("ack", payload)
            self.trust.require_command(order, str(order.body.get("action", "ack")))
        except OrderRepeated as repeat:
            self._note_refusal("ack", payload, repeat)
            return
        except OrderRefused as refusal:
            log.warning("acknowledgement_refused", path=refusal.path, reason=refusal.reason)
            self._note_refusal("ack", payload, refusal)
            body = peek_body(payload)
            command_id = body.get("id") or body.get("alert_id")
            await self._commands.refuse("ack", command_id, str(refusal), None)
            return
        await self._note("ack", order, body=order.body)
        self.trust.counters["ack"].settle(
            order.counters
        )  # from here to the change of the alert nothing waits
        if not await self._effect(order, self._acknowledge(encode(order.body))):
            self._note_refusal("ack", payload, OrderRefused("body", NOT_ACTIVE))
            await self._commands.refuse("ack", order.body.get("alert_id"), NOT_ACTIVE, None)

    async def _on_command(self, name: str, payload: bytes, answer_to: str | None, retained: bool) -> None:
        if name == RESULT or retained or (name in UNSIGNED and not is_envelope(payload)):
            if name != RESULT:
                self.audit.append("command", command=name[:64], signed=False, retained=retained)
            await self._commands.carry_out(name, payload, answer_to, retained=retained)
            return
        try:
            order = self.trust.open("command", payload)
            if order.body.get("command") != name:
                signed_for = str(order.body.get("command"))[:64]
                raise OrderRefused("command", f"was signed for command {signed_for!r}, not for {name!r}")
            self.trust.require_command(order, name)
        except OrderRepeated as repeat:
            self._note_refusal("command", payload, repeat, command=name[:64])
            command_id = peek_body(payload).get("id")
            await self._commands.refuse(name, command_id, "was taken before", answer_to, state="duplicate")
            return
        except OrderRefused as refusal:
            log.warning("command_refused", command=name[:64], path=refusal.path, reason=refusal.reason)
            self._note_refusal("command", payload, refusal, command=name[:64])
            reason = f"{refusal.path}: {refusal.reason}"
            await self._commands.refuse(name, peek_body(payload).get("id"), reason, answer_to)
            return
        await self._note("command", order, command=name[:64], body=order.body)
        carry_out = self._commands.carry_out(name, encode(order.body), answer_to, key_ids=order.key_ids)
        present = PRESENT.set(order)
        try:
            outcome = await self._effect(order, carry_out)
        finally:
            PRESENT.reset(present)
        if (state := outcome["state"]) in WITHOUT_EFFECT:
            without_effect = OrderRefused(state, str(outcome.get("reason", "")))
            self._note_refusal("command", payload, without_effect, command=name[:64])

    def settle_present(self) -> None:
        """The next commit has the first result of the command under way, and so its counters."""
        if (order := PRESENT.get(None)) is not None:
            self.trust.counters[order.kind].settle(order.counters)

    def present_signers(self) -> tuple[Authorize, tuple[str, ...]]:
        """Which changes the signers of the command under way may make, and their keys."""
        order = PRESENT.get()
        return partial(self.trust.require_paths, order), order.key_ids

    async def _on_roles_document(self, payload: bytes) -> None:
        try:
            roles = await asyncio.to_thread(self.trust.replace_roles, payload)
        except OrderRepeated:
            return
        except OrderRefused as refusal:
            log.warning("roles_refused", path=refusal.path, reason=refusal.reason)
            self._note_refusal("roles", payload, refusal)
            await self._commands.refuse("roles", "roles", f"{refusal.path}: {refusal.reason}", None)
            return
        signers = roles.signers(parse(payload))
        self.audit.append("roles", who=signers, version=roles.version, sha256=digest_of(payload))
        log.info("roles_in_force", version=roles.version)
        self.on_roles(roles)
        await self._commands.report("roles", f"roles-{roles.version}", {"version": roles.version})

    async def _note(self, kind: str, order: Order, **fields: Any) -> None:
        """Writes an order into the audit log, before it takes effect; a disk that fails holds up no order.

        Commits that others make meanwhile leave its counters out: a power cut must not use up an order that
        had no effect.
        """
        if kind != "push":  # the ledger has those
            self.trust.counters[order.kind].hold(order.counters)
        roles = {signer.key_id: sorted(signer.roles) for signer in order.signers}
        self.audit.append(
            kind, who=order.key_ids, roles=roles, target=order.target, digest=order.digest, **fields
        )
        await self.audit.written()

    def _note_refusal(self, order: str, payload: bytes, refusal: OrderRefused, **fields: Any) -> None:
        """Writes a refusal under the keys that signed: forged orders must not hide those of a stolen key."""
        signers = self.trust.signers(payload)
        self.audit.append(
            "refused", who=signers, order=order, path=refusal.path, reason=refusal.reason, **fields
        )

    async def _effect(self, order: Order, effect: Awaitable[T]) -> T:
        """The result of the effect of an order; where it can't be stored, the order counts again."""
        try:
            outcome = await effect
        except BaseException:
            self.trust.put_back(order)
            raise
        self.trust.counters[order.kind].settle(order.counters)
        return outcome
