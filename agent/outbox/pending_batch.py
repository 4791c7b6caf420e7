"""What waits for the next write to the disk. Used on the event loop."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.domain.message import Message
from agent.outbox.rows import Row


class Batch(NamedTuple):
    """The arguments of `agent.outbox.lane_storage.LaneStorage.put`."""

    messages: list[Message]
    remember: dict[str, bytes]
    delivered: list[Row]
    amended: list[Message]


class PendingBatch:
    """Grows until it is taken."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._remember: dict[str, bytes] = {}
        self.delivered: list[Row] = []
        self._amended: list[Message] = []

    def amend(self, message: Message) -> None:
        """A message that waits has another body."""
        self.messages = [message if one.id == message.id else one for one in self.messages]

    def add(
        self, messages: Iterable[Message], remember: Mapping[str, bytes], amended: Iterable[Message]
    ) -> None:
        """``amended``: messages that are stored, or part of an earlier batch, and have other bodies."""
        self.messages += messages
        self._remember |= remember
        self._amended += amended

    def take_delivered(self) -> list[Row]:
        """The rows to delete, without the rest."""
        delivered, self.delivered = self.delivered, []
        return delivered

    def take(self) -> Batch:
        """All of it."""
        batch = Batch(self.messages, self._remember, self.delivered, self._amended)
        self.messages, self._remember, self.delivered, self._amended = [], {}, [], []
        return batch
