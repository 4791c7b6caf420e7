"""What was said and is not written yet, handed out from memory while the disk hangs. Used on the loop.

It gets numbers of an epoch of its own, and keeps its id: what the disk hands out later is a repeat.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.domain.message import KEEP_LATEST, Lane, Message
from agent.outbox.rows import Row
from agent.outbox.segmented_log import LANES as BULK
from agent.outbox.sqlite_store import Store
from agent.runtime.kernel_clock import since_boot_s


class MemoryOutbox:
    """Telemetry and pictures are left out: they can wait for the disk."""

    def __init__(self) -> None:
        self._store = Store.in_memory()  # empty: it marks our rows, and names their epoch
        self._waiting: dict[str, tuple[Message, float]] = {}
        self._rows: dict[str, Row] = {}
        self._out: set[str] = set()
        self._settled: set[str] = set()
        self._received: set[str] = set()
        self._last: dict[Lane, int] = {}

    def expect(self, messages: Iterable[Message]) -> None:
        """These are about to be written."""
        for message in messages:
            if message.lane not in BULK and message.id not in self._waiting:
                self._waiting[message.id] = message, since_boot_s() - (message.age_s or 0.0)

    def written(self, messages: Iterable[Message]) -> None:
        """The disk has them, and hands them out from now on."""
        for message in messages:
            self._waiting.pop(message.id, None)
            self._rows.pop(message.id, None)
            self._out.discard(message.id)

    def due(self, limit: int, lanes: Sequence[Lane], most_rank: int) -> list[Row]:
        """The next of them that were not handed out since `rewind`, in the order of lanes and ranks."""
        done = self._out | self._settled | self._received
        newest = {one.topic: one.id for one, _ in self._waiting.values() if one.lane in KEEP_LATEST}
        ranks: dict[str, int] = {}
        found: list[tuple[int, int, int, str]] = []
        for number, (identity, (message, _)) in reversed(list(enumerate(self._waiting.items()))):
            rank = message.rank
            if message.group:  # an earlier phase goes no later than what follows it
                rank = ranks[message.group] = min(rank, ranks.get(message.group, rank))
            stale = message.lane in KEEP_LATEST and newest[message.topic] != identity
            if message.lane in lanes and identity not in done and not stale and rank <= most_rank:
                found.append((lanes.index(message.lane), rank, number, identity))
        chosen = [identity for *_, identity in sorted(found)[:limit]]
        self._out.update(chosen)
        return self.again(chosen)

    def again(self, ids: Iterable[str]) -> list[Row]:
        """Those of these that wait, under the numbers that they have once got."""
        return [self._row(identity) for identity in ids if identity in self._waiting]

    def rewind(self, lanes: Iterable[Lane]) -> None:
        """Hands out again what waits; what is said anew with each connection is left to that."""
        again = frozenset(lanes)
        here = {identity: message.lane for identity, (message, _) in self._waiting.items()}
        self._out -= {identity for identity, lane in here.items() if lane in again}
        if again >= KEEP_LATEST:
            for identity in [identity for identity, lane in here.items() if lane in KEEP_LATEST]:
                del self._waiting[identity]

    def settled(self, row: Row) -> bool:
        """Delivered; False where ``row`` is none of these."""
        if row.store is not self._store:
            return False
        self._settled.add(row.id)
        return True

    def received(self, ids: Iterable[str]) -> None:
        """The centre has them."""
        self._received |= self._waiting.keys() & set(ids)

    def done(self) -> tuple[list[str], list[str]]:
        """Ids that were delivered, and that have their receipt, and that the disk has by now; told once."""
        settled = self._settled - self._waiting.keys()
        received = self._received - self._waiting.keys()
        self._settled -= settled
        self._received -= received
        return list(settled), list(received)

    def _row(self, identity: str) -> Row:
        message, made_s = self._waiting[identity]
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
