"""The connection of `console.agent_client`: requests by id, streams that are asked for again, reconnects."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from agent.local_api.address import socket_address
from agent.local_api.frames import MAX_ANSWER_BYTES, SOCKET, FrameError, encode_frame, read_frame
from console.agent_views import ClientState

RECONNECT_S = 0.25
RECONNECT_MOST_S = 3.0

TICK_S = 1.0
ASK_AFTER_S, SILENT_AFTER_S = 2.0, 6.0
"""An agent that has sent nothing for so long is asked whether it is there, and then taken for silent: a
process that is stopped, or that hangs, keeps its socket open."""
SILENT = "the agent says nothing: its process hangs or is stopped, or the machine is overloaded"

QUEUE = 2_000
"""Events of a stream that wait for a slow reader, at most."""

Event: TypeAlias = tuple[dict[str, Any], bytes]
Merge: TypeAlias = Callable[[Event, Event], Event]
"""One event in place of an older and a newer one."""


class AgentError(ValueError):
    """The agent refuses a request, in one line."""


class AgentUnreachableError(OSError):
    """No agent answers; one line says why."""


class Stream:
    """The events of one stream; those that wait for a slow reader are merged by ``merge``, where there is
    one, or else the `QUEUE` newest are kept."""

    def __init__(
        self, connection: "AgentConnection", method: str, params: Mapping[str, Any], merge: Merge | None
    ) -> None:
        self.method, self.params = method, params
        self.id: int | None = None
        """The number of its request on the present connection."""
        self._connection = connection
        self._events: deque[Event] = deque(maxlen=QUEUE)
        self._merge = merge
        self._error: str | None = None
        self._ready = asyncio.Event()

    def add(self, event: Event) -> None:
        if self._events and self._merge is not None:
            event = self._merge(self._events.pop(), event)
        self._events.append(event)
        self._ready.set()

    def end(self, error: str) -> None:
        """The agent ends the stream."""
        self._error = error
        self._ready.set()

    async def next(self) -> Event:
        """The next event. AgentError where the agent has ended the stream."""
        while not self._events:
            if self._error is not None:
                raise AgentError(self._error)
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()

    def close(self) -> None:
        """No more events are wanted."""
        self._connection.close_stream(self)


class AgentConnection:
    """One connection at a time to the agent of the folder ``data``."""

    def __init__(self, data: Path, timeout_s: float) -> None:
        self._data, self._timeout_s = data, timeout_s
        self.state = ClientState("waiting", "not connected yet")
        self._changed = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[Event]] = {}
        self._streams: set[Stream] = set()
        self._by_id: dict[int, Stream] = {}
        self._last_id = 0
        self._quiet_s = 0.0
        """For how long the agent has sent nothing, as far as this process ran itself."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="agent-client")

    async def close(self) -> None:
        """Ends the connection; open streams end with AgentError."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for stream in list(self._streams):
            stream.end("the client was closed")

    async def state_changed(self, known: ClientState) -> ClientState:
        while self.state == known:
            await self._changed.wait()
        return self.state

    async def request(self, method: str, params: Mapping[str, Any], data: bytes = b"") -> Event:
        """The result of a request, and its bytes. AgentError or AgentUnreachableError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while self.state.name != "connected":
                    await self.state_changed(self.state)
        except TimeoutError:
            raise AgentUnreachableError(self.state.reason or "no agent answers") from None
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        number = self._send(method, params, data)
        self._answers[number] = answer
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    def open_stream(self, method: str, params: Mapping[str, Any], merge: Merge | None = None) -> Stream:
        stream = Stream(self, method, params, merge)
        self._streams.add(stream)
        if self._writer is not None:
            self._begin(stream)
        return stream

    def close_stream(self, stream: Stream) -> None:
        self._streams.discard(stream)
        known = stream.id is not None and self._by_id.pop(stream.id, None) is not None
        if known and self._writer is not None:
            self._writer.write(encode_frame({"id": stream.id, "method": "cancel"}))

    def _begin(self, stream: Stream) -> None:
        stream.id = self._send(stream.method, stream.params)
        self._by_id[stream.id] = stream

    def _send(self, method: str, params: Mapping[str, Any], data: bytes = b"") -> int:
        if self._writer is None:
            raise AgentUnreachableError(self.state.reason or "no agent answers")
        self._last_id += 1
        head = {"id": self._last_id, "method": method, "params": params}
        self._writer.write(encode_frame(head, data))
        return self._last_id

    def _set_state(self, state: ClientState) -> None:
        self.state = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def _run(self) -> None:
        """Connects, again and again, until it is cancelled."""
        wait_s = RECONNECT_S
        while True:
            try:
                await self._connect_once()
                wait_s = RECONNECT_S
                reason = "the agent has ended the connection: it restarts or was stopped"
            except FileNotFoundError:
                reason = f"no agent runs on {self._data}: {SOCKET} is missing there"
            except ConnectionRefusedError:
                reason = f"no agent runs on {self._data}: nobody answers at {SOCKET}"
            except (OSError, FrameError, EOFError) as error:
                reason = str(error) or type(error).__name__
            self._set_state(ClientState("waiting", reason))
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RECONNECT_MOST_S)

    async def _connect_once(self) -> None:
        """One connection to its end."""
        with socket_address(self._data) as address:
            reader, writer = await asyncio.open_unix_connection(address)
        self._writer, self._quiet_s = writer, 0.0
        watching = asyncio.create_task(self._watch_silence(), name="agent-silence")
        try:
            for stream in list(self._streams):
                self._begin(stream)
            self._send("hello", {})  # connected is who answers: the kernel accepts for a stopped process, too
            while (frame := await read_frame(reader, MAX_ANSWER_BYTES)) is not None:
                self._take(*frame)
                self._quiet_s = 0.0
                if self.state.name != "connected":
                    self._set_state(ClientState("connected"))
        finally:
            watching.cancel()
            self._writer = None
            writer.transport.abort()
            self._fail_requests("the agent ended the connection meanwhile")
            self._by_id.clear()
            for stream in self._streams:
                stream.id = None

    async def _watch_silence(self) -> None:
        """Says that the agent is silent while its socket is still open; the connection stays."""
        while True:
            await asyncio.sleep(
                TICK_S
            )  # ticks, not a clock: while this process stood still, nothing was read
            before, self._quiet_s = self._quiet_s, self._quiet_s + TICK_S
            if before < ASK_AFTER_S <= self._quiet_s:
                self._send("hello", {})
            if before < SILENT_AFTER_S <= self._quiet_s:
                self._set_state(ClientState("waiting", SILENT))
                self._fail_requests(SILENT)

    def _fail_requests(self, reason: str) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(AgentUnreachableError(reason))
        self._answers.clear()

    def _take(self, head: Mapping[str, Any], data: bytes) -> None:
        """One frame from the agent."""
        number = head.get("id")
        if number is None and "error" in head:  # it refuses the connection itself
            raise ConnectionError(str(head["error"]))
        if not isinstance(number, int):
            return
        stream, answer = self._by_id.get(number), self._answers.get(number)
        if stream is not None:
            if "event" in head:
                stream.add((head["event"], data))
            elif "error" in head:
                del self._by_id[number]
                self._streams.discard(stream)
                stream.end(str(head["error"]))
        elif answer is not None and not answer.done():
            if "error" in head:
                answer.set_exception(AgentError(str(head["error"])))
            elif "result" in head:
                answer.set_result((head["result"], data))
