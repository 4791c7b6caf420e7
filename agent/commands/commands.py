"""Commands of the centre: each id at most once, each with a result. Nothing that arrives is executed.

The id of a command with an effect is written in one commit with its result, so that a repeat is a duplicate
after a restart too.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import structlog
from pydantic import ValidationError

from agent.alerts.alert import Alert
from agent.alerts.alert_book import AlertBook
from agent.commands.rate_limit import BURST, PER_SECOND, RateLimiter
from agent.commands.requests import Ack, Command, CommandId, OutputCommand
from agent.commands.results import is_own_topic
from agent.commands.seen_ids import SeenIds
from agent.host.clock import monotonic_s, utc_now

log = structlog.get_logger()

NO_EFFECT = frozenset({"ping", "rebirth", "challenge"})
"""Commands that may be repeated after a restart."""
MAX_BYTES = 16 * 1024
"""Size of a command; a larger one is rejected without being parsed."""
MAX_RESPONSE_TOPIC = 256
"""Characters of a response topic; a longer one, or one that is not the device's, is left out."""
RESULT = "result"
"""``command/result`` is the topic of results: what arrives there is one, and gets none."""

DROPPED = MappingProxyType({"state": "dropped"})

State: TypeAlias = Literal["accepted", "succeeded"]
Run: TypeAlias = Callable[[Command, Mapping[str, Any]], Awaitable[State | Mapping[str, Any]]]
"""Carries out a command, given the first fields of its results; returns its state, or the further fields of
its success. OSError: failed, ValueError: rejected."""
SendResult: TypeAlias = Callable[[dict[str, Any], Mapping[str, bytes]], Awaitable[None]]
"""Takes a result, and what to remember in the same commit."""


