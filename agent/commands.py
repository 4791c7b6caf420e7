"""What the centre may ask, each command once, each with an answer. Nothing that arrives here is executed."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from agent.alerts import Alert, AlertBook

REMEMBERED = 256


class Command(BaseModel):
    """``command/<name>``: fields that we do not know are ignored."""

    id: str = Field(min_length=1, max_length=64)
    expires: AwareDatetime | None = None


class Ack(BaseModel):
    """``alert/ack``: a person's answer, by role and never by name."""

    alert_id: str = Field(min_length=1, max_length=64)
    role: str = Field(min_length=1, max_length=64)
    action: Literal["ack", "close", "reject"] = "ack"


class Commands:
    """Carries out commands by name: ``ping`` and ``rebirth``."""

    def __init__(
        self,
        done: Callable[[dict[str, Any]], Awaitable[None]],
        *,
        rebirth: Callable[[], Awaitable[None]],
    ) -> None:
        self._done = done
        self._known: dict[str, Callable[[], Awaitable[None]]] = {"ping": _nothing, "rebirth": rebirth}
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def carry_out(self, name: str, payload: bytes, answer_to: str | None) -> None:
        """Answers on ``command/result`` whatever comes: succeeded, failed, rejected, expired or duplicate."""
        result: dict[str, Any] = {"command": name, "answer_to": answer_to}
        try:
            command = Command.model_validate_json(payload)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(map(str, detail["loc"])) or "payload"
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
        run = self._known.get(name)
        if run is None:
            known = ", ".join(sorted(self._known))
            await self._done(result | {"state": "rejected", "reason": f"no command {name!r}; known: {known}"})
            return
        try:
            await run()
        except OSError as error:
            await self._done(result | {"state": "failed", "reason": str(error)})
            return
        await self._done(result | {"state": "succeeded"})

    def acknowledged(self, book: AlertBook, payload: bytes, at: datetime) -> Alert | None:
        """The alert that a person has answered, or None where it is not active or the answer is malformed."""
        try:
            ack = Ack.model_validate_json(payload)
        except ValidationError:
            return None
        return book.acknowledge(ack.alert_id, ack.role, ack.action, at)


async def _nothing() -> None:
    pass
