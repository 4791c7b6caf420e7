"""What simulated hardware is attached to: the clock of the run, and its end of a line."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from agent.host.clock import monotonic_s, utc_now


class HardwareLine(Protocol):
    """The hardware's end of a line: a `simulators.wire.Wire`, or one of virtual time."""

    on_received: Callable[[], None]
    """Called when there may be something to read."""

    def write(self, data: bytes) -> int:
        """The number of bytes that reached the agent."""

    def read(self) -> bytes:
        """The bytes received since the last call."""


class RunTime:
    """Seconds of the run, and the true time: second 0 is ``began``; ``now_s`` is that of a stage.

    By default second 0 is now.
    """

    def __init__(self, began: datetime | None = None, now_s: Callable[[], float] | None = None) -> None:
        self._began_s = loop_s()
        self.now_s: Callable[[], float] = now_s or self._since_s
        self.began = began.astimezone(UTC) if began else utc_now() - timedelta(seconds=self.now_s())

    def _since_s(self) -> float:
        return loop_s() - self._began_s

    async def sleep_until(self, second: float) -> None:
        await asyncio.sleep(max(0.0, second - self.now_s()))


def loop_s() -> float:
    """The clock of the running loop, which a real loop shares with the machine."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return monotonic_s()
