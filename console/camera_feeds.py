"""What the agent sees in its cameras, shared by all pages that look: one stream for each camera, while
somebody looks, and none at any other time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from console.agent_connection import AgentError
from console.agent_views import CameraMeta, CameraView

KEPT = 4
"""Pictures of a camera that are kept: a browser may ask for one that has just been followed by another."""
KEPT_METAS = 60


class CameraStreams(Protocol):
    """The part of `console.agent_client.AgentClient` that is used here."""

    def camera(
        self, name: str, fps: float = 5, width: int = 960, *, picture: bool = True
    ) -> AsyncIterator[CameraView]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """How often and how wide a viewer wants the pictures."""

    fps: float = 5.0
    width: int = 960


@dataclass(slots=True)
class CameraFeed:
    """The newest of one camera. ``shown``: the objects of the frame that the newest picture shows."""

    name: str
    meta: CameraMeta | None = None
    shown: CameraMeta | None = None
    pictures: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    number: int = 0
    """Of the newest picture; 0 before the first."""
    heard_s: float = 0.0
    """Monotonic time of the last word from the agent."""
    arrivals: list[float] = field(default_factory=list)
    error: str | None = None
    """Why the agent gives nothing of this camera."""
    metas: OrderedDict[int, CameraMeta] = field(default_factory=OrderedDict)

    def take(self, view: CameraView, now_s: float) -> None:
        """Takes an event of the stream."""
        self.meta, self.heard_s, self.error = view.meta, now_s, None
        if (frame := view.meta["frame"]) is not None:
            self.metas[frame] = view.meta
            while len(self.metas) > KEPT_METAS:
                self.metas.popitem(last=False)
        if view.meta["no_picture"]:
            self.pictures.clear()
            self.shown = None
        elif view.jpeg:
            self.number += 1
            self.pictures[self.number] = view.jpeg
            self.arrivals = [*self.arrivals[-19:], now_s]
            while len(self.pictures) > KEPT:
                self.pictures.popitem(last=False)
            of_picture = view.meta["picture_frame"]
            self.shown = view.meta if of_picture is None else self.metas.get(of_picture, view.meta)

    def picture_rate(self, now_s: float) -> float | None:
        """Pictures a second over the last seconds; None without two of them."""
        recent = [one for one in self.arrivals if now_s - one <= 5.0]
        if len(recent) < 2:
            return None
        return (len(recent) - 1) / max(0.001, recent[-1] - recent[0])


class CameraFeeds:
    """The feeds of all cameras that somebody looks at."""

    def __init__(self, agent: CameraStreams, clock: Callable[[], float] = time.monotonic) -> None:
        self._agent, self._clock = agent, clock
        self._feeds: dict[str, CameraFeed] = {}
        self._viewers: dict[str, dict[int, tuple[Wanted, Callable[[CameraFeed], object]]]] = {}
        self._tasks: dict[str, tuple[Wanted, asyncio.Task[None]]] = {}
        self._count = 0

    def watch(
        self, camera: str, wanted: Wanted, changed: Callable[[CameraFeed], object]
    ) -> Callable[[], None]:
        """Calls ``changed`` at each event of the camera, until the function returned is called."""
        self._count += 1
        number = self._count
        self._viewers.setdefault(camera, {})[number] = wanted, changed
        self._adjust(camera)

        def stop() -> None:
            if self._viewers.get(camera, {}).pop(number, None) is not None:
                self._adjust(camera)

        return stop

    def looking(self) -> dict[str, int]:
        """Number of viewers by camera."""
        return {name: len(viewers) for name, viewers in self._viewers.items() if viewers}

    def picture(self, camera: str, number: int) -> bytes | None:
        """A picture while somebody looks at the camera: redacted, as the agent gave it."""
        feed = self._feeds.get(camera)
        return None if feed is None else feed.pictures.get(number)

    def feed(self, camera: str) -> CameraFeed | None:
        """The feed of a camera that somebody looks at."""
        return self._feeds.get(camera)

    async def close(self) -> None:
        """Ends all streams."""
        self._viewers.clear()
        for camera in list(self._tasks):
            self._adjust(camera)

    def _adjust(self, camera: str) -> None:
        """Starts, restarts or ends the stream of a camera, as its viewers want it."""
        wishes = [wanted for wanted, _ in self._viewers.get(camera, {}).values()]
        running = self._tasks.get(camera)
        if not wishes:
            self._viewers.pop(camera, None)
            self._feeds.pop(camera, None)  # no picture stays in memory, or can be fetched
            if running is not None:
                self._tasks.pop(camera)[1].cancel()
            return
        wanted = Wanted(max(one.fps for one in wishes), max(one.width for one in wishes))
        if running is not None and running[0] == wanted and not running[1].done():
            return
        if running is not None:
            running[1].cancel()
        feed = self._feeds.setdefault(camera, CameraFeed(camera))
        task = asyncio.get_running_loop().create_task(self._follow(feed, wanted))
        self._tasks[camera] = wanted, task

    async def _follow(self, feed: CameraFeed, wanted: Wanted) -> None:
        try:
            views = self._agent.camera(feed.name, wanted.fps, wanted.width)
            async with aclosing(cast(Any, views)) as events:
                async for view in events:
                    feed.take(view, self._clock())
                    self._tell(feed)
        except AgentError as error:
            feed.error = str(error)
            self._tell(feed)

    def _tell(self, feed: CameraFeed) -> None:
        for _, changed in list(self._viewers.get(feed.name, {}).values()):
            with suppress(Exception):  # the page of one viewer is going away: the others go on
                changed(feed)
