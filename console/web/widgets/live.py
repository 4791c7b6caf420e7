"""What a page shows goes on while its tab is seen; else nothing is asked or sent."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from nicegui import background_tasks, ui

from console.agent_client import AgentError

T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_S = 3.0

Job = Callable[[], Awaitable[None]]


class Live:
    """The jobs of one page. Make one in each page's `build`, then `follow`, `every` or `run`.

    A job is cancelled while the tab is hidden or its connection is lost, and starts again afterwards. What
    it draws goes into the element that was open when the job was added.
    """

    def __init__(self) -> None:
        self._client = ui.context.client
        self._jobs: dict[Job, asyncio.Task[None] | None] = {}
        self._hidden, self._connected = False, False
        self.problem = ""
        """Why a stream without ``on_end`` gives nothing at the moment: what the page shows of it is old."""
        ui.add_head_html('<script src="/static/visibility.js" defer></script>')
        ui.on("tab_hidden", lambda event: self._set_hidden(event.args))
        self._client.on_connect(lambda: self._set_connected(True))
        self._client.on_disconnect(lambda: self._set_connected(False))
        self._client.on_delete(self._stop)

    @property
    def seen(self) -> bool:
        """Whether somebody may look at the page now."""
        return self._connected and not self._hidden

    def follow(
        self,
        stream: Callable[[], AsyncIterator[T]],
        show: Callable[[T], None],
        on_end: Callable[[str], None] | None = None,
    ) -> Job:
        """Shows each event of ``stream()``; ``on_end`` gets the reason where the agent ends the stream.
        Without it the reason is `problem`, and the stream is asked for again."""

        async def job() -> None:
            while True:
                try:
                    async with aclosing(cast(Any, stream())) as events:
                        async for event in events:
                            self.problem = ""
                            _guarded(show, event)
                    return
                except AgentError as error:
                    if on_end is not None:
                        on_end(str(error))
                        return
                    self.problem = str(error)
                    await asyncio.sleep(RETRY_S)

        return self.run(job)

    def every(self, seconds: float, show: Callable[[], Awaitable[None] | None]) -> Job:
        """Calls ``show`` now and every ``seconds``; what it raises is logged."""

        async def job() -> None:
            while True:
                try:
                    answer = show()
                    if answer is not None:
                        await answer
                except Exception:  # one page's fault ends nothing else
                    log.exception("page")
                await asyncio.sleep(seconds)

        return self.run(job)

    def run(self, job: Job) -> Job:
        """Adds a job; `end` takes it."""
        slot = ui.context.slot

        async def in_place() -> None:
            with slot:
                await job()

        self._jobs[in_place] = None
        self._go_on()
        return in_place

    def jobs(self) -> frozenset[Job]:
        """All jobs, for what ends a part of a page with `end`."""
        return frozenset(self._jobs)

    def end(self, job: Job | None) -> None:
        """Ends a job for good."""
        if job is not None and (task := self._jobs.pop(job, None)) is not None:
            task.cancel()

    def _set_hidden(self, hidden: object) -> None:
        self._hidden = hidden is True or (isinstance(hidden, list) and hidden[:1] == [True])
        self._go_on()

    def _set_connected(self, connected: bool) -> None:
        self._connected = connected
        self._go_on()

    def _go_on(self) -> None:
        for job, task in self._jobs.items():
            if self.seen and task is None:
                self._jobs[job] = background_tasks.create(_ended_quietly(job), name="page")
            elif not self.seen and task is not None:
                task.cancel()
                self._jobs[job] = None

    def _stop(self) -> None:
        for task in self._jobs.values():
            if task is not None:
                task.cancel()
        self._jobs.clear()


async def _ended_quietly(job: Job) -> None:
    try:
        await job()
    except Exception:
        log.exception("page")


def _guarded(show: Callable[[T], None], event: T) -> None:
    """One event that can't be shown does not end its stream."""
    try:
        show(event)
    except Exception:
        log.exception("page")
