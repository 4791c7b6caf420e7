"""What the centre may ask, each command once, each with an answer. Nothing that arrives here is executed.

The ids of commands that have an effect are written down in one commit with their result, so that a repeat is
a duplicate also after a restart. Commands are rate-limited by name, so that a flood of one kind neither fills
the disk with results nor keeps another kind from being carried out.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import structlog
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from agent.alerts.alert import Alert
from agent.alerts.alert_book import AlertBook

log = structlog.get_logger()

REMEMBERED = 256
"""Ids without an effect (``ping``, what was rejected) that are recognised as repeats, by command name."""
REMEMBERED_EFFECTS = 4096
"""Ids of carried-out commands that are recognised as repeats, over restarts, for each command name."""
NO_EFFECT = frozenset({"ping", "rebirth"})
_DIGEST_BYTES = 8
MOST_BYTES = 16 * 1024
"""A command is smaller; a larger one is rejected unread."""
MOST_ANSWER_TO = 256
"""Characters of a response topic; a longer one is left out of the result."""
BURST, PER_SECOND = 30.0, 0.5
"""Commands of one name that are carried out at once, and after that in each second."""
RESULT = "result"
"""``command/result`` is where we answer: what comes down there is an answer, and gets none."""


class _Id(BaseModel):
    """What an answer to a command needs, however wrong the rest is."""

    id: str = Field(min_length=1, max_length=64)


class Command(_Id):
    """``command/<name>``: fields that we do not know are ignored."""

    expires: AwareDatetime | None = None


class OutputCommand(Command):
    """``command/output``: an output of a source, switched on for ``ttl_s``, or off."""

    source: str = Field(min_length=1, max_length=64)
    output: str = Field(min_length=1, max_length=64)
    on: bool = True
    ttl_s: float = Field(default=30, ge=1, le=600)


class Fetch(Command):
    """``command/fetch``: the clip of an alert, up to so many pictures of it, on ``media/<alert_id>/<n>``."""

    alert_id: str = Field(min_length=1, max_length=64)
    pictures: int = Field(default=20, ge=1, le=40)


class Resend(Command):
    """``command/resend``: numbers of alerts or results that the centre has lost, as ranges (first, last)."""

    lane: Literal["alert", "result"]
    epoch: str = Field(min_length=1, max_length=64)
    ranges: list[tuple[int, int]] = Field(min_length=1, max_length=500)


class Ack(BaseModel):
    """``alert/ack``: a person's answer, by role and never by name."""

    alert_id: str = Field(min_length=1, max_length=64)
    role: str = Field(min_length=1, max_length=64)
    action: Literal["ack", "close", "reject"] = "ack"
    reason: str | None = Field(default=None, max_length=200)


State: TypeAlias = Literal["accepted", "succeeded"]
Run: TypeAlias = Callable[[Command, Mapping[str, Any]], Awaitable[State]]
"""Carries out a command, given what its results begin with. OSError: failed, ValueError: rejected."""
Done: TypeAlias = Callable[[dict[str, Any], Mapping[str, bytes]], Awaitable[None]]
"""Takes a result, and what is to be written down in the same commit."""
KEY = "commands"
"""Where the outbox remembers the ids of carried-out commands."""


