"""Threads for calls that may block: in order for a disk, and one thread for each native call."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar, Token, copy_context


class Threads:
    """The threads of this process."""

    def serial(self, name: str) -> Executor:
        """Does one piece of work after the other, in their order."""
        return ThreadPoolExecutor(1, name)

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Does ``work`` on a thread of its own, which the end of the process does not wait for; with the host
        of the present context."""
        thread = threading.Thread(target=copy_context().run, args=(work,), name=name, daemon=True)
        thread.start()
        return thread


_THREADS: ContextVar[Threads] = ContextVar("threads", default=Threads())  # noqa: B039  it has no state


def use_threads(threads: Threads) -> Token[Threads]:
    """Makes ``threads`` those of the present context, and of all tasks that it starts from now on."""
    return _THREADS.set(threads)


def serial_executor(name: str) -> Executor:
    """Does one piece of work after the other, in their order."""
    return _THREADS.get().serial(name)


def start_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """Does ``work`` on a thread of its own, which the end of the process does not wait for."""
    return _THREADS.get().start(work, name)
