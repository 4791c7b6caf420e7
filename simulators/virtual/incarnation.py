"""One life of a process of the run, and its end: as a SIGKILL, without a ``finally`` that has an effect."""

import asyncio
import inspect
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Protocol

CLOSES = 20
"""How often a coroutine that goes on in its ``finally`` is closed."""


class Ends(Protocol):
    """A worker."""

    def end(self) -> None:
        """Ends it where it sleeps; its incarnation is dead."""


class Incarnation:
    """One life of a process of the run: tasks, timers and workers that were started in its context.

    Once `VirtualLoop.end` was called, nothing of it runs any more, not even its ``finally`` blocks.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.slow = False
        """Whether work for an executor may sleep in virtual time: then it gets a worker."""
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.workers: dict[Ends, None] = {}


INCARNATION: ContextVar[Incarnation | None] = ContextVar("incarnation", default=None)


def dispose(task: "asyncio.Task[Any]") -> None:
    """Frees the frames of a task that never runs again.

    From the inside out: what a ``finally`` raises meanwhile reaches no ``except`` of its callers.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    asyncio.tasks._unregister_task(task)
    for _ in range(CLOSES):
        waiting: list[Any] = []
        work: Any = task.get_coro()
        while inspect.iscoroutine(work) and work.cr_frame is not None:
            waiting.append(work)
            work = work.cr_await
        if not waiting:
            return
        for work in reversed(waiting):
            with suppress(BaseException):  # a ``finally`` that waits: it has no effect any more
                work.close()
