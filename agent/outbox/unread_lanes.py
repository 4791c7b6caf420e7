"""Which lanes may have rows that were not handed out. Pure; used on the event loop.

The sender asks often, and a question to the disk's thread costs a wake of two threads: a lane that is known
to be empty is not asked for. Where it is unclear whether a lane has rows, it counts as unread.
"""

from asyncio import Future
from collections.abc import Iterable, Sequence

from agent.domain.message import BULK_LANES, LANES, LAST_RANK, RECEIPT_LANES, Lane, Message
from agent.outbox.rows import Row


class UnreadLanes:
    """At first all lanes. Call `begin` before a read, and `end` only once it is done."""

    def __init__(self) -> None:
        self._lanes: set[Lane] = set(LANES)

    def add(self, lanes: Iterable[Lane]) -> None:
        """These may have new rows."""
        self._lanes.update(lanes)

    def begin(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Those of ``lanes`` that have to be read, in their order; what comes during the read counts anew."""
        unread = [lane for lane in lanes if lane in self._lanes]
        self._lanes.difference_update(unread)
        return unread

    def end(self, lanes: Sequence[Lane], limit: int, most_rank: int, reading: "Future[list[Row]]") -> None:
        """The ``reading`` of up to ``limit`` rows of ``lanes``, up to ``most_rank``, is done."""
        failed = reading.cancelled() or reading.exception() is not None
        if failed or len(reading.result()) >= limit or most_rank < LAST_RANK:
            self.add(lanes)
        if any(lane in BULK_LANES for lane in lanes):  # rows that had expired are reported as a gap
            self.add(RECEIPT_LANES)

    def written(self, messages: Iterable[Message], *, all_lanes: bool) -> None:
        """Messages were written; ``all_lanes``: the disk fails, and rows may have moved."""
        self.add(LANES if all_lanes else [*RECEIPT_LANES, *(one.lane for one in messages)])
