"""The device that the pages show: its data folder, its agent's client, and since when that is away."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from console.agent_client import AgentClient, AgentError, AgentUnreachableError
from console.agent_views import Hello
from console.camera_feeds import CameraFeeds
from console.pages.checks import Checks


@dataclass(slots=True)
class Device:
    """One client for all sessions; `start` and `stop` are for the server's event loop."""

    data: Path
    client: AgentClient = field(init=False)
    feeds: CameraFeeds = field(init=False)
    """What all pages see of its cameras."""
    away_since: datetime | None = field(init=False)
    """Since when the agent has not answered; None while it does."""
    hello: Hello | None = field(init=False, default=None)
    """The device as its agent last named it."""
    checks: Checks = field(init=False)
    _watching: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.client = AgentClient(self.data)
        self.feeds = CameraFeeds(self.client)
        self.away_since = datetime.now(UTC)
        self.checks = Checks(self.data)

    async def start(self) -> None:
        """Begins to connect, and to connect again."""
        await self.client.start()
        self._watching = asyncio.create_task(self._watch(), name="agent-state")

    async def stop(self) -> None:
        """Ends the connection."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self.feeds.close()
        await self.client.close()

    @property
    def config_file(self) -> str | None:
        """The configuration file of the agent, where it has named it."""
        return self.hello["config_file"] if self.hello is not None else None

    async def check(self, *, everything: bool = False) -> None:
        """Makes the checks of ``doctor``; see `Checks.run`."""
        await self.checks.run(self.config_file, everything=everything)

    async def _watch(self) -> None:
        state = self.client.state
        while True:
            if state.name == "connected":
                self.away_since = None
                with contextlib.suppress(AgentError, AgentUnreachableError):
                    self.hello = await self.client.hello()
            elif self.away_since is None:
                self.away_since = datetime.now(UTC)
            state = await self.client.state_changed(state)
