"""A message as it leaves the store, with its number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeAlias

from agent.domain.message import Lane, Message

Key: TypeAlias = tuple[str, Lane, int]
"""The name of a row: epoch, lane, number."""


class RowStore(Protocol):
    """The store that a row belongs to."""

    @property
    def closed(self) -> bool: ...

    @property
    def epoch(self) -> str: ...

    def delete(self, places: Sequence[tuple[Lane, int]]) -> int: ...


@dataclass(frozen=True, slots=True)
class Row:
    """A message with its number. ``age_s`` and ``expires_s`` (the time left) are None where unknown."""

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
    store: RowStore = field(repr=False, compare=False)
    place: int = 0
    """Its place in the store, across epochs."""
    rank: int = 0
    group: str = ""

    @property
    def key(self) -> Key:
        return self.epoch, self.lane, self.seq

    def to_message(self) -> Message:
        """The message as it was put, with its age and the time that it has left."""
        expires_after = None if self.expires_s is None else timedelta(seconds=max(0.0, self.expires_s))
        return Message(
            lane=self.lane,
            topic=self.topic,
            id=self.id,
            body=self.body,
            qos=1 if self.qos else 0,
            retain=self.retain,
            expires_after=expires_after,
            age_s=self.age_s,
            rank=self.rank,
            group=self.group,
        )


@dataclass(frozen=True, slots=True)
class ResendResult:
    """The answer to a centre that asks for numbers again: how many rows are resent, how many were pending
    anyway, and the ranges of numbers (first, last, count) that are not stored any more."""

    resent: int
    pending: int
    missing: tuple[tuple[int, int, int], ...]
