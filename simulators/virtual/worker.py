"""Threads of a run in virtual time: one runs while the loop waits for it, until it ends or sleeps."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextvars import ContextVar

from simulators.virtual.incarnation import INCARNATION


class Killed(BaseException):
    """Raised in the worker of a dead incarnation."""


class Worker:
    """A thread that runs only while the loop waits for it: until it ends, or sleeps in virtual time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], None], name: str) -> None:
        self._loop = loop
        self._work = work
        self._owner = INCARNATION.get()
        self._context = contextvars.copy_context()
        self._outside = contextvars.copy_context()  # no context is entered twice
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._timer: asyncio.TimerHandle | None = None
        self._hurried = False
        self.done = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> threading.Thread:
        """Runs the work until its first sleep, or to its end."""
        if self._owner is not None:
            self._owner.workers[self] = None
        self._thread.start()
        self._resume()
        return self._thread

    def sleep(self, seconds: float) -> None:
        """In the worker's thread: lets virtual time pass."""
        if self._hurried:
            return
        self._timer = self._loop.call_later(seconds, self._resume, context=self._outside)
        self._back.release()
        self._go.acquire()
        if self._owner is not None and self._owner.dead:
            raise Killed

    @property
    def runs_here(self) -> bool:
        """Whether the caller is in its thread."""
        return threading.current_thread() is self._thread

    def hurry(self) -> None:
        """Runs a worker that sleeps to its end, without time: the caller blocks the loop for it."""
        self._hurried = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.done:
            self._resume()

    def end(self) -> None:
        """Ends a worker that sleeps; its incarnation is dead."""
        if not self.done:
            self._resume()

    def _resume(self) -> None:
        self._go.release()
        self._back.acquire()
        if self.done:
            self._thread.join()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._context.run(self._in_context)
        except Killed:
            pass
        finally:
            if self._owner is not None:
                self._owner.workers.pop(self, None)
            self.done = True
            self._back.release()

    def _in_context(self) -> None:
        WORKER.set(self)
        self._work()


WORKER: ContextVar[Worker | None] = ContextVar("worker", default=None)
"""The worker whose thread this is; what it starts on the loop inherits it."""


def in_worker() -> bool:
    """Whether the caller is in the thread of a worker, not in that of the loop."""
    worker = WORKER.get()
    return worker is not None and worker.runs_here


def pass_time(seconds: float) -> None:
    """Blocks the calling worker in virtual time; a call on the loop itself takes no time."""
    worker = WORKER.get()
    if worker is not None and worker.runs_here and seconds > 0:
        worker.sleep(seconds)
