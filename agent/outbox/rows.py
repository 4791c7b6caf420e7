"""A message as it leaves the store."""

from dataclasses import dataclass, field
from typing import TypeAlias

from agent.domain.message import Lane
from agent.outbox.sqlite_store import Store

Key: TypeAlias = tuple[str, Lane, int]
"""What names a row: epoch, lane, number."""


@dataclass(frozen=True, slots=True)
class Row:
    """A message with its number. ``age_s`` and ``expires_s`` (what is left) are None where nobody knows."""

    lane: Lane
    seq: int
    id: str
    topic: str
    body: bytes
    qos: int
    retain: bool
    expires_s: float | None
    age_s: float | None
    epoch: str
    store: "Store" = field(repr=False, compare=False)
    place: int = 0
    """Where it stands in its store, whatever the epoch."""
    rank: int = 0
    group: str = ""

    @property
    def key(self) -> Key:
        return self.epoch, self.lane, self.seq


@dataclass(frozen=True, slots=True)
class Again:
    """What a centre that asks for numbers gets: how many rows once more, how many are owed anyway, and the
    runs of numbers (first, last, count) that are not here."""

    again: int
    owed: int
    missing: tuple[tuple[int, int, int], ...]
