"""The local socket: who is served, what a broken or hostile client can do (nothing), and its client."""

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.local_api import connection as connection_module
from agent.local_api import pace as pace_module
from agent.local_api import server as server_module
from agent.local_api.address import socket_address
from agent.local_api.connection import Methods
from agent.local_api.frames import (
    MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES,
    FrameError,
    encode_frame,
    read_frame,
)
from agent.local_api.parts import Answer, Call, Peer, RequestError
from agent.local_api.server import MAX_CLIENTS, LocalServer
from console.agent_client import (
    AgentClient,
    AgentError,
    AgentUnreachableError,
    all_values,
    newest,
    newest_with_picture,
)
from console.agent_connection import AgentConnection
from tests.waiting import until


class Stub:
    """Methods that show how they are called."""

    def __init__(self) -> None:
        self.orders: list[tuple[Any, bytes]] = []
        self.number = 0
        self.open = 0
        """Streams that are open."""

    def methods(self) -> Methods:
        return Methods(
            {"hello": self.hello, "order": self.order, "crash": self.crash, "picture": self.picture},
            {"now": self.now, "camera": self.crashing, "results": self.waiting},
        )

    async def hello(self, call: Call) -> Answer:
        return Answer({"device": "d1", "pid": call.peer.pid})

    async def order(self, call: Call) -> Answer:
        if call.params.get("topic") == "no":
            raise RequestError("topic: 'no' is none of these")
        self.orders.append((call.params.get("topic"), call.data))
        return Answer({})

    async def crash(self, _: Call) -> Answer:
        raise ZeroDivisionError("a bug")

    async def picture(self, _: Call) -> Answer:
        return Answer({"camera": "cam1"}, b"\xff\xd8jpeg")

    async def now(self, _: Call) -> AsyncGenerator[Answer, None]:
        self.open += 1
        try:
            while True:
                self.number += 1
                yield Answer({"number": self.number}, b"x" * 20_000)
                await asyncio.sleep(0)
        finally:
            self.open -= 1

    async def waiting(self, _: Call) -> AsyncGenerator[Answer, None]:
        self.open += 1
        try:
            await asyncio.Event().wait()
            yield Answer({})
        finally:
            self.open -= 1

    async def crashing(self, _: Call) -> AsyncGenerator[Answer, None]:
        yield Answer({"frame": 1})
        raise ZeroDivisionError("a bug")


@asynccontextmanager
async def served(folder: Path, stub: Stub) -> AsyncIterator[LocalServer]:
    server = LocalServer(folder, stub.methods())
    task = asyncio.create_task(server.run())
    try:
        await until((folder / "console.sock").exists)
        yield server
    finally:
        task.cancel()
        await asyncio.wait([task])


def play(folder: Path, scene: Callable[[Stub], Awaitable[None]]) -> Stub:
    """Runs a scene beside a server of ``folder``."""
    stub = Stub()

    async def run() -> None:
        async with served(folder, stub):
            await scene(stub)

    asyncio.run(asyncio.wait_for(run(), 120))
    return stub


async def connected(folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with socket_address(folder) as address:
        return await asyncio.open_unix_connection(address)


async def asked(folder: Path, *frames: bytes) -> dict[str, Any]:
    """The first answer to these bytes, on a connection of its own; empty where it is ended instead."""
    reader, writer = await connected(folder)
    try:
        with suppress(OSError):
            writer.write(b"".join(frames))
            await writer.drain()
        try:
            found = await read_frame(reader, MAX_ANSWER_BYTES)
        except (OSError, EOFError):
            return {}
        return {} if found is None else found[0]
    finally:
        writer.transport.abort()


HELLO = encode_frame({"id": 1, "method": "hello", "params": {}})


def test_the_socket_is_for_its_user_only_and_goes_with_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "console.sock"

    async def scene(_: Stub) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asked(tmp_path, HELLO) == {"id": 1, "result": {"device": "d1", "pid": os.getpid()}}

    play(tmp_path, scene)
    assert not path.exists()


def test_a_socket_that_a_killed_agent_has_left_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "console.sock"))
    left.close()

    async def scene(_: Stub) -> None:
        await until(lambda: answers(tmp_path))

    play(tmp_path, scene)


async def answers(folder: Path) -> bool:
    try:
        return "result" in await asked(folder, HELLO)
    except ConnectionRefusedError:
        return False


def test_what_is_no_socket_is_left_alone_and_told(tmp_path: Path) -> None:
    (tmp_path / "console.sock").write_text("mine")
    with pytest.raises(OSError, match="in the way of the local socket; remove it"):
        server_module.listen(tmp_path)
    assert (tmp_path / "console.sock").read_text() == "mine"


