"""From the scenes of one map to its browser: the newest one, at the pace at which the browser takes them."""

import asyncio
import json
import secrets
import weakref
from collections.abc import AsyncIterator
from typing import Any

from console.web.widgets.map_objects import Scene, SceneChanges

KEEP_ALIVE_S = 2.0
"""A message at least this often: without one the map says that it has lost the server."""

_channels: "weakref.WeakValueDictionary[str, MapChannel]" = weakref.WeakValueDictionary()


class MapChannel:
    """The scene of one map. A slow browser skips scenes; nothing queues up."""

    def __init__(self, owner: object = None) -> None:
        self.owner = owner
        """The session that may follow it."""
        self.name = secrets.token_urlsafe(18)
        """Known to the page of one session only."""
        self._scene: Scene | None = None
        self._look: tuple[float, float, int | None] | None = None
        self._version = 0
        self._changed = asyncio.Event()
        _channels[self.name] = self

    def show(self, scene: Scene) -> None:
        self._scene = scene
        self._wake()

    def look_at(self, lat: float, lon: float, zoom: int | None = None) -> None:
        """Moves the map there."""
        self._look = (lat, lon, zoom)
        self._wake()

    def _wake(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def messages(self) -> AsyncIterator[str]:
        """JSON texts for a browser that has just connected; never ends."""
        changes, sent = SceneChanges(), -1
        while True:
            if sent == self._version:
                changed = self._changed
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await changed.wait()
                except TimeoutError:
                    yield "{}"
                    continue
            sent = self._version
            message: dict[str, Any] = {} if self._scene is None else changes.message(self._scene)
            if self._look is not None:
                message["look"], self._look = self._look, None
            yield json.dumps(message, separators=(",", ":"))


def find_channel(name: str) -> MapChannel | None:
    """The channel of a page that is open."""
    return _channels.get(name)
