"""One client of the local socket: its requests and its streams.

A stream is resumed only after its last event has left, so a slow client gets the newest state and nothing
queues up. A client that does not read is disconnected; one that sends too much is read more slowly.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, TypeAlias

import structlog

from agent.local_api.frames import MAX_REQUEST_BYTES, MAX_REQUEST_HEAD, FrameError, encode_frame, read_frame
from agent.local_api.pace import Pace
from agent.local_api.parts import Answer, Call, Peer, RequestError
from agent.runtime.error_text import describe_error

log = structlog.get_logger()

MAX_REQUESTS, MAX_STREAMS = 16, 64
"""At once, of one client."""
REQUESTS_PER_S, BURST = 50.0, 100.0
EVENTS_PER_S, EVENTS_BURST = 150.0, 400.0
"""Of one client; `agent.local_api.server` has the limit for all."""
REQUEST_WEIGHT, OPENING_WEIGHT = 3.0, 10.0
"""So many events does a request cost, and the opening of a stream, in that limit for all."""
FRAME_WITHIN_S = 10.0
"""A request must be complete so soon after its first byte."""
STUCK_S = 30.0
"""A client that has not read an answer for so long is disconnected."""
WRITE_BUFFER = 64 << 10

Streamed: TypeAlias = AsyncGenerator[Answer, None]


class Methods(NamedTuple):
    """By name: methods with one answer, and methods with a stream of events."""

    requests: Mapping[str, Callable[[Call], Awaitable[Answer]]]
    streams: Mapping[str, Callable[[Call], Streamed]]


class Connection:
    """`serve` returns when the client is gone."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: Peer,
        methods: Methods,
        pace: Pace,
    ) -> None:
        """``pace`` is that of the events of all clients."""
        self._reader, self._writer, self._peer, self._methods = reader, writer, peer, methods
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._sending = asyncio.Lock()
        self._under_way = asyncio.Semaphore(MAX_REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: dict[int, asyncio.Task[None]] = {}
        self._requests, self._events = Pace(REQUESTS_PER_S, BURST), Pace(EVENTS_PER_S, EVENTS_BURST)
        self._all_events = pace

    async def serve(self) -> None:
        """Answers until the client ends the connection, or breaks the rules of frames."""
        try:
            while True:
                await self._requests.turn()  # what is beyond the rate waits unread
                frame = await read_frame(self._reader, MAX_REQUEST_BYTES, MAX_REQUEST_HEAD, FRAME_WITHIN_S)
                if frame is None:
                    return
                await self._take(*frame)
        except FrameError as error:
            with suppress(OSError):
                await self._send({"id": None, "error": str(error)})
        except (OSError, EOFError):  # TimeoutError among them
            pass
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._writer.transport.abort()

    async def _take(self, head: Mapping[str, Any], data: bytes) -> None:
        number, method, params = head.get("id"), head.get("method"), head.get("params", {})
        if not isinstance(number, int) or isinstance(number, bool):
            raise FrameError("a request needs an id: a whole number")
        if method == "cancel":
            if (task := self._streams.pop(number, None)) is not None:
                task.cancel()
            return
        if not isinstance(params, dict) or not isinstance(method, str):
            await self._refuse(number, "a request needs a method, and params as an object")
        elif method in self._methods.streams:
            if number in self._streams or len(self._streams) >= MAX_STREAMS:
                await self._refuse(number, f"id {number} is in use, or {MAX_STREAMS} streams are open")
                return
            stream = self._methods.streams[method](Call(self._peer, params, data))
            self._streams[number] = self._start(self._stream(number, method, stream))
        elif method in self._methods.requests:
            await self._under_way.acquire()
            self._start(self._answer(number, method, Call(self._peer, params, data)))
        else:
            known = ", ".join(sorted([*self._methods.requests, *self._methods.streams]))
            await self._refuse(number, f"unknown method {method[:40]!r}; known: {known}")

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, number: int, method: str, call: Call) -> None:
        try:
            try:
                await self._all_events.turn(REQUEST_WEIGHT)
                answer = await self._methods.requests[method](call)
            except Exception as error:
                await self._refuse(number, error_line(error, method))
            else:
                await self._send({"id": number, "result": answer.fields}, answer.data)
        except OSError:
            self._writer.transport.abort()
        finally:
            self._under_way.release()

    async def _stream(self, number: int, method: str, stream: Streamed) -> None:
        me = asyncio.current_task()
        try:
            try:
                await self._all_events.turn(OPENING_WEIGHT)
                async with aclosing(stream):
                    async for event in stream:
                        await self._events.turn()
                        await self._all_events.turn()
                        await self._send({"id": number, "event": event.fields}, event.data)
            except ConnectionError:
                raise
            except Exception as error:
                await self._refuse(number, error_line(error, method))
            else:
                await self._refuse(number, "the stream has ended")
        except OSError:
            self._writer.transport.abort()
        finally:
            if self._streams.get(number) is me:
                del self._streams[number]

    async def _refuse(self, number: int, error: str) -> None:
        await self._send({"id": number, "error": error})

    async def _send(self, head: Mapping[str, Any], data: bytes = b"") -> None:
        """ConnectionError where the client is gone, or does not read."""
        async with self._sending:
            self._writer.write(encode_frame(head, data))
            try:
                async with asyncio.timeout(STUCK_S):
                    await self._writer.drain()
            except TimeoutError:
                self._writer.transport.abort()
                raise ConnectionAbortedError("the client does not read") from None


def error_line(error: Exception, method: str) -> str:
    """The one line that answers a failed request; a bug is logged."""
    if isinstance(error, RequestError):
        return str(error)
    if isinstance(error, OSError):
        return describe_error(error)
    log.error("local_request_failed", method=method, exc_info=error)
    return f"{method} failed in the agent ({type(error).__name__}); its log says where"
