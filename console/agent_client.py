"""The client of the agent's local socket; it reconnects by itself, and its streams go on.

    async with AgentClient(data) as client:
        hello = await client.hello()
        async for view in client.camera("cam1", fps=5, width=960):
            ...

Entry point: `AgentClient`. One connection carries all requests and streams; one event loop uses it. A stream
whose reader is slow skips to the newest state (``now``, ``camera``), merges (``sources``) or drops the oldest
(``raw``, ``results``, ``log``): it never grows without limit.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from console.agent_connection import AgentConnection, AgentError, AgentUnreachableError, Event, Merge
from console.agent_views import (
    Alerts,
    CameraMeta,
    CameraView,
    ClientState,
    ConfigView,
    Hello,
    LogLine,
    Now,
    Picture,
    RawBytes,
    SentMessage,
    SourceUpdate,
    SourceValue,
)

__all__ = ["AgentClient", "AgentError", "AgentUnreachableError"]


class AgentClient:
    """The agent that keeps its data in the folder ``data``.

    Requests raise `AgentUnreachableError` (an OSError) where no agent answers within ``timeout_s``, and
    `AgentError` (a ValueError, one line) where the agent refuses. Streams wait for the agent and go on after
    its restart; `AgentError` ends them, such as for a camera that is not configured.
    """

    def __init__(self, data: Path, timeout_s: float = 5.0) -> None:
        self._connection = AgentConnection(data, timeout_s)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Begins to connect, in the running event loop."""
        self._connection.start()

    async def close(self) -> None:
        """Ends the connection and all streams."""
        await self._connection.close()

    @property
    def state(self) -> ClientState:
        """Whether the agent is reached, and why not."""
        return self._connection.state

    async def state_changed(self, known: ClientState) -> ClientState:
        """Waits until the state is another than ``known``; the new one."""
        return await self._connection.state_changed(known)

    async def hello(self) -> Hello:
        """The device and its agent."""
        return cast(Hello, await self._ask("hello"))

    async def alerts(self, limit: int = 100) -> Alerts:
        """The active alerts, and the ``limit`` newest messages about alerts, confirmed ones among them."""
        return cast(Alerts, await self._ask("alerts", limit=limit))

    async def picture(self, alert_id: str, n: int = 1) -> Picture:
        """Picture ``n`` of an alert as it was sent or recorded. AgentError where none is kept."""
        meta, jpeg = await self._connection.request("picture", {"alert_id": alert_id, "n": n})
        return Picture(jpeg, meta)

    async def config(self) -> ConfigView:
        """The configuration in force, the file at the device, the history and a trial under way."""
        return cast(ConfigView, await self._ask("config"))

    async def order(self, topic: str, payload: bytes) -> None:
        """Hands signed bytes to the gate, as if they came from a broker on ``topic`` (below the device's
        prefix: ``config/desired``, ``alert/ack``, ``command/<name>``, ``roles/desired``).

        The outcome comes in `results`. AgentError: another topic, or too many orders.
        """
        await self._connection.request("order", {"topic": topic}, payload)

    def now(self, every_s: float = 1.0) -> AsyncIterator[Now]:
        """The device, every ``every_s`` (at least 0.5) seconds."""
        return self._states("now", {"every_s": every_s})

    def camera(
        self, name: str, fps: float = 5, width: int = 960, *, picture: bool = True
    ) -> AsyncIterator[CameraView]:
        """What the agent sees in a camera: at most ``fps`` (10) times a second, pictures at most ``width``
        (1920) pixels wide, in proportion. Without ``picture`` only the boxes."""
        return self._camera({"camera": name, "fps": fps, "width": width, "picture": picture})

    def sources(self, source: str | None = None) -> AsyncIterator[SourceUpdate]:
        """The newest values of ``source``, or of all: a snapshot, then what is new."""
        return self._sources({} if source is None else {"source": source})

    def raw(self, source: str) -> AsyncIterator[RawBytes]:
        """The bytes that a serial line receives."""
        return self._raw({"source": source})

    def results(self) -> AsyncIterator[SentMessage]:
        """Each command/result, config/reported, status, alert and alerts/active as it is written."""
        return self._results()

    def log(self, level: str = "info") -> AsyncIterator[LogLine]:
        """The last lines of the log and all that follow, from ``level`` upward (debug … critical)."""
        return self._queued("log", {"level": level})

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        result, _ = await self._connection.request(method, params)
        return result

    async def _events(
        self, method: str, params: Mapping[str, Any], merge: Merge | None = None
    ) -> AsyncIterator[Event]:
        stream = self._connection.open_stream(method, params, merge)
        try:
            while True:
                yield await stream.next()
        finally:
            stream.close()

    async def _states(self, method: str, params: Mapping[str, Any]) -> AsyncIterator[Any]:
        async with aclosing(cast(Any, self._events(method, params, newest))) as events:
            async for event, _ in events:
                yield event

    async def _camera(self, params: Mapping[str, Any]) -> AsyncIterator[CameraView]:
        async with aclosing(cast(Any, self._events("camera", params, newest_with_picture))) as events:
            async for event, jpeg in events:
                yield CameraView(cast(CameraMeta, event), jpeg)

    async def _sources(self, params: Mapping[str, Any]) -> AsyncIterator[SourceUpdate]:
        async with aclosing(cast(Any, self._events("sources", params, all_values))) as events:
            async for event, _ in events:
                snapshot = "snapshot" in event
                values = cast(list[SourceValue], event["snapshot" if snapshot else "values"])
                yield SourceUpdate(values, snapshot)

    async def _raw(self, params: Mapping[str, Any]) -> AsyncIterator[RawBytes]:
        async with aclosing(cast(Any, self._events("raw", params))) as events:
            async for event, data in events:
                yield RawBytes(event["source"], event["at"], data, event.get("left_out", 0))

    async def _results(self) -> AsyncIterator[SentMessage]:
        async with aclosing(cast(Any, self._events("results", {}))) as events:
            async for event, _ in events:
                yield SentMessage(event["topic"], event["body"])

    async def _queued(self, method: str, params: Mapping[str, Any]) -> AsyncIterator[Any]:
        async with aclosing(cast(Any, self._events(method, params))) as events:
            async for event, _ in events:
                yield event


def newest(_: Event, new: Event) -> Event:
    """The state of now."""
    return new


def newest_with_picture(old: Event, new: Event) -> Event:
    """The state of now, with the newest picture: each is sent once."""
    return new[0], new[1] or old[1]


def all_values(old: Event, new: Event) -> Event:
    """The newest value of each key in both; a snapshot replaces what was before."""
    if "snapshot" in new[0]:
        return new
    kind = "snapshot" if "snapshot" in old[0] else "values"
    values = {
        (one["source"], one["value_kind"], one["key"]): one for one in (*old[0][kind], *new[0]["values"])
    }
    return {kind: list(values.values())}, b""
