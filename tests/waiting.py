"""Waiting for a condition: a limit is there to end a test that will never pass, so it is generous."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

LIMIT_S = 60.0


async def until(check: Callable[[], Any], within_s: float = LIMIT_S) -> None:
    """Returns once ``check()`` is true. TimeoutError after ``within_s``."""
    async with asyncio.timeout(within_s):
        while not check():
            await asyncio.sleep(0.01)


def play(scene: Callable[[], Awaitable[Any]], within_s: float = 2 * LIMIT_S) -> None:
    """Runs ``scene()`` on a loop of its own."""
    asyncio.run(asyncio.wait_for(scene(), within_s))
