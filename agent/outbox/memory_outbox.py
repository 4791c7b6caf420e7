"""Messages that are not written yet, handed out from memory while the disk hangs. Used on the event loop.

They get numbers of an epoch of their own, and keep their id: what the disk hands out later is a repeat.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.domain.message import BULK_LANES, LATEST_LANES, Lane, Message
from agent.host.clock import since_boot_s
from agent.outbox.opening import memory_store
from agent.outbox.rows import Row


class MemoryOutbox:
    """Telemetry and pictures are left out: they can wait for the disk."""

    def __init__(self) -> None:
        self._store = memory_store()  # empty: it marks our rows, and names their epoch
        self._unwritten: dict[str, tuple[Message, float]] = {}
        self._rows: dict[str, Row] = {}
        self._handed_out: set[str] = set()
        self._delivered: set[str] = set()
        self._with_receipt: set[str] = set()
        self._last: dict[Lane, int] = {}

    def expect(self, messages: Iterable[Message]) -> None:
        """These will be written soon."""
        for message in messages:
            if message.lane not in BULK_LANES and message.id not in self._unwritten:
                self._unwritten[message.id] = message, since_boot_s() - (message.age_s or 0.0)

    def amend(self, message: Message) -> None:
        """A message that waits to be written has another body."""
        if message.id in self._unwritten:
            self._unwritten[message.id] = message, self._unwritten[message.id][1]
        if message.id in self._rows:
            self._rows[message.id] = replace(self._rows[message.id], body=message.body)

    def remove_written(self, messages: Iterable[Message]) -> None:
        """The disk has these, and hands them out from now on."""
        for message in messages:
            self._unwritten.pop(message.id, None)
            self._rows.pop(message.id, None)
            self._handed_out.discard(message.id)

    def due(self, limit: int, lanes: Sequence[Lane], most_rank: int) -> list[Row]:
        """The next messages that were not handed out since `rewind`, in the order of lanes and ranks."""
        done = self._handed_out | self._delivered | self._with_receipt
        newest = {one.topic: one.id for one, _ in self._unwritten.values() if one.lane in LATEST_LANES}
        ranks: dict[str, int] = {}
        found: list[tuple[int, int, int, str]] = []
        for number, (identity, (message, _)) in reversed(list(enumerate(self._unwritten.items()))):
            rank = message.rank
            if message.group:  # an earlier phase goes no later than what follows it
                rank = ranks[message.group] = min(rank, ranks.get(message.group, rank))
            replaced = message.lane in LATEST_LANES and newest[message.topic] != identity
            if message.lane in lanes and identity not in done and not replaced and rank <= most_rank:
                found.append((lanes.index(message.lane), rank, number, identity))
        chosen = [identity for *_, identity in sorted(found)[:limit]]
        self._handed_out.update(chosen)
        return self.by_id(chosen)

    def by_id(self, ids: Iterable[str]) -> list[Row]:
        """The unwritten messages with these ids; a message keeps the number that it was given first."""
        return [self._row(identity) for identity in ids if identity in self._unwritten]

    def rewind(self, lanes: Iterable[Lane]) -> None:
        """Hands out again all messages of ``lanes``; each connection makes a new status and position."""
        again = frozenset(lanes)
        lane_of = {identity: message.lane for identity, (message, _) in self._unwritten.items()}
        self._handed_out -= {identity for identity, lane in lane_of.items() if lane in again}
        if again.issuperset(LATEST_LANES):
            for identity in [identity for identity, lane in lane_of.items() if lane in LATEST_LANES]:
                del self._unwritten[identity]

    def mark_delivered(self, row: Row) -> bool:
        """False where ``row`` is not from this outbox."""
        if row.store is not self._store:
            return False
        self._delivered.add(row.id)
        return True

    def record_receipts(self, ids: Iterable[str]) -> None:
        """The centre has the messages with these ids."""
        self._with_receipt |= self._unwritten.keys() & set(ids)

    def unconfirmed(self, lane: Lane) -> list[Message]:
        """The messages of ``lane`` that are neither written nor confirmed."""
        done = self._delivered | self._with_receipt
        return [one for one, _ in self._unwritten.values() if one.lane == lane and one.id not in done]

    def take_completed(self) -> tuple[list[str], list[str]]:
        """Ids of written messages that were delivered, and of those that have their receipt; each once."""
        delivered = self._delivered - self._unwritten.keys()
        with_receipt = self._with_receipt - self._unwritten.keys()
        self._delivered -= delivered
        self._with_receipt -= with_receipt
        return list(delivered), list(with_receipt)

    def _row(self, identity: str) -> Row:
        message, made_s = self._unwritten[identity]
        age_s = since_boot_s() - made_s
        if identity not in self._rows:
            seq = self._last[message.lane] = self._last.get(message.lane, 0) + 1
            self._rows[identity] = Row(
                message.lane, seq, identity, message.topic, message.body, message.qos, message.retain, None,
                None, self._store.epoch, self._store, seq, message.rank, message.group,
            )  # fmt: skip
        left = message.expires_after
        expires_s = None if left is None else left.total_seconds() - age_s
        return replace(
            self._rows[identity], age_s=None if message.age_s is None else age_s, expires_s=expires_s
        )
