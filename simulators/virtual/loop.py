"""An event loop whose clock jumps: where nothing is ready, it is the time of the next timer.

Only kernel objects that hand over at once may be watched: socket pairs and pipes between parts of this
process. Work for an executor is done at once. One thread runs at a time (`simulators.virtual.worker`), so
that runs are repeatable.
"""

import asyncio
import contextvars
import heapq
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from simulators.virtual.incarnation import INCARNATION, Incarnation, dispose
from simulators.virtual.worker import Worker, in_worker

T = TypeVar("T")

BEGAN_S = 1000.0
"""The loop's time at the start of a run."""


class StalledError(RuntimeError):
    """Nothing is left that could ever happen."""


class _JumpingSelector(selectors.EpollSelector):
    """Reports descriptors in the order of their registration, never waits, and moves the clock instead."""

    loop: "VirtualLoop"

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[int, int] = {}
        self._next = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._next += 1
        self._numbers[key.fd] = self._next
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found:
            if len(found) > 1:
                found.sort(key=lambda one: self._numbers[one[0].fd])
            return found
        if timeout is None or timeout > 0:
            self.loop.jump()
        return found


class _Timer(asyncio.TimerHandle):
    """Timers of one instant run in the order in which they were set."""

    __slots__ = ("number",)
    number: int

    def __lt__(self, other: "_Timer") -> bool:  # type: ignore[override]
        mine, others = self._when, other._when  # type: ignore[attr-defined]  # `when` costs twice as much
        return bool(self.number < other.number if mine == others else mine < others)


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` is virtual; real time passes only as the work takes it."""

    def __init__(self) -> None:
        self.now_s = BEGAN_S
        self._deaths = self._timers = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self.set_task_factory(_make_task)  # type: ignore[arg-type]  # its protocol is stricter than its use

    def time(self) -> float:
        return self.now_s

    def jump(self) -> None:
        """Moves the clock to the next timer. StalledError where there is none."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not timers:
            raise StalledError("no timer, and nothing to read: the run waits for what never comes")
        self.now_s = max(self.now_s, timers[0].when())

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        return _unless_dead(handle, context) if self._deaths else handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # one thread runs at a time

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._timers += 1
        timer = _Timer(when, callback, args, self, context)
        timer.number = self._timers
        timer._scheduled = True  # type: ignore[attr-defined]  # what `TimerHandle.cancel` looks at
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        return _unless_dead(timer, context) if self._deaths else timer

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, function: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Calls ``function`` at once; in a worker where that may sleep."""
        done: asyncio.Future[T] = self.create_future()

        def work() -> None:
            try:
                result = function(*args)
            except Exception as error:
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(result)

        owner = INCARNATION.get()
        if owner is not None and owner.slow and not in_worker():
            Worker(self, work, "executor").start()
        else:
            work()
        return done

    def silence(self, incarnation: Incarnation) -> None:
        """The first half of `end`, which the incarnation itself may call: none of its timers runs again."""
        incarnation.dead = True
        self._deaths += 1
        for handle in (*self._scheduled, *self._ready):  # type: ignore[attr-defined]
            if handle._context is not None and handle._context.get(INCARNATION) is incarnation:
                handle.cancel()

    def end(self, incarnation: Incarnation) -> None:
        """Ends an incarnation as a SIGKILL does: its timers, its tasks and its workers never run again."""
        self.silence(incarnation)
        for key in list(self._selector.get_map().values()):  # type: ignore[attr-defined]
            if any(one is not None and _belongs(one, incarnation) for one in key.data):
                self.remove_reader(key.fd)
                self.remove_writer(key.fd)
        for worker in list(incarnation.workers):
            worker.end()
        for task in list(incarnation.tasks):
            dispose(task)
        incarnation.tasks.clear()


def _belongs(handle: asyncio.Handle, incarnation: Incarnation) -> bool:
    context: Context | None = handle._context  # type: ignore[attr-defined]
    return context is not None and context.get(INCARNATION) is incarnation


H = TypeVar("H", bound=asyncio.Handle)


def _unless_dead(handle: H, context: Context | None) -> H:
    owner = INCARNATION.get() if context is None else context.get(INCARNATION)
    if owner is not None and owner.dead:
        handle.cancel()
    return handle


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], **options: Any
) -> "asyncio.Task[T]":
    task = asyncio.Task(work, loop=loop, **options)
    context = options.get("context")
    owner = INCARNATION.get() if context is None else context.get(INCARNATION)
    if owner is not None:
        owner.tasks[task] = None
        task.add_done_callback(lambda done: owner.tasks.pop(done, None), context=contextvars.Context())
    return task


def run_on_virtual_loop(main: Callable[[], Awaitable[T]]) -> T:
    """Runs ``main()`` to its end on a new loop, as `asyncio.run`."""

    async def call() -> T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(call())