class Commands:
    """Carries out commands by name: ``ping``, ``rebirth``, ``output``, and those given as ``more``."""

    def __init__(
        self,
        send_result: SendResult,
        *,
        rebirth: Callable[[], Awaitable[None]],
        output: Callable[[OutputCommand, Mapping[str, Any]], None],
        answers_below: str,
        more: Mapping[str, tuple[type[Command], Run]] = MappingProxyType({}),
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        """``output`` takes a command and the first fields of its results; ValueError where it can't.

        ``answers_below``: the prefix of the device's topics. No response topic elsewhere is repeated.
        """
        self._send_result = send_result
        self._clock = clock
        self._answers_below = answers_below

        async def run_rebirth(_: Command, __: Mapping[str, Any]) -> State:
            await rebirth()
            return "succeeded"

        async def run_output(command: Command, result: Mapping[str, Any]) -> State:
            assert isinstance(command, OutputCommand)  # noqa: S101  as the table below has it
            output(command, result)
            return "accepted"

        self._known: dict[str, tuple[type[Command], Run]] = {
            "ping": (Command, _nothing),
            "rebirth": (Command, run_rebirth),
            "output": (OutputCommand, run_output),
            **more,
        }
        self._ids = SeenIds()
        self._limiter = RateLimiter()

    def add(self, more: Mapping[str, tuple[type[Command], Run]]) -> None:
        """Further commands, before `restore`."""
        self._known |= more

    def restore(self, recall: Callable[[str], bytes | None]) -> list[str]:
        """Takes over the remembered ids; returns the keys of damaged ones, which count as no repeat."""
        return self._ids.restore(self._known, recall)

    async def carry_out(
        self,
        name: str,
        payload: bytes,
        answer_to: str | None,
        *,
        retained: bool = False,
        key_ids: Sequence[str] = (),
    ) -> Mapping[str, Any]:
        """Sends a result for every command: accepted, succeeded, failed, rejected, expired or duplicate. An
        accepted command gets a second result once it is done.

        A retained command is neither carried out nor answered: the broker would repeat it on each connection.
        Of commands over the rate limit only the first gets a result. ``key_ids``: the keys that signed it; a
        flood of unsigned commands leaves signed ones alone.

        Returns ``state``, and ``reason`` where there is one; ``dropped`` where there is no result.
        """
        if name == RESULT:
            return DROPPED
        if retained:
            log.warning("command_ignored", command=name[:64], reason="retained; publish commands unretained")
            return DROPPED
        known = name in self._known
        bucket = (name if known else "") + (" signed" if key_ids else "")
        result = self._first_fields(name, answer_to)
        if key_ids:
            result["keys"] = list(key_ids)
        admitted = self._limiter.admit(bucket, self._clock())
        if admitted == "dropped":
            return DROPPED
        if admitted == "first_dropped":
            log.warning("commands_dropped", command=name[:64], dropped=self._limiter.dropped)
            reason = f"more than {BURST:g} at once and {PER_SECOND:g} a second; later ones get no answer"
            refused = {"state": "rejected", "reason": reason}
            await self._send_result(result | refused, {})
            return refused
        fields, remember = await self._outcome(name, payload, result)
        await self._send_result(result | fields, remember)
        return fields

    async def refuse(
        self,
        name: str,
        command_id: object,
        reason: str,
        answer_to: str | None,
        state: Literal["rejected", "duplicate"] = "rejected",
    ) -> None:
        """Sends the result of a command whose signature, role, counter or nonce does not suffice.

        Of a flood of them only the first gets a result.
        """
        admitted = self._limiter.admit("refused", self._clock())
        if admitted == "dropped":
            return
        result = self._first_fields(name, answer_to) | {"state": state, "reason": reason[:500]}
        if isinstance(command_id, str) and 0 < len(command_id) <= 64:
            result["command_id"] = command_id
        await self._send_result(result, {})

    async def report(self, name: str, command_id: str, fields: Mapping[str, Any]) -> None:
        """Sends the result of an order that succeeded and that is no command."""
        done = {"command_id": command_id, "state": "succeeded", **fields}
        await self._send_result(self._first_fields(name, None) | done, {})

    def _first_fields(self, name: str, answer_to: str | None) -> dict[str, Any]:
        """The first fields of a result, without a response topic that is too long or not the device's."""
        if answer_to is not None and (
            len(answer_to) > MAX_RESPONSE_TOPIC or not is_own_topic(answer_to, self._answers_below)
        ):
            answer_to = None
        return {"command": name[:64], "answer_to": answer_to}

    async def _outcome(
        self, name: str, payload: bytes, result: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The state of one command, and what to remember with it; adds the id to ``result``."""
        model, run = self._known.get(name, (Command, None))
        try:
            if len(payload) > MAX_BYTES:
                raise ValueError(f"payload: larger than {MAX_BYTES} bytes")
            command = model.model_validate_json(payload)
        except ValueError as error:
            if isinstance(error, ValidationError):
                with suppress(ValidationError):
                    result["command_id"] = CommandId.model_validate_json(payload).id
            return {"state": "rejected", "reason": _first_error(error)[:300]}, {}
        result["command_id"] = command.id
        if self._ids.is_repeat(name if run else "", command.id):
            return {"state": "duplicate"}, {}
        if command.expires is not None and command.expires < utc_now():
            return {"state": "expired"}, {}
        if run is None:
            known = ", ".join(sorted(self._known))
            return {"state": "rejected", "reason": f"no command {name[:64]!r}; known: {known}"}, {}
        try:
            outcome = await run(command, result)
        except OSError as error:
            return {"state": "failed", "reason": str(error)}, {}
        except ValueError as error:
            return {"state": "rejected", "reason": str(error)}, {}
        fields = {"state": outcome} if isinstance(outcome, str) else {"state": "succeeded", **outcome}
        if name in NO_EFFECT:
            return fields, {}
        return fields, self._ids.add_effect(name, command.id)


def acknowledge(book: AlertBook, payload: bytes, at: datetime) -> Alert | None:
    """The alert that a person acknowledged; None where it is not active or the payload is malformed."""
    try:
        ack = Ack.model_validate_json(payload)
    except ValidationError:
        return None
    return book.acknowledge(ack.alert_id, ack.role, ack.action, at, ack.reason)


def names_active_alert(book: AlertBook, payload: bytes) -> bool:
    """Whether an acknowledgement is well-formed, and names an alert that is active."""
    try:
        ack = Ack.model_validate_json(payload)
    except ValidationError:
        return False
    return any(alert.alert_id == ack.alert_id for alert in book.active())


def _first_error(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    detail = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, detail['loc'])) or 'payload'}: {detail['msg']}"


async def _nothing(_: Command, __: Mapping[str, Any]) -> State:
    return "succeeded"
