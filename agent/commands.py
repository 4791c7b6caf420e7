"""What the centre may ask, each command once, each with an answer. Nothing that arrives here is executed."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from agent.alert import Alert
from agent.alerts import AlertBook

REMEMBERED = 256
RESULT = "result"
"""``command/result`` is where we answer: what comes down there is an answer, and gets none."""


class _Id(BaseModel):
    """What an answer to a command needs, however wrong the rest is."""

    id: str = Field(min_length=1, max_length=64)


class Command(_Id):
    """``command/<name>``: fields that we do not know are ignored."""

    expires: AwareDatetime | None = None


class Order(Command):
    """``command/output``: an output of a source, switched on for ``ttl_s``, or off."""

    source: str = Field(min_length=1, max_length=64)
    output: str = Field(min_length=1, max_length=64)
    on: bool = True
    ttl_s: float = Field(default=30, ge=1, le=600)


class Fetch(Command):
    """``command/fetch``: the clip of an alert, up to so many pictures of it, on ``media/<alert_id>/<n>``."""

    alert_id: str = Field(min_length=1, max_length=64)
    pictures: int = Field(default=20, ge=1, le=40)


class Ack(BaseModel):
    """``alert/ack``: a person's answer, by role and never by name."""

    alert_id: str = Field(min_length=1, max_length=64)
    role: str = Field(min_length=1, max_length=64)
    action: Literal["ack", "close", "reject"] = "ack"
    reason: str | None = Field(default=None, max_length=200)


State: TypeAlias = Literal["accepted", "succeeded"]
Run: TypeAlias = Callable[[Command, Mapping[str, Any]], Awaitable[State]]
"""Carries out a command, given what its results begin with. OSError: failed, ValueError: rejected."""


class Commands:
    """Carries out commands by name: ``ping``, ``rebirth``, ``output``, and more that are given."""

    def __init__(
        self,
        done: Callable[[dict[str, Any]], Awaitable[None]],
        *,
        rebirth: Callable[[], Awaitable[None]],
        output: Callable[[Order, Mapping[str, Any]], None],
        more: Mapping[str, tuple[type[Command], Run]] = MappingProxyType({}),
    ) -> None:
        """``output`` takes an order and what its results begin with; ValueError where it can't be."""
        self._done = done

        async def ask_rebirth(_: Command, __: Mapping[str, Any]) -> State:
            await rebirth()
            return "succeeded"

        async def take_order(command: Command, result: Mapping[str, Any]) -> State:
            assert isinstance(command, Order)  # noqa: S101  as the table below has it
            output(command, result)
            return "accepted"

        self._known: dict[str, tuple[type[Command], Run]] = {
            "ping": (Command, _nothing),
            "rebirth": (Command, ask_rebirth),
            "output": (Order, take_order),
            **more,
        }
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def carry_out(self, name: str, payload: bytes, answer_to: str | None) -> None:
        """Answers on ``command/result`` whatever comes: accepted, succeeded, failed, rejected, expired or
        duplicate. What is accepted gets its second answer when it is done."""
        if name == RESULT:
            return
        result: dict[str, Any] = {"command": name, "answer_to": answer_to}
        try:
            model, run = self._known.get(name, (Command, None))
            command = model.model_validate_json(payload)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(map(str, detail["loc"])) or "payload"
            with suppress(ValidationError):
                result["command_id"] = _Id.model_validate_json(payload).id
            await self._done(result | {"state": "rejected", "reason": f"{where}: {detail['msg']}"})
            return
        result["command_id"] = command.id
        if command.id in self._seen:
            await self._done(result | {"state": "duplicate"})
            return
        self._seen[command.id] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        if command.expires is not None and command.expires < datetime.now(UTC):
            await self._done(result | {"state": "expired"})
            return
        if run is None:
            known = ", ".join(sorted(self._known))
            await self._done(result | {"state": "rejected", "reason": f"no command {name!r}; known: {known}"})
            return
        try:
            state = await run(command, result)
        except OSError as error:
            await self._done(result | {"state": "failed", "reason": str(error)})
        except ValueError as error:
            await self._done(result | {"state": "rejected", "reason": str(error)})
        else:
            await self._done(result | {"state": state})

    def acknowledged(self, book: AlertBook, payload: bytes, at: datetime) -> Alert | None:
        """The alert that a person has answered, or None where it is not active or the answer is malformed."""
        try:
            ack = Ack.model_validate_json(payload)
        except ValidationError:
            return None
        return book.acknowledge(ack.alert_id, ack.role, ack.action, at, ack.reason)


async def _nothing(_: Command, __: Mapping[str, Any]) -> State:
    return "succeeded"