class Limiter:
    """A token bucket for each command name: `BURST` at once, then `PER_SECOND`. Time comes in, in seconds."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}
        self._over: set[str] = set()
        self.dropped = 0
        """Commands that were over the limit."""

    def admit(self, name: str, now_s: float) -> Literal["yes", "first_over", "over"]:
        """Whether a command may be carried out; ``first_over`` for the first that may not."""
        tokens, since_s = self._buckets.get(name, (BURST, now_s))
        tokens = min(BURST, tokens + max(0.0, now_s - since_s) * PER_SECOND)
        if tokens >= 1:
            self._over.discard(name)
            self._buckets[name] = tokens - 1, now_s
            return "yes"
        self._buckets[name] = tokens, now_s
        self.dropped += 1
        first = name not in self._over
        self._over.add(name)
        return "first_over" if first else "over"


class Commands:
    """Carries out commands by name: ``ping``, ``rebirth``, ``output``, and more that are given."""

    def __init__(
        self,
        done: Done,
        *,
        rebirth: Callable[[], Awaitable[None]],
        output: Callable[[OutputCommand, Mapping[str, Any]], None],
        more: Mapping[str, tuple[type[Command], Run]] = MappingProxyType({}),
    ) -> None:
        """``output`` takes an order and what its results begin with; ValueError where it can't be."""
        self._done = done

        async def ask_rebirth(_: Command, __: Mapping[str, Any]) -> State:
            await rebirth()
            return "succeeded"

        async def take_order(command: Command, result: Mapping[str, Any]) -> State:
            assert isinstance(command, OutputCommand)  # noqa: S101  as the table below has it
            output(command, result)
            return "accepted"

        self._known: dict[str, tuple[type[Command], Run]] = {
            "ping": (Command, _nothing),
            "rebirth": (Command, ask_rebirth),
            "output": (OutputCommand, take_order),
            **more,
        }
        self._seen: dict[str, OrderedDict[bytes, None]] = {}
        self._effects: dict[str, OrderedDict[bytes, None]] = {}
        self._limiter = Limiter()

    def dump(self) -> bytes:
        """The ids of carried-out commands, for `restore`: ``NAME\0COUNT\0`` and so many digests, repeated."""
        return b"".join(
            name.encode() + b"\0" + str(len(ids)).encode() + b"\0" + b"".join(ids)
            for name, ids in self._effects.items()
        )

    def restore(self, data: bytes | None) -> None:
        """What `dump` gave. ValueError where it is damaged: then nothing is known to be a repeat."""
        effects: dict[str, OrderedDict[bytes, None]] = {}
        rest = data or b""
        while rest:
            name, _, rest = rest.partition(b"\0")
            count, _, rest = rest.partition(b"\0")
            size = int(count) * _DIGEST_BYTES
            if not 0 < size <= len(rest):
                raise ValueError("ids of commands: cut off")
            digests = (rest[at : at + _DIGEST_BYTES] for at in range(0, size, _DIGEST_BYTES))
            effects[name.decode()] = OrderedDict.fromkeys(digests)
            rest = rest[size:]
        self._effects = effects

    async def carry_out(
        self, name: str, payload: bytes, answer_to: str | None, *, retained: bool = False
    ) -> None:
        """Answers on ``command/result`` whatever comes: accepted, succeeded, failed, rejected, expired or
        duplicate. What is accepted gets its second answer when it is done.

        A retained command is neither carried out nor answered: the broker would repeat it for ever. Of those
        over the rate limit the first is answered.
        """
        if name == RESULT:
            return
        if retained:
            log.warning("command_ignored", command=name[:64], reason="retained; publish commands unretained")
            return
        run = self._known.get(name, (Command, None))[1]
        admitted = self._limiter.admit(name if run else "", time.monotonic())
        if admitted == "over":
            return
        answer_to = answer_to if answer_to is None or len(answer_to) <= MOST_ANSWER_TO else None
        result: dict[str, Any] = {"command": name[:64], "answer_to": answer_to}
        if admitted == "first_over":
            log.warning("commands_dropped", command=name[:64], dropped=self._limiter.dropped)
            reason = f"more than {BURST:g} at once and {PER_SECOND:g} a second; later ones get no answer"
            await self._done(result | {"state": "rejected", "reason": reason}, {})
            return
        await self._carry_out(name, payload, result)

    async def _carry_out(self, name: str, payload: bytes, result: dict[str, Any]) -> None:
        model, run = self._known.get(name, (Command, None))
        try:
            if len(payload) > MOST_BYTES:
                raise ValueError(f"payload: larger than {MOST_BYTES} bytes")
            command = model.model_validate_json(payload)
        except ValueError as error:
            reason = str(error)
            if isinstance(error, ValidationError):
                detail = error.errors(include_url=False)[0]
                reason = f"{'.'.join(map(str, detail['loc'])) or 'payload'}: {detail['msg']}"
                with suppress(ValidationError):
                    result["command_id"] = _Id.model_validate_json(payload).id
            await self._done(result | {"state": "rejected", "reason": reason[:300]}, {})
            return
        result["command_id"] = command.id
        digest = hashlib.sha256(command.id.encode()).digest()[:_DIGEST_BYTES]
        seen = self._seen.setdefault(name if run else "", OrderedDict())
        if digest in seen or digest in self._effects.get(name, ()):
            await self._done(result | {"state": "duplicate"}, {})
            return
        _remember(seen, digest, REMEMBERED)
        if command.expires is not None and command.expires < datetime.now(UTC):
            await self._done(result | {"state": "expired"}, {})
            return
        if run is None:
            known = ", ".join(sorted(self._known))
            reason = f"no command {name[:64]!r}; known: {known}"
            await self._done(result | {"state": "rejected", "reason": reason}, {})
            return
        try:
            state = await run(command, result)
        except OSError as error:
            await self._done(result | {"state": "failed", "reason": str(error)}, {})
        except ValueError as error:
            await self._done(result | {"state": "rejected", "reason": str(error)}, {})
        else:
            remember: dict[str, bytes] = {}
            if name not in NO_EFFECT:
                _remember(self._effects.setdefault(name, OrderedDict()), digest, REMEMBERED_EFFECTS)
                remember[KEY] = self.dump()
            await self._done(result | {"state": state}, remember)

    def acknowledged(self, book: AlertBook, payload: bytes, at: datetime) -> Alert | None:
        """The alert that a person has answered, or None where it is not active or the answer is malformed."""
        try:
            ack = Ack.model_validate_json(payload)
        except ValidationError:
            return None
        return book.acknowledge(ack.alert_id, ack.role, ack.action, at, ack.reason)


def _remember(ids: OrderedDict[bytes, None], digest: bytes, most: int) -> None:
    """Adds ``digest``; the oldest go where there are more than ``most``."""
    ids[digest] = None
    while len(ids) > most:
        ids.popitem(last=False)


async def _nothing(_: Command, __: Mapping[str, Any]) -> State:
    return "succeeded"