def test_a_data_folder_with_a_path_of_200_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    assert len(str(folder)) > 200

    async def scene(_: Stub) -> None:
        async with AgentClient(folder) as client:
            assert (await client.hello())["device"] == "d1"

    play(folder, scene)


@pytest.mark.parametrize(("uid", "is_served"), [(os.geteuid(), True), (0, True), (12345, False)])
def test_only_the_same_user_and_root_are_served(
    uid: int, is_served: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "peer_of", lambda _: Peer(1, uid))

    async def scene(_: Stub) -> None:
        answer = await asked(tmp_path, HELLO if is_served else b"")
        assert ("result" in answer) == is_served
        if not is_served:
            assert answer["error"] == "only the agent's own user and root are served"

    play(tmp_path, scene)


def test_a_client_too_many_is_told_so(tmp_path: Path) -> None:
    async def scene(_: Stub) -> None:
        held = [await connected(tmp_path) for _ in range(MAX_CLIENTS)]
        for reader, writer in held:
            writer.write(HELLO)
            assert await read_frame(reader, MAX_ANSWER_BYTES)
        assert (await asked(tmp_path))["error"] == f"{MAX_CLIENTS} clients are connected already"
        held[0][1].transport.abort()
        await until(lambda: answers(tmp_path))
        for _, writer in held:
            writer.transport.abort()

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"id": 1, "method": "crash"}, "crash failed in the agent (ZeroDivisionError); its log says where"),
        ({"id": 1, "method": "camera"}, "camera failed in the agent (ZeroDivisionError); its log says where"),
        ({"id": 1, "method": "order", "params": {"topic": "no"}}, "topic: 'no' is none of these"),
        ({"id": 1, "method": "hello", "params": []}, "a request needs a method, and params as an object"),
        ({"id": 1}, "a request needs a method, and params as an object"),
    ],
)
def test_an_error_ends_one_request_only(request_: dict[str, Any], error: str, tmp_path: Path) -> None:
    async def scene(_: Stub) -> None:
        reader, writer = await connected(tmp_path)
        writer.write(encode_frame(request_))
        found: dict[str, Any] = {}
        while "error" not in found:
            found = (await read_frame(reader, MAX_ANSWER_BYTES) or ({}, b""))[0]
        assert found == {"id": 1, "error": error}
        writer.write(HELLO)
        assert (await read_frame(reader, MAX_ANSWER_BYTES) or ({}, b""))[0]["result"]["device"] == "d1"
        writer.transport.abort()

    play(tmp_path, scene)


def test_an_unknown_method_names_the_known_ones(tmp_path: Path) -> None:
    async def scene(_: Stub) -> None:
        answer = await asked(tmp_path, encode_frame({"id": 7, "method": "shell"}))
        assert answer["error"].startswith("unknown method 'shell'; known: camera, crash, hello")

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes; at most 65536 are allowed"),
        ((100_000).to_bytes(4, "big"), "a frame of 100000 bytes; at most 65536 are allowed"),
        ((2).to_bytes(4, "big") + b"[]", "a frame without a JSON object"),
        (encode_frame({"id": True, "method": "hello"}), "a request needs an id: a whole number"),
        (
            encode_frame({"id": 1, "method": "order", "bytes": 1 << 30}),
            "bytes: 1073741824 is no number from 0 to",
        ),
        (encode_frame({"id": 1, "method": "order", "bytes": -1}), "bytes: -1 is no number from 0 to"),
    ],
)
def test_what_is_no_frame_ends_the_connection_in_one_line(data: bytes, error: str, tmp_path: Path) -> None:
    async def scene(_: Stub) -> None:
        answer = await asked(tmp_path, data)
        assert answer["id"] is None
        assert answer["error"].startswith(error)
        assert await answers(tmp_path)

    play(tmp_path, scene)


def test_deep_json_is_no_frame(tmp_path: Path) -> None:
    async def scene(_: Stub) -> None:
        deep = b"[" * 60_000
        assert (
            "without a JSON object" in (await asked(tmp_path, len(deep).to_bytes(4, "big") + deep))["error"]
        )

    play(tmp_path, scene)


def test_a_request_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "FRAME_WITHIN_S", 0.05)

    async def scene(_: Stub) -> None:
        assert await asked(tmp_path, HELLO[:7]) == {}
        assert await answers(tmp_path)

    play(tmp_path, scene)


