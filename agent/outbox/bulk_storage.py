"""Telemetry or pictures: in a segmented log, and in memory, within limits, while the disk fails."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.domain.message import Lane, Message
from agent.outbox.disk_faults import DiskFaults
from agent.outbox.losses import LossReporter, losses_of
from agent.outbox.opening import memory_store
from agent.outbox.rows import Row
from agent.outbox.segmented_log import SegmentedLog

MOST_IN_MEMORY: dict[Lane, int] = {"telemetry": 5_000, "media": 50}
"""Rows that memory keeps while the disk fails."""


class BulkStorage:
    """One lane. ``log`` is on disk; ``memory`` holds messages that it did not take."""

    def __init__(
        self, folder: Path, lane: Lane, max_bytes: int, faults: DiskFaults, losses: LossReporter
    ) -> None:
        self._lane = lane
        self._faults = faults
        self._losses = losses
        self.log = SegmentedLog(folder, lane, max_bytes, losses.report)
        self.memory = memory_store()

    def close(self) -> None:
        self.memory.close()
        self.log.close()

    def put(self, messages: Sequence[Message]) -> None:
        """Stores messages; in memory where the disk fails, where the oldest make room."""
        try:
            self.log.put(messages)
        except OSError as error:
            self._faults.report(self._lane, error)
            self.memory.put(messages)
            if (too_many := self.memory.count(self._lane) - MOST_IN_MEMORY[self._lane]) > 0:
                rows = self.memory.due(self._lane, 0, too_many)
                self._losses.report(losses_of(rows, "the disk takes nothing, and memory is full"))
                self.memory.delete([(row.lane, row.place) for row in rows])
        else:
            self._move_to_disk()

    def _move_to_disk(self) -> None:
        """The disk works again: messages that only memory holds are stored too, under new numbers."""
        memory = self.memory
        if rows := memory.due(self._lane, 0, memory.count(self._lane)):
            try:
                self.log.put([row.to_message() for row in rows])
            except OSError as error:
                self._faults.report(self._lane, error)
                return
            self.memory = memory_store()
            memory.close()
        self._faults.clear(self._lane)

    def retry(self) -> None:
        """Offers the disk what only memory holds."""
        try:
            self.log.probe()
        except OSError as error:
            self._faults.report(self._lane, error)
        else:
            self._move_to_disk()

    def due(self, after: Mapping[tuple[str, str], int], limit: int) -> list[Row]:
        """Up to ``limit`` rows behind the places ``after`` of (epoch, lane), oldest first."""
        rows: list[Row] = []
        try:
            rows = self.log.due(after, limit)
        except OSError as error:
            self._faults.report(self._lane, error)
        place = after.get((self.memory.epoch, self._lane), 0)
        return rows + self.memory.due(self._lane, place, limit - len(rows))

    def rewrite_deleted(self) -> None:
        """Writes files anew that were deleted or replaced while in use."""
        try:
            for name in self.log.rewrite_deleted():
                self._faults.report_deleted(name)
        except OSError as error:
            self._faults.report(self._lane, error)
