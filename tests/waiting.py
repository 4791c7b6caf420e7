"""Waiting for a condition: a limit is there to end a test that will never pass, so it is generous."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

LIMIT_S = 60.0
EVERY_S = 0.01


async def until(
    check: Callable[[], Any],
    within_s: float = LIMIT_S,
    *,
    doing: Callable[[], Any] | None = None,
    every_s: float = EVERY_S,
) -> None:
    """Returns once ``check()`` is true; calls ``doing()`` before each look. TimeoutError after ``within_s``.

    Both may be coroutine functions.
    """
    async with asyncio.timeout(within_s):
        while True:
            if doing is not None:
                await _awaited(doing())
            if await _awaited(check()):
                return
            await asyncio.sleep(every_s)


async def _awaited(found: Any) -> Any:
    return await found if asyncio.iscoroutine(found) else found


def until_true(check: Callable[[], Any], within_s: float = LIMIT_S) -> None:
    """`until` where there is no loop."""
    deadline_s = time.monotonic() + within_s
    while not check():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"it did not come in {within_s:g} s")
        time.sleep(EVERY_S)


def play(scene: Callable[[], Awaitable[Any]], within_s: float = 2 * LIMIT_S) -> None:
    """Runs ``scene()`` on a loop of its own."""
    asyncio.run(asyncio.wait_for(scene(), within_s))
