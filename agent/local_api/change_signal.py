"""Wakes the streams that wait for something new. For the event loop."""

import asyncio
from contextlib import suppress


class ChangeSignal:
    """`fire` wakes all that `wait`; costs nothing where nobody does."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def wait(self, within_s: float | None = None) -> None:
        """Returns at the next `fire`, or after ``within_s`` seconds."""
        fired = asyncio.get_running_loop().create_future()
        self._waiting.add(fired)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await fired
        finally:
            self._waiting.discard(fired)