def test_who_does_not_read_gets_the_newest_and_holds_up_nobody(tmp_path: Path) -> None:
    async def scene(stub: Stub) -> None:
        reader, writer = await connected(tmp_path)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(encode_frame({"id": 1, "method": "now"}))
        await until(lambda: stub.number > 5)
        stuck, others = -1, 0
        while stuck != stub.number:  # until the socket is full
            stuck = stub.number
            for _ in range(20):
                others += await answers(tmp_path)
        assert others >= 20
        stub.number = 1_000_000  # time passes, unseen
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        numbers: list[int] = []
        while not numbers or numbers[-1] < 1_000_000:
            head, _ = await read_frame(reader, MAX_ANSWER_BYTES) or ({}, b"")
            numbers.append(head["event"]["number"])
        assert len(numbers) <= stuck + 1  # what the socket held, and then the newest
        writer.transport.abort()
        await until(lambda: stub.open == 0)

    play(tmp_path, scene)


def test_who_never_reads_is_disconnected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "STUCK_S", 0.05)

    async def scene(stub: Stub) -> None:
        _, writer = await connected(tmp_path)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(encode_frame({"id": 1, "method": "now"}))
        await until(lambda: stub.number > 5 and stub.open == 0)
        writer.transport.abort()

    play(tmp_path, scene)


def test_a_storm_of_requests_and_cancels_is_slowed_down_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "REQUESTS_PER_S", 5000.0)

    async def scene(stub: Stub) -> None:
        reader, writer = await connected(tmp_path)
        for number in range(1000):
            writer.write(encode_frame({"id": number, "method": "results"}))
            writer.write(encode_frame({"id": number, "method": "cancel"}))
        for _ in range(50):
            writer.write(encode_frame({"id": 5, "method": "cancel"}))
        writer.write(encode_frame({"id": 2000, "method": "hello"}))
        assert (await read_frame(reader, MAX_ANSWER_BYTES) or ({}, b""))[0]["id"] == 2000
        await until(lambda: stub.open == 0)
        writer.transport.abort()

    play(tmp_path, scene)


def test_what_is_too_often_comes_later() -> None:
    """Of 30 turns 10 come at once, and 20 in their time; nobody is refused."""
    waits: list[float] = []

    async def scene(monkeypatch: pytest.MonkeyPatch) -> None:
        async def sleep(seconds: float) -> None:
            waits.append(round(seconds, 3))

        monkeypatch.setattr(
            pace_module, "asyncio", SimpleNamespace(sleep=sleep, CancelledError=asyncio.CancelledError)
        )
        monkeypatch.setattr(pace_module, "monotonic_s", lambda: 5.0)
        pace = pace_module.Pace(10.0, 10.0)
        for _ in range(30):
            await pace.turn()

    with pytest.MonkeyPatch.context() as patched:
        asyncio.run(scene(patched))
    assert waits == [round(n / 10, 3) for n in range(1, 21)]


def test_who_gives_up_holds_up_nobody() -> None:
    async def scene() -> None:
        pace = pace_module.Pace(1.0, 2.0)
        waiting = [asyncio.ensure_future(pace.turn(1000.0)) for _ in range(100)]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)
        await asyncio.wait_for(pace.turn(), 30)

    asyncio.run(scene())


