"""Threads of a run in virtual time: one runs while the loop waits for it, until it ends or sleeps."""

import contextvars
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from simulators.virtual.incarnation import INCARNATION

if TYPE_CHECKING:
    from simulators.virtual.loop import VirtualLoop


class Killed(BaseException):
    """Raised in the worker of a dead incarnation."""


class Worker:
    """A thread that runs only while the loop waits for it: until it ends, or sleeps in virtual time."""

    def __init__(self, loop: "VirtualLoop", work: Callable[[], None], name: str) -> None:
        self._loop = loop
        self._work = work
        self._owner = INCARNATION.get()
        self._context = contextvars.copy_context()
        self._outside = contextvars.copy_context()  # no context is entered twice
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
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
        self._loop.call_at(self._loop.now_s + seconds, self._resume, context=self._outside)
        self._back.release()
        self._go.acquire()
        if self._owner is not None and self._owner.dead:
            raise Killed

    def end(self) -> None:
        """Ends a worker that sleeps; its incarnation is dead."""
        if self._thread.is_alive():
            self._resume()

    def _resume(self) -> None:
        self._go.release()
        self._back.acquire()
        if self._done:
            self._thread.join()

    _done = False

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._context.run(self._in_context)
        except Killed:
            pass
        finally:
            if self._owner is not None:
                self._owner.workers.pop(self, None)
            self._done = True
            self._back.release()

    def _in_context(self) -> None:
        WORKER.set(self)
        self._work()


WORKER: ContextVar[Worker | None] = ContextVar("worker", default=None)


def pass_time(seconds: float) -> None:
    """Blocks the calling worker in virtual time; a call on the loop itself takes no time."""
    worker = WORKER.get()
    if worker is not None and seconds > 0:
        worker.sleep(seconds)
