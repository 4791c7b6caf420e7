"""The faults of a real stream, seen by a client."""

import asyncio
from collections.abc import Awaitable, Callable

import cv2
import numpy as np
import pytest

from simulators.blinding import AUTH_REFUSED, CORRUPT_JPEG, FPS_DROP, FROZEN, RESOLUTION
from simulators.scene import HEIGHT, WIDTH, Scene, VideoStream, stream

pytestmark = pytest.mark.end_to_end


class Client:
    """Reads the stream as a browser does."""

    def __init__(self, camera: VideoStream) -> None:
        self._port = int(camera.url.split(":")[2].split("/")[0])

    async def open(self) -> bytes:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.writer.write(b"GET /camera.mjpg HTTP/1.1\r\n\r\n")
        return await self.reader.readuntil(b"\r\n\r\n")

    async def jpeg(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = int(head.split(b"Content-Length: ")[1].split(b"\r")[0])
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data


async def same_twice(client: Client) -> bool:
    return await client.jpeg() == await client.jpeg()


async def half_size(client: Client) -> bool:
    picture = cv2.imdecode(np.frombuffer(await client.jpeg(), np.uint8), cv2.IMREAD_COLOR)
    return picture.shape[:2] == (HEIGHT // 2, WIDTH // 2)


async def damaged(client: Client) -> bool:
    return not (await client.jpeg()).endswith(b"\xff\xd9")


@pytest.mark.parametrize(
    ("fault", "check"), [(FROZEN, same_twice), (RESOLUTION, half_size), (CORRUPT_JPEG, damaged)]
)
def test_a_fault_of_the_stream_is_seen_counted_and_ends(
    fault: str, check: Callable[[Client], Awaitable[bool]]
) -> None:
    async def run() -> None:
        async with stream(Scene(), fps=50) as camera:
            client = Client(camera)
            await client.open()
            assert not await check(client)
            assert camera.faulty == 0
            camera.blinding = fault
            await client.open()
            await client.jpeg()
            assert await check(client)
            assert camera.faulty
            camera.blinding = None
            await client.open()
            await client.jpeg()
            assert not await check(client)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_camera_with_another_password_refuses_and_cuts_off() -> None:
    async def run() -> None:
        async with stream(Scene(), fps=50) as camera:
            client = Client(camera)
            assert b"200" in await client.open()
            camera.blinding = AUTH_REFUSED
            while await client.reader.read(100_000):
                """What was under way."""
            assert b"401" in await client.open()
            assert camera.faulty == 1
            camera.blinding = None
            assert b"200" in await client.open()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_the_rate_drops() -> None:
    async def run() -> None:
        async with stream(Scene(), fps=50) as camera:
            client = Client(camera)
            camera.blinding = FPS_DROP
            await client.open()
            await client.jpeg()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.jpeg(), 1.0)

    asyncio.run(asyncio.wait_for(run(), 30))