def test_a_thousand_connections_leave_nothing(tmp_path: Path) -> None:
    async def scene(_: Stub) -> None:
        def flood() -> None:
            with socket_address(tmp_path) as address:
                for _ in range(1000):
                    with socket.socket(socket.AF_UNIX) as one:
                        one.settimeout(0.001)
                        with suppress(OSError):
                            one.connect(address)

        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        await asyncio.to_thread(flood)
        await until(lambda: answers(tmp_path))
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before + 3)  # noqa: PTH208

    play(tmp_path, scene)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "method": st.sampled_from(["hello", "now", "results", "cancel", "order", "crash", "x"]) | JSON,
        "params": JSON,
        "bytes": st.integers(-5, 2 * MAX_REQUEST_BYTES) | JSON,
    },
)
HOSTILE = st.lists(
    st.binary(max_size=60)
    | REQUEST.map(encode_frame)
    | st.builds(lambda request, cut: encode_frame(request)[:cut], REQUEST, st.integers(0, 40)),
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=20)
@given(clients=st.lists(HOSTILE, min_size=10, max_size=10))
def test_whatever_clients_send_others_are_served(
    clients: list[list[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("d")

    async def scene(stub: Stub) -> None:
        for parts in clients:
            _, writer = await connected(folder)
            for part in parts:
                writer.write(part)
            writer.write_eof()
            writer.transport.close()
        await until(lambda: answers(folder))
        await until(lambda: stub.open == 0)

    play(folder, scene)


@pytest.mark.slow
@given(
    head=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9)),
    data=st.binary(max_size=99),
)
def test_a_frame_is_read_as_it_was_written(head: dict[str, Any], data: bytes) -> None:
    head.pop("bytes", None)

    async def read() -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(encode_frame(head, data))
        reader.feed_eof()
        return await read_frame(reader, 10_000), await read_frame(reader, 10_000)

    (found, after), nothing = asyncio.run(read())
    assert {key: one for key, one in found.items() if key != "bytes"} == json.loads(json.dumps(head))
    assert (after, nothing) == (data, None)


def test_a_frame_that_is_too_long_is_not_read() -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data((101).to_bytes(4, "big"))
        await read_frame(reader, 100)

    with pytest.raises(FrameError, match="a frame of 101 bytes; at most 100 are allowed"):
        asyncio.run(read())


def test_the_client_hands_on_bytes_and_gets_them(tmp_path: Path) -> None:
    async def scene(stub: Stub) -> None:
        async with AgentClient(tmp_path) as client:
            await client.order("alert/ack", b"\x00signed")
            assert stub.orders == [("alert/ack", b"\x00signed")]
            assert (await client.picture("a1")).jpeg == b"\xff\xd8jpeg"
            with pytest.raises(AgentError, match="'no' is none of these"):
                await client.order("no", b"")

    play(tmp_path, scene)


def test_a_stream_goes_on_after_a_restart_and_ends_with_an_error_of_the_agent(tmp_path: Path) -> None:
    stub = Stub()

    async def run() -> None:
        async with AgentClient(tmp_path) as client:
            connection: AgentConnection = client._connection
            stream = connection.open_stream("now", {}, newest)
            async with served(tmp_path, stub):
                await stream.next()
                before = stub.number
            state = client.state
            while state.name == "connected":
                state = await client.state_changed(state)
            assert "ended the connection" in str(state.reason)
            async with served(tmp_path, stub):
                await until(lambda: stub.number > before + 5)
                await stream.next()
                stream.close()
                await until(lambda: stub.open == 0)
                crashing = connection.open_stream("camera", {})
                await crashing.next()
                with pytest.raises(AgentError, match="ZeroDivisionError"):
                    await crashing.next()

    asyncio.run(asyncio.wait_for(run(), 120))


def value(key: str, n: int) -> dict[str, Any]:
    return {"source": "board", "value_kind": "reading", "key": key, "value": n}


def test_what_waits_for_a_slow_page_is_merged() -> None:
    """No picture and no value is lost with the events that are skipped."""
    assert newest_with_picture(({"frame": 1}, b"jpeg"), ({"frame": 2}, b"")) == ({"frame": 2}, b"jpeg")
    assert newest_with_picture(({"frame": 1}, b"old"), ({"frame": 2}, b"new")) == ({"frame": 2}, b"new")
    first = {"snapshot": [value("a", 1), value("b", 1)]}, b""
    assert all_values(first, ({"values": [value("a", 2)]}, b"")) == (
        {"snapshot": [value("a", 2), value("b", 1)]},
        b"",
    )
    assert all_values(({"values": [value("a", 1)]}, b""), first) == first


def test_without_an_agent_a_request_says_why(tmp_path: Path) -> None:
    async def run() -> None:
        async with AgentClient(tmp_path, timeout_s=0.05) as client:
            with pytest.raises(
                AgentUnreachableError, match=r"no agent runs on .*: console.sock is missing there"
            ):
                await client.hello()
            assert client.state.name == "waiting"

    asyncio.run(run())


def test_threads_are_not_needed(tmp_path: Path) -> None:
    """A server without clients has a socket, and neither threads nor tasks but its own."""

    async def scene(_: Stub) -> None:
        threads, tasks = threading.active_count(), len(asyncio.all_tasks())
        async with AgentClient(tmp_path) as client:
            await client.hello()
        await until(lambda: len(asyncio.all_tasks()) == tasks)
        assert threading.active_count() == threads

    play(tmp_path, scene)


def test_an_agent_that_hangs_is_told_from_one_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped (SIGSTOP) keeps its socket open: what is shown meanwhile must look old."""
    monkeypatch.setattr("console.agent_connection.TICK_S", 0.02)

    async def run() -> None:
        talking = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while (frame := await read_frame(reader, 1 << 20)) is not None:
                await talking.wait()
                writer.write(encode_frame({"id": frame[0]["id"], "result": {"device": "d1"}}))
            writer.close()

        server = await asyncio.start_unix_server(answer, tmp_path / "console.sock")
        async with server, AgentClient(tmp_path) as client:
            await asyncio.sleep(0.1)
            assert client.state.name == "waiting"  # accepted by the kernel, answered by nobody
            talking.set()
            assert (await client.hello())["device"] == "d1"
            talking.clear()
            with pytest.raises(AgentUnreachableError, match="says nothing"):
                await client.alerts()
            assert client.state.name == "waiting"
            talking.set()
            await until(lambda: client.state.name == "connected")
            assert (await client.hello())["device"] == "d1"

    asyncio.run(asyncio.wait_for(run(), 60))
