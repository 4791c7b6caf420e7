"""Keeps a part running: restarts it with backoff after every failure; no failure stops another part."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from agent.host.clock import monotonic_s
from agent.host.entropy import uniform
from agent.runtime.error_text import describe_error
from agent.runtime.health import Running

log = structlog.get_logger()

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 60.0
SHARED_FIRST_WAIT_S = 1.0
"""Of a part whose other end a whole fleet shares."""
STABLE_AFTER_S = 30.0
"""A part that ran this long starts its backoff from `FIRST_WAIT_S` again."""


class BusyError(OSError):
    """The other end asks for patience: the longest wait follows."""


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    on_change: Callable[[Running], None],
    *,
    longest_wait_s: float = LONGEST_WAIT_S,
    first_wait_s: float = FIRST_WAIT_S,
    full_jitter: bool = False,
    clock: Callable[[], float] = monotonic_s,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Calls ``run()`` again and again until it returns by itself or is cancelled.

    ``on_change`` gets each change of state. An OSError (unplugged, refused, timed out) is logged in one line
    where it differs from the last one, any other exception with its traceback each time. Waits start at
    ``first_wait_s`` and double up to ``longest_wait_s``, with jitter: the upper half, or with ``full_jitter``
    all of it, so that a fleet that lost the same broker does not come back at the same time.
    """
    wait_s, last_error = first_wait_s, ""
    with structlog.contextvars.bound_contextvars(part=name):
        while True:
            began_s = clock()
            on_change(Running("running"))
            try:
                await run()
            except OSError as error:
                reason = describe_error(error)
                if reason != last_error:
                    log.warning("part_failed", error=reason)
                busy, crashed = isinstance(error, BusyError), False
            except Exception as error:
                reason, busy, crashed = f"{type(error).__name__}: {error}", False, True
                log.exception("part_crashed", error=reason)
            else:
                on_change(Running("ended"))
                log.info("part_ended")
                return
            if clock() - began_s >= STABLE_AFTER_S:
                wait_s = first_wait_s
            wait_s = longest_wait_s if busy else wait_s
            last_error = reason
            on_change(Running("waiting", reason, crashed))
            await sleep(wait_s * uniform(0.0 if full_jitter else 0.5, 1.0))
            wait_s = min(wait_s * 2, longest_wait_s)
