"""The one thread that uses the disk, and how long the disk takes.

A disk may hang: a worn card collects its garbage, a network volume is away. Callers then stop waiting after
`HANGS_S`; the thread goes on, and does its work in order once the disk is back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from agent.host.clock import monotonic_s
from agent.host.threads import serial_executor

log = structlog.get_logger()

T = TypeVar("T")

HANGS_S = 2.0
"""A disk that takes longer than this for one step hangs."""
REPORTED_S = 60.0
"""How long `fault` goes on reporting a disk that has hung."""


class DiskThread:
    """Does one piece of work after the other."""

    def __init__(self) -> None:
        self._executor = serial_executor("outbox")
        self._began_s: float | None = None  # when the work in progress began
        self._took_s, self._hung_at_s = 0.0, float("-inf")

    def close(self) -> None:
        """Ends the thread after its work; blocking."""
        self._executor.shutdown(wait=True)

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Does ``work`` after all earlier work."""
        return self._executor.submit(self._timed, work)

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """As `submit`, for the event loop."""
        return asyncio.wrap_future(self.submit(work))

    async def finishes(self, work: "asyncio.Future[Any]") -> bool:
        """Waits for ``work`` as long as a disk that works may take; whether it is done. Raises its error."""
        done, _ = await asyncio.wait([work], timeout=0 if self.hangs else HANGS_S)
        if done:
            work.result()
        return bool(done)

    @property
    def idle(self) -> bool:
        return self._began_s is None

    @property
    def hangs(self) -> bool:
        """Whether the work in progress takes longer than `HANGS_S`."""
        return self.busy_s() > HANGS_S

    @property
    def fault(self) -> str | None:
        """The line for ``health`` while the disk hangs, and for a while after."""
        busy_s = self.busy_s()
        if busy_s > HANGS_S:
            return f"the disk takes {busy_s:.0f} s to write; what comes is sent from memory meanwhile"
        if monotonic_s() - self._hung_at_s < REPORTED_S:
            return f"the disk took {self._took_s:.0f} s to write; what came was sent from memory meanwhile"
        return None

    def busy_s(self) -> float:
        """How long the work in progress takes by now."""
        began_s = self._began_s
        return 0.0 if began_s is None else monotonic_s() - began_s

    def _timed(self, work: Callable[[], T]) -> T:
        self._began_s = monotonic_s()
        try:
            return work()
        finally:
            took_s = self.busy_s()
            self._began_s = None
            if took_s > HANGS_S:
                log.error("disk_hung", seconds=round(took_s, 1))
                self._took_s, self._hung_at_s = took_s, monotonic_s()
