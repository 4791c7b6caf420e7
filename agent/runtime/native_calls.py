"""Deadlines for native calls. A call that hangs can't be ended: its thread is abandoned and counted.

Whatever a thread waits in (the driver of a camera, a decoder, an accelerator), the agent goes on without it.
With too many abandoned threads the process ends with an exit code that requests a restart.
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

from agent.host.clock import monotonic_s
from agent.host.threads import start_thread
from agent.runtime.exit_codes import EX_TEMPFAIL

log = structlog.get_logger()

MAX_ABANDONED = 6
"""With this many hanging threads the process ends, to be restarted by its service manager."""
LAST_WAIT_S = 2.0
"""A thread that comes back from OpenCV while Python is being torn down takes the whole process with it."""

ENDS_WITHIN_S = 5.0
"""How long a finished process waits for threads that hang, say in a name look-up or a driver."""

T = TypeVar("T")

_abandoned: list[tuple[float, threading.Thread]] = []


def abandon(thread: threading.Thread) -> None:
    """Counts ``thread`` as abandoned; it ends once its call returns, if it ever does."""
    if thread.is_alive():
        _abandoned.append((monotonic_s(), thread))


def abandoned_threads(after_s: float = 10.0) -> int:
    """The number of threads that were abandoned this long ago and still hang in a native call."""
    _abandoned[:] = [(since_s, thread) for since_s, thread in _abandoned if thread.is_alive()]
    return sum(monotonic_s() - since_s > after_s for since_s, _ in _abandoned)


@atexit.register
def _join_abandoned() -> bool:
    """Waits `LAST_WAIT_S` for abandoned threads; returns whether one still hangs."""
    until_s = monotonic_s() + LAST_WAIT_S
    for _, thread in _abandoned:
        thread.join(max(0.0, until_s - monotonic_s()))
    return any(thread.is_alive() for _, thread in _abandoned)


def end_if_hung(code: int) -> None:
    """Ends this process with ``code`` where a native call hangs: Python's own end would abort it.

    A second Ctrl-C ends the wait, not the process: its KeyboardInterrupt would lead to Python's own end."""
    try:
        hung = _join_abandoned()
    except KeyboardInterrupt:
        hung = True
    if hung:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def end_when_unsound(task: asyncio.Task[None], every_s: float = 5.0) -> None:
    """Cancels ``task`` once `MAX_ABANDONED` native calls hang, and returns; else it never returns."""
    while abandoned_threads() < MAX_ABANDONED:  # noqa: ASYNC110  threads that hang set no event
        await asyncio.sleep(every_s)
    log.error("restart_requested", hanging_calls=abandoned_threads(), exit_code=EX_TEMPFAIL)
    task.cancel()


def end_within(seconds: float, code: int) -> None:
    """Ends this process with ``code`` if it has not ended by itself by then; everything is on disk."""

    def end() -> None:
        time.sleep(seconds)
        os._exit(code)

    threading.Thread(target=end, name="last", daemon=True).start()


def call_within(seconds: float, call: Callable[[], T], what: str) -> T:
    """`within` for a command without an event loop."""
    return asyncio.run(within(seconds, call, what))


async def within(
    seconds: float, call: Callable[[], T], what: str, abandon: Callable[[threading.Thread], None] = abandon
) -> T:
    """The result of ``call()`` on its own thread. TimeoutError after ``seconds``; the thread is abandoned.

    ``what`` names the call in the error. ``abandon`` replaces the count of abandoned threads for calls that
    end sooner or later, such as a name look-up.
    """
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(result)

    def run() -> None:
        result, failed = None, None
        try:
            result = call()
        except Exception as error:  # raised where it is waited for
            failed = error
        try:
            loop.call_soon_threadsafe(finish, result, failed)
        except RuntimeError:
            return  # the loop is closed: the caller is gone

    thread = start_thread(run, what)
    try:
        async with asyncio.timeout(seconds):
            found: T = await done
            return found
    except TimeoutError as error:
        raise TimeoutError(f"{what}: no answer for {seconds:g} s: it hangs") from error
    finally:
        if not done.done() or done.cancelled():
            abandon(thread)
