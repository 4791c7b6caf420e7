"""The device that the pages show: its data folder, its agent's client, and since when that is away."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from console.agent_client import AgentClient


@dataclass(slots=True)
class Device:
    """One client for all sessions; `start` and `stop` are for the server's event loop."""

    data: Path
    client: AgentClient = field(init=False)
    away_since: datetime | None = field(init=False)
    """Since when the agent has not answered; None while it does."""
    _watching: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.client = AgentClient(self.data)
        self.away_since = datetime.now(UTC)

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
        await self.client.close()

    async def _watch(self) -> None:
        state = self.client.state
        while True:
            if state.name == "connected":
                self.away_since = None
            elif self.away_since is None:
                self.away_since = datetime.now(UTC)
            state = await self.client.state_changed(state)
