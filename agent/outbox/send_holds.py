"""Messages that are stored and not handed out yet: alerts under a second look. Used on the event loop.

A hold is on a group, so that no later phase of an alert overtakes its first one. It ends by `release` or at
its limit, whichever is first, and lives in memory only: after a restart nothing is held.

    read ─▶ add ─┬─▶ ready ─▶ take
                 └─▶ held by its group ─▶ release ─▶ ready
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from agent.domain.message import Lane, Message
from agent.outbox.rows import Row

MOST_AMENDED = 200
"""Amended bodies that are remembered, the latest: a read under way may still bring the earlier ones."""


@dataclass(slots=True)
class _Hold:
    limit: asyncio.TimerHandle
    on_release: Callable[[], None]
    rows: dict[str, Row] = field(default_factory=dict)
    """By id, in their order."""


class SendHolds:
    """Rows on their way from the stores to the sender. ``on_ready``: called when held ones become ready."""

    def __init__(self, on_ready: Callable[[], None]) -> None:
        self._on_ready = on_ready
        self._holds: dict[str, _Hold] = {}
        self._ready: dict[str, Row] = {}
        self._amended: OrderedDict[str, bytes] = OrderedDict()

    def hold(self, group: str, limit_s: float, on_release: Callable[[], None] = lambda: None) -> None:
        """Hands out no row of ``group`` for up to ``limit_s``. A second hold of it changes nothing."""
        if group not in self._holds:
            limit = asyncio.get_running_loop().call_later(limit_s, self.release, group)
            self._holds[group] = _Hold(limit, on_release)

    def release(self, group: str) -> None:
        """Its rows are the next to be handed out, in their order."""
        if (hold := self._holds.pop(group, None)) is None:
            return
        hold.limit.cancel()
        self._ready |= hold.rows
        hold.on_release()
        self._on_ready()

    def amend(self, message: Message) -> None:
        """The row of this message is handed out with its present body."""
        self._amended[message.id] = message.body
        while len(self._amended) > MOST_AMENDED:
            self._amended.popitem(last=False)
        for rows in (self._ready, *(hold.rows for hold in self._holds.values())):
            if message.id in rows:
                rows[message.id] = replace(rows[message.id], body=message.body)

    def written(self, amended: Iterable[Message]) -> None:
        """These are on disk: their holds end."""
        for message in amended:
            self.release(message.group)

    def amended(self, rows: Iterable[Row]) -> list[Row]:
        """The same rows with amended bodies."""
        return [replace(row, body=self._amended[row.id]) if row.id in self._amended else row for row in rows]

    def add(self, rows: Sequence[Row]) -> bool:
        """Rows that a store has handed out; whether there are any. A repeat keeps the place of its row."""
        for row in self.amended(rows):
            hold = self._holds.get(row.group) if row.group else None
            (self._ready if hold is None else hold.rows)[row.id] = row
        return bool(rows)

    def take(self, limit: int, lanes: Container[Lane]) -> list[Row]:
        """Up to ``limit`` ready rows of ``lanes``, which are not handed out again."""
        taken = [row for row in self._ready.values() if row.lane in lanes][: max(limit, 0)]
        for row in taken:
            del self._ready[row.id]
        return taken

    def rewind(self, lanes: Container[Lane]) -> None:
        """The stores hand out all rows of ``lanes`` again; groups that are held stay so."""
        self._ready = {key: row for key, row in self._ready.items() if row.lane not in lanes}
        for hold in self._holds.values():
            hold.rows = {key: row for key, row in hold.rows.items() if row.lane not in lanes}

    def release_all(self) -> None:
        """Ends all holds: the agent stops."""
        for group in list(self._holds):
            self.release(group)

    @property
    def groups(self) -> Sequence[str]:
        """The groups that are held."""
        return tuple(self._holds)
