"""Cameras that fail in each way that cameras fail: noticed in time, in words, the other one undisturbed."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.domain.observations import CameraState, Sighting
from agent.runtime import native_calls
from agent.runtime.native_calls import MAX_ABANDONED, abandoned_threads, end_when_unsound
from agent.vision import capture
from agent.vision.camera import Camera
from agent.vision.frame_reader import FrameReader
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.end_to_end

Feed = Callable[[asyncio.StreamWriter], Awaitable[None]]


def jpeg(value: int = 90) -> bytes:
    import cv2

    good, data = cv2.imencode(".jpg", np.full((120, 160, 3), value, np.uint8))
    assert good
    return bytes(data)


def part(data: bytes) -> bytes:
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data)


async def well(writer: asyncio.StreamWriter, served: list[int] | None = None) -> None:
    """Twenty frames a second; how many were written is noted in ``served``."""
    while True:
        writer.write(part(jpeg()))
        await writer.drain()
        if served is not None:
            served[0] += 1
        await asyncio.sleep(0.05)


async def ends(writer: asyncio.StreamWriter) -> None:
    for _ in range(20):
        writer.write(part(jpeg()))
        await asyncio.sleep(0.02)


async def stalls(writer: asyncio.StreamWriter) -> None:
    await ends(writer)
    await asyncio.sleep(60)


async def slow(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(part(jpeg()))
        await writer.drain()
        await asyncio.sleep(0.4)


async def corrupt(writer: asyncio.StreamWriter) -> None:
    await ends(writer)
    while True:
        writer.write(part(b"\xff\xd8" + os.urandom(900)))
        await asyncio.sleep(0.05)


async def never_a_picture(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(part(os.urandom(900)))
        await asyncio.sleep(0.05)


@asynccontextmanager
async def served(feed: Feed) -> AsyncIterator[str]:
    """The URL of a stream that is fed so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
            )
            await feed(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/c.mjpg"
    finally:
        server.close()


def camera(url: str, **more: Any) -> Camera:
    fields = {"url": url, "purpose": "a test", "open_timeout": "2s", "read_timeout": "1s", "fps": 20}
    return Camera.model_validate(fields | more)


FAILS = {
    "dropped": (ends, "the stream ended|hangs"),
    "hung": (stalls, "no frame for 1 s|stream ended"),
    "corrupt": (corrupt, "no frame for 1 s|can't be decoded|stream ended"),
    "never a picture": (never_a_picture, "no picture came|can.t be decoded|no frame"),
}


@pytest.mark.parametrize(("feed", "message"), FAILS.values(), ids=FAILS.keys())
def test_a_camera_that_fails_is_noticed_and_the_other_undisturbed(feed: Feed, message: str) -> None:
    """The other camera's own frames are the clock: never do 40 of them (2 s) go by without an observation."""

    async def scene() -> None:
        written = [0]
        async with served(feed) as bad, served(partial(well, served=written)) as good:
            told: list[int] = []
            other = asyncio.ensure_future(camera(good).run(lambda _: told.append(written[0])))
            await until(lambda: len(told) >= 3)
            began = written[0]
            with pytest.raises(OSError, match=message):
                await asyncio.wait_for(camera(bad).run(lambda _: None), 60)
            at = [began, *(number for number in told if number > began), written[0]]
            assert len(at) > 3
            assert max(np.diff(at)) < 40
            other.cancel()

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_a_slow_camera_is_called_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.vision.camera_stats.STATE_EVERY_S", 1.5)

    async def scene() -> list[Any]:
        told: list[Any] = []
        async with served(slow) as url:
            task = asyncio.ensure_future(camera(url, read_timeout="5s").run(told.append))
            await until(lambda: any(isinstance(one, CameraState) and one.trouble for one in told))
            task.cancel()
        return told

    states = [one for one in asyncio.run(scene()) if isinstance(one, CameraState)]
    assert str(states[-1].trouble).startswith("slow: ")
    assert str(states[-1].trouble).endswith(" frames a second arrive, 20 are configured")


def test_a_camera_recovers_by_being_run_again() -> None:
    async def scene() -> None:
        feeds = iter([ends, well])

        async def feed(writer: asyncio.StreamWriter) -> None:
            await current(writer)

        async with served(feed) as url:
            current = next(feeds)
            with pytest.raises(OSError, match=r"ended|no frame"):
                await asyncio.wait_for(camera(url).run(lambda _: None), 60)
            current = next(feeds)
            told: list[Any] = []
            task = asyncio.ensure_future(camera(url).run(told.append))
            await until(lambda: any(isinstance(one, Sighting) for one in told))
            task.cancel()

    asyncio.run(scene())


def test_dead_streams_hold_up_nobody() -> None:
    """OpenCV alone would wait for each of them in turn (docs/decisions/0008)."""
    connected = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        await asyncio.sleep(60)

    async def scene() -> None:
        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        dead = [f"{scheme}://127.0.0.1:{port}/s" for scheme in ("rtsp", "http")] * 2
        async with served(well) as good:
            tasks = [
                asyncio.ensure_future(camera(url, open_timeout="30s").run(lambda _: None)) for url in dead
            ]
            await until(lambda: connected >= len(dead))
            told: list[Any] = []
            task = asyncio.ensure_future(camera(good).run(told.append))
            await until(lambda: told)
            assert not any(one.done() for one in tasks), "the dead ones were waited for"
            for one in (*tasks, task):
                one.cancel()
        server.close()

    asyncio.run(scene())


# Calls that hang for good, as a broken driver's do: a FIFO that nobody writes to is opened for ever.


@pytest.fixture
def hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The path of a FIFO, in whose opening cameras hang; afterwards whoever hangs there is let go."""
    monkeypatch.setattr(native_calls, "_abandoned", [])
    monkeypatch.setattr(capture, "open_file", lambda path, *_: Path(path).read_bytes())
    path = tmp_path / "camera"
    os.mkfifo(path)
    yield path
    deadline_s = time.monotonic() + 60
    while any(thread.name.endswith("/camera") for thread in threading.enumerate()):
        assert time.monotonic() < deadline_s
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        time.sleep(0.02)


def hang(path: Path) -> None:
    drain = FrameReader(str(path), lambda *_: None, lambda _: True, lambda: None, open_s=0.1, read_s=0.1)
    with drain:
        pass


def test_a_call_that_hangs_stops_nobody_and_is_counted(hung: Path) -> None:
    async def scene() -> None:
        with pytest.raises(TimeoutError, match=r"no answer for 0\.2 s"):
            await camera(str(hung), open_timeout="100ms", read_timeout="100ms").run(lambda _: None)

    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))
    assert abandoned_threads(0.0) == 1
    assert abandoned_threads(10.0) == 0


def test_too_many_of_them_end_the_process_on_purpose(hung: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(MAX_ABANDONED):
        hang(hung)
    monkeypatch.setattr(
        native_calls, "_abandoned", [(since_s - 60, thread) for since_s, thread in native_calls._abandoned]
    )
    assert abandoned_threads() == MAX_ABANDONED

    async def scene() -> None:
        with pytest.raises(OSError, match=f"{MAX_ABANDONED} native calls hang"):
            await camera(str(hung)).run(lambda _: None)
        agent = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.wait_for(end_when_unsound(agent), 60)
        with pytest.raises(asyncio.CancelledError):
            await agent

    asyncio.run(scene())


def test_few_of_them_do_not(hung: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hang(hung)
    monkeypatch.setattr(
        native_calls, "_abandoned", [(since_s - 60, thread) for since_s, thread in native_calls._abandoned]
    )

    async def scene() -> None:
        agent = asyncio.ensure_future(asyncio.sleep(60))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(end_when_unsound(agent, 0.01), 0.1)
        assert not agent.cancelled()
        agent.cancel()

    asyncio.run(scene())
