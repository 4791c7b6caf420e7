"""Rows that will never be sent."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from agent.domain.message import Lane
from agent.outbox.sqlite_store import Store

POWER_LOST = "power was lost: what was written in the last moments before may be missing"
DAMAGED = "its file was damaged: what could still be read goes out under new numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Rows that will never come, for the gap receipt; a number that nobody knows is None."""

    lane: Lane
    epoch: str | None
    first: int | None = None
    last: int | None = None
    count: int | None = None
    why: str


def give_up_unreadable(store: Store, tell: Callable[[Sequence[Loss]], None]) -> None:
    """Rows whose content the disk has spoilt are told as lost, and leave."""
    found, store.unreadable = store.unreadable, []
    if found:
        why = "the disk spoilt it"
        tell(
            [
                Loss(lane=row.lane, epoch=row.epoch, first=row.seq, last=row.seq, count=1, why=why)
                for row in found
            ]
        )
        with suppress(OSError):
            store.delete([(row.lane, row.place) for row in found])
