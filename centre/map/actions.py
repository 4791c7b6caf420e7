"""What an officer does about an alert: each action is signed, audited, and seen by all other officers.

Answers (acknowledge, close, reject) and call-outs are orders, which the device judges. A hand-over and a note
concern people only: the map keeps them (docs/decisions/0057).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from agent.audit.access_log import access_log_folder, log_access
from agent.cli.orders import OrderSigner
from agent.cli.signing import DeskSigner
from agent.host.clock import utc_now
from agent.runtime.error_text import describe_error
from agent.trust.roles import Roles
from centre.map.action_board import ActionBoard
from centre.map.action_entry import MAX_ROLE, MAX_TEXT, ActionEntry, ActionKind, sign_entry
from centre.map.action_store import ActionStore, action_db
from centre.map.field_values import text as one_line
from centre.map.fleet_orders import FleetOrders
from centre.map.queued_alert import QueuedAlert
from console.order_steps import OrderStep
from console.orders import NO_KEY

log = structlog.get_logger()

EVERY_S = 0.2
RETRY_S = 2.0
MAY_RECORD = "ack"
"""Who may acknowledge an alert may also hand it over and note something about it."""
NO_RIGHT = "the roles document does not let this key handle alerts of this device"
AUDITED: Mapping[ActionKind, str] = {
    "answer": "alert_answered",
    "hand_over": "alert_handed_over",
    "note": "alert_noted",
    "call_out": "called_out",
}


class Actions:
    """One for each process of the map. Several processes on one database see each other's entries."""

    def __init__(
        self,
        db: Path,
        orders: FleetOrders,
        roles: Roles | None = None,
        now: Callable[[], datetime] = utc_now,
        groups_of: Callable[[str], Sequence[str]] = lambda _: ("all",),
    ) -> None:
        """``roles``: whose keys may hand over and note; without it any key may, and is named. ``groups_of``:
        the groups of a device, which roles may name (`Force.all_groups`). OSError."""
        self.orders, self.roles = orders, roles
        self.board = ActionBoard()
        self.problem = ""
        """Why entries of others are not seen at the moment."""
        self._store = ActionStore(action_db(db))
        self._audit = access_log_folder(db)
        self._now, self._groups_of = now, groups_of
        self._read = 0

    async def start(self) -> None:
        """Reads all entries. OSError."""
        while await self._follow():
            pass

    async def run(self) -> None:
        """Takes over entries of other processes for ever."""
        while True:
            try:
                await self._follow()
                self.problem = ""
            except OSError as error:
                if not self.problem:
                    log.error("map_entries_not_read", error=describe_error(error))
                self.problem = describe_error(error)
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(EVERY_S)

    async def _follow(self) -> bool:
        entries = await asyncio.to_thread(self._store.since, self._read)
        if entries:
            self._read = entries[-1].n
            self.board.add(entries)
        return bool(entries)

    async def answer(
        self, alert: QueuedAlert, signer: OrderSigner | None, role: str, action: str = "ack", reason: str = ""
    ) -> AsyncIterator[OrderStep]:
        """Acknowledges (``ack``), closes or rejects an alert; the device confirms it."""
        if (problem := self._refusal(signer, role, reason)) is not None:
            yield OrderStep("refused", problem)
            return
        if alert.state == "ended":
            yield OrderStep("refused", "the alert has ended")
            return
        given = alert.answer
        if given is not None and (given.role, given.action, given.reason) == (role, action, reason):
            yield OrderStep("succeeded")  # the device publishes a repeat of the same answer no more
            return
        desk = self.orders.desk(alert.device, signer)
        try:
            entry = await self._record("answer", alert.key, signer, role, reason, {"action": action})
        except OSError as error:
            yield OrderStep("refused", describe_error(error))
            return
        async with aclosing(desk.ack(alert.alert_id, role, action, reason or None)) as steps:  # type: ignore[type-var]
            async for step in steps:
                if step.is_final:
                    await self.record_result(entry, step)
                yield step

    async def hand_over(
        self, alert: QueuedAlert, signer: OrderSigner | None, role: str, to: str, text: str = ""
    ) -> AsyncIterator[OrderStep]:
        """Hands an alert to another role."""
        to = one_line(to.strip(), MAX_ROLE)
        if not to:
            yield OrderStep("refused", "name the role that takes over")
            return
        async for step in self._keep("hand_over", alert, signer, role, text, {"to": to}):
            yield step

    async def note(
        self, alert: QueuedAlert, signer: OrderSigner | None, role: str, text: str
    ) -> AsyncIterator[OrderStep]:
        """Notes something about an alert."""
        if not text.strip():
            yield OrderStep("refused", "write the note first")
            return
        async for step in self._keep("note", alert, signer, role, text, {}):
            yield step

    async def _keep(
        self,
        kind: ActionKind,
        alert: QueuedAlert,
        signer: OrderSigner | None,
        role: str,
        text: str,
        fields: Mapping[str, Any],
    ) -> AsyncIterator[OrderStep]:
        problem = self._refusal(signer, role, text) or self.right_problem(signer, alert.device)
        if problem is not None:
            yield OrderStep("refused", problem)
            return
        try:
            await self._record(kind, alert.key, signer, role, text, fields)
        except OSError as error:
            yield OrderStep("failed", describe_error(error))
            return
        yield OrderStep("succeeded")

    def right_problem(self, signer: OrderSigner | None, device: str, command: str = MAY_RECORD) -> str | None:
        """Why the keys of ``signer`` may not give ``command`` to a device, as far as the roles are known."""
        if self.roles is None or not isinstance(signer, DeskSigner):
            return None
        groups, ids = self._groups_of(device), [key.key_id for key in signer.keys]
        held = [role for one in ids for role in self.roles.roles_of(one, device, groups).values()]
        return None if any(role.covers_command(command) for role in held) else NO_RIGHT

    @staticmethod
    def _refusal(signer: OrderSigner | None, role: str, text: str) -> str | None:
        if not isinstance(signer, DeskSigner):
            return NO_KEY
        if not 1 <= len(role.strip()) <= MAX_ROLE:
            return f"a role has 1 to {MAX_ROLE} characters"
        return f"a text has up to {MAX_TEXT} characters" if len(text) > MAX_TEXT else None

    async def _record(
        self,
        kind: ActionKind,
        key: tuple[str, str],
        signer: OrderSigner | None,
        role: str,
        text: str,
        fields: Mapping[str, Any],
    ) -> ActionEntry:
        """Writes a signed entry, audited first. OSError: then nothing happened."""
        assert isinstance(signer, DeskSigner)  # noqa: S101  `_refusal` said so
        at = self._now().replace(microsecond=self._now().microsecond // 1000 * 1000)
        keys, role, text = signer.keys, role.strip(), one_line(text.strip(), MAX_TEXT)
        ids = [one.key_id for one in keys]
        envelope = sign_entry(keys, at, kind, key, role, text, fields)

        def write() -> ActionEntry:
            log_access(
                self._audit,
                AUDITED[kind],
                who=ids,
                device=key[0],
                alert_id=key[1],
                role=role,
                text=text,
                **fields,
            )
            return self._store.add(at, kind, key, role, ids, text, fields, envelope)

        entry = await asyncio.to_thread(write)
        self.board.add([entry])
        return entry

    async def record_call_out(
        self, key: tuple[str, str], signer: OrderSigner, role: str, fields: Mapping[str, Any]
    ) -> ActionEntry:
        """The entry of one order of a call-out, before it is sent. OSError."""
        return await self._record("call_out", key, signer, role, "", fields)

    async def record_result(self, entry: ActionEntry, step: OrderStep) -> None:
        """What became of an order. A disk that fails is logged: the order itself is recorded."""
        fields = {"of": entry.n, "state": step.state, "reason": one_line(step.reason)}
        try:
            result = await asyncio.to_thread(
                self._store.add, self._now(), "result", entry.key, entry.role, (), "", fields
            )
        except OSError as error:
            log.error("map_result_not_kept", error=describe_error(error))
            return
        self.board.add([result])

    def refusal(self, signer: OrderSigner | None, role: str) -> str | None:
        """Why this person can order nothing at the moment, in one line."""
        return self._refusal(signer, role, "")

    def close(self) -> None:
        self._store.close()
