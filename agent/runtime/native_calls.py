"""Native calls that hang. Nobody can end them: their thread is left behind, counted, and keeps no process.

A camera's driver, a decoder, a network on an accelerator: whatever a thread waits in, the agent goes on
without it. With too many of them it is ended on purpose, to be started again.
"""

import asyncio
import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from agent.runtime.exit_codes import EX_TEMPFAIL

log = structlog.get_logger()

MOST_LEFT = 6
"""With so many hanging threads a process is no longer sound: it is ended on purpose, to be started again."""
LAST_WAIT_S = 2.0
"""A thread that comes back from OpenCV while Python is being torn down takes the whole process with it."""

ENDS_WITHIN_S = 5.0
"""After its last word a process waits so long for threads that hang, say for a name or in a driver."""

T = TypeVar("T")

_left: list[tuple[float, threading.Thread]] = []


def abandon(thread: threading.Thread) -> None:
    """Nobody waits for ``thread`` any more; it ends once its call comes back, if it ever does."""
    if thread.is_alive():
        _left.append((time.monotonic(), thread))


def abandoned_threads(after_s: float = 10.0) -> int:
    """How many threads were asked to end this long ago, and hang in a native call still."""
    _left[:] = [one for one in _left if one[1].is_alive()]
    return sum(time.monotonic() - since_s > after_s for since_s, _ in _left)


@atexit.register
def _see_them_out() -> bool:
    """Waits a moment for who was left behind; whether somebody still hangs then."""
    until_s = time.monotonic() + LAST_WAIT_S
    for _, thread in _left:
        thread.join(max(0.0, until_s - time.monotonic()))
    return any(thread.is_alive() for _, thread in _left)


def end_if_hung(code: int) -> None:
    """Ends this process with ``code`` where a native call hangs: Python's own end would abort it."""
    if _see_them_out():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def end_when_unsound(task: asyncio.Task[None], every_s: float = 5.0) -> None:
    """Cancels ``task`` once `MOST_LEFT` native calls hang, and returns; else it never returns."""
    while abandoned_threads() < MOST_LEFT:  # noqa: ASYNC110  threads that hang set no event
        await asyncio.sleep(every_s)
    log.error("restart_requested", hanging_calls=abandoned_threads(), exit_code=EX_TEMPFAIL)
    task.cancel()


def end_within(seconds: float, code: int) -> None:
    """Ends this process with ``code`` if it has not ended by itself by then: all is written."""

    def end() -> None:
        time.sleep(seconds)
        os._exit(code)

    threading.Thread(target=end, name="last", daemon=True).start()


def call_within(seconds: float, call: Callable[[], T], what: str) -> T:
    """`within` for a command that has no loop."""
    return asyncio.run(within(seconds, call, what))


async def within(
    seconds: float, call: Callable[[], T], what: str, abandon: Callable[[threading.Thread], None] = abandon
) -> T:
    """``call()`` in a thread of its own. TimeoutError where it takes longer: the thread is left behind.

    ``abandon`` takes it where it is no native call that hangs for good, such as a name that is looked up.
    """
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(result)

    def run() -> None:
        result, failed = None, None
        try:
            result = call()
        except Exception as error:  # raised where it is waited for
            failed = error
        try:
            loop.call_soon_threadsafe(tell, result, failed)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    try:
        async with asyncio.timeout(seconds):
            found: T = await done
            return found
    except TimeoutError as error:
        raise TimeoutError(f"{what}: no answer for {seconds:g} s: it hangs") from error
    finally:
        if not done.done() or done.cancelled():
            abandon(thread)
