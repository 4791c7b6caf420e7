"""Messages that will never be sent. Each loss is reported to the centre before it happens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from pydantic import BaseModel

from agent.domain.message import Lane, Message, encode, new_id
from agent.outbox.rows import Row

log = structlog.get_logger()

POWER_LOST = "power was lost: what was written in the last moments before may be missing"
DAMAGED = "its file was damaged: what could still be read goes out under new numbers"
UNREADABLE = "the disk corrupted it"
NOT_KEPT = "asked for again, and no longer kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A range of lost numbers, for the gap message; an unknown number is None."""

    lane: Lane
    epoch: str | None
    first: int | None = None
    last: int | None = None
    count: int | None = None
    why: str


def losses_of(rows: Sequence[Row], why: str) -> list[Loss]:
    """One loss for each run of consecutive numbers."""
    losses: list[Loss] = []
    for row in rows:
        before = losses[-1] if losses else None
        if before and (before.epoch, before.lane, before.last) == (row.epoch, row.lane, row.seq - 1):
            losses[-1] = replace(before, last=row.seq, count=(before.count or 0) + 1)
        else:
            losses.append(Loss(lane=row.lane, epoch=row.epoch, first=row.seq, last=row.seq, count=1, why=why))
    return losses


class LostAlerts(BaseModel):
    """How many alerts were lost since the file was made; ``more``: and others, of a file that was damaged."""

    count: int = 0
    more: bool = False


LOST = "lost"
"""Where `LostAlerts` are remembered."""


class LossReporter:
    """Makes a gap message for each loss, in the lane ``result``. ``put`` makes messages durable, or keeps
    them in memory where the disk cannot be written.

    Losses that are found while the stores are opened wait until `ready`.
    """

    def __init__(self, put: Callable[[Sequence[Message]], None]) -> None:
        self.ready = False
        self.gap: Callable[[Mapping[str, Any]], Message] = _gap_without_envelope
        """Makes the message from its fields ``of_epoch`` and ``gap``."""
        self._put = put
        self._pending: list[Loss] = []
        self.alerts = LostAlerts()

    def add(self, loss: Loss) -> None:
        """A loss that the next `report` tells of."""
        self._pending.append(loss)

    def report(self, losses: Sequence[Loss] = ()) -> None:
        """Returns once the gap messages are put: only then may the rows be deleted."""
        self._pending += losses
        if self._pending and self.ready:
            pending, self._pending = self._pending, []
            messages = []
            for loss in pending:
                fields = asdict(loss)
                log.warning("messages_lost", **fields)
                epoch = fields.pop("epoch")
                messages.append(self.gap({"of_epoch": epoch, "gap": fields}))
                if loss.lane == "alert" and loss.why != NOT_KEPT:  # those have had their receipt
                    count, more = self.alerts.count + (loss.count or 0), loss.count is None
                    self.alerts = LostAlerts(count=count, more=more or self.alerts.more)
            self._put(messages)


def lost_alerts(data: bytes | None) -> LostAlerts:
    """As remembered; nothing was lost where nothing is."""
    try:
        return LostAlerts.model_validate_json(data or b"{}")
    except ValueError:
        return LostAlerts(more=True)


def _gap_without_envelope(fields: Mapping[str, Any]) -> Message:
    identity = new_id()
    body = encode({"schema": "gap/1", "id": identity, **fields})
    return Message(lane="result", topic="gap", id=identity, body=body)
