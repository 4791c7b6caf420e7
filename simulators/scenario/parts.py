"""The parts of a stage that must run until its end: simulated hardware, the truth, a centre."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from agent.runtime.error_text import describe_error
from simulators.run_record import RunRecord


class WatchedParts:
    """Tasks whose end before `close` is their death: the record has it, and the run is incomplete."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._closing = False
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        """By ``DEVICE.SOURCE``, or by the name of the part."""

    def start(
        self, work: Coroutine[Any, Any, Any], part: str, device: str | None = None, source: str = ""
    ) -> None:
        """Runs a part from now on."""
        task = asyncio.ensure_future(work)
        self.tasks[f"{device}.{source}" if device else part] = task

        def ended(done: "asyncio.Task[Any]") -> None:
            if not self._closing:
                where = {"source": source} if source else {}
                self._record.event("died", device, part=part, error=_why_ended(done), **where)

        task.add_done_callback(ended)

    async def close(self) -> None:
        """Ends all parts."""
        self._closing = True
        for task in self.tasks.values():
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks.values())


def _why_ended(task: "asyncio.Task[Any]") -> str:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Exception):
        return describe_error(error)
    return "it was cancelled" if task.cancelled() else "it ended"
