"""Keeps a part running, for ever. `OSError` is the world, anything else a bug; neither stops another part."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from agent.runtime.error_text import describe_error
from agent.runtime.health import Running

log = structlog.get_logger()

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 60.0
STABLE_AFTER_S = 30.0
"""A part that ran this long begins its back-off anew."""


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    tell: Callable[[Running], None],
    *,
    longest_wait_s: float = LONGEST_WAIT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Runs ``run()`` again and again until it returns by itself or is cancelled.

    ``tell`` hears each change of state. The world's failures are one warning line on change, a bug is a
    traceback each time; both wait from `FIRST_WAIT_S`, doubling up to ``longest_wait_s``, with jitter.
    """
    wait_s, last_error = FIRST_WAIT_S, ""
    with structlog.contextvars.bound_contextvars(part=name):
        while True:
            began_s = clock()
            tell(Running("running"))
            try:
                await run()
            except OSError as error:
                reason = describe_error(error)
                if reason != last_error:
                    log.warning("part_lost", error=reason)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                log.exception("part_failed", error=reason)
            else:
                tell(Running("ended"))
                log.info("part_ended")
                return
            if clock() - began_s >= STABLE_AFTER_S:
                wait_s = FIRST_WAIT_S
            last_error = reason
            tell(Running("waiting", reason))
            await sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, longest_wait_s)
