"""A camera's picture: the photograph of a man walking over a photographed field, served as a real stream.

The picture is a pure function of the second; whether a person is found in it is up to the detector.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from models.detection import Frame
from simulators.blinding import (
    AUTH_REFUSED,
    BLINDINGS,
    CORRUPT_JPEG,
    FPS_DROP,
    FROZEN,
    RESOLUTION,
    corrupt_jpeg,
)

PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 640, 360
TALL = 0.62
"""The man's height as a share of the picture's."""
WALK_S = 4.0
BOUNDARY = b"frame"
DROPPED_FPS = 0.5
OPENED = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=" + BOUNDARY + b"\r\n\r\n"
REFUSED = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"\r\nContent-Length: 0\r\n\r\n'


@dataclass(frozen=True)
class Scene:
    """A man comes in from the left at ``comes_s``, stands in the middle, and leaves at ``leaves_s``."""

    comes_s: float = 5.0
    leaves_s: float = 40.0
    seed: int = 0

    def where(self, second: float) -> float | None:
        """The left edge of the man as a share of the width, or None where he is outside the picture."""
        arrived_s, gone_s = self.comes_s + WALK_S, self.leaves_s + WALK_S
        if not self.comes_s <= second <= gone_s:
            return None
        if second < arrived_s:
            return -0.35 + 0.7 * (second - self.comes_s) / WALK_S
        if second < self.leaves_s:
            return 0.35
        return 0.35 + 0.7 * (second - self.leaves_s) / WALK_S

    def picture(self, second: float) -> Frame:
        """The picture at ``second``: uint8, 360 x 640 x 3."""
        import numpy as np

        field, man, alpha = self._parts
        noise = np.random.default_rng([self.seed, int(second * 1000)]).integers(
            -6, 7, field.shape[:2], np.int16
        )
        picture = field.astype(np.int16)
        left_share = self.where(second)
        if left_share is not None:
            bob = round(2 * np.sin(second * 6)) if abs(left_share - 0.35) > 0.01 else 0
            left, top = round(left_share * WIDTH), HEIGHT - man.shape[0] + bob
            first, last = max(0, -left), min(man.shape[1], WIDTH - left)
            rows = min(man.shape[0], HEIGHT - top)
            if last > first:
                spot = picture[top : top + rows, left + first : left + last]
                share = alpha[:rows, first:last]
                spot[:] = (man[:rows, first:last] * share + spot * (1 - share)).astype(np.int16)
        picture += noise[:, :, None]
        return np.asarray(np.clip(picture, 0, 255), np.uint8)

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        """Field, man and his outline (0..1), read once."""
        import cv2
        import numpy as np

        field = cv2.imread(str(PICTURES / "field.jpg"))
        man = cv2.imread(str(PICTURES / "man.png"), cv2.IMREAD_UNCHANGED)
        if field is None or man is None:
            raise FileNotFoundError(f"{PICTURES}: man.png or field.jpg is missing")
        scale = TALL * HEIGHT / man.shape[0]
        man = cv2.resize(man, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return field, man[:, :, :3].astype(np.float32), man[:, :, 3:].astype(np.float32) / 255


class VideoStream:
    """The scene as MJPEG over HTTP on loopback; ``cut`` ends it like a pulled cable, ``restore`` starts it
    again.
    """

    def __init__(self, scene: Scene, fps: float, port: int) -> None:
        self.scene = scene
        self._fps = fps
        self._port = port
        self._server: asyncio.Server | None = None
        self._began_s = time.monotonic()
        self._clients: set[asyncio.StreamWriter] = set()
        self._frozen_s = 0.0
        self.connections = 0
        """How often it was opened."""
        self.faulty = 0
        """How many pictures were sent with a fault, and how many clients refused or cut off by one."""
        self._blinding: str | None = None

    @property
    def blinding(self) -> str | None:
        """The camera's present fault: one of `BLINDINGS`, or of the stream's. None for none."""
        return self._blinding

    @blinding.setter
    def blinding(self, fault: str | None) -> None:
        """A camera whose password changed, or whose resolution did, ends its streams."""
        ends = (AUTH_REFUSED, RESOLUTION)
        if fault != self._blinding and (fault in ends or self._blinding in ends):
            for client in list(self._clients):
                client.close()
        self._blinding = fault

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/camera.mjpg"

    def second(self) -> float:
        """The present second of the scene."""
        return time.monotonic() - self._began_s

    def begin(self) -> None:
        """The scene begins now."""
        self._began_s = time.monotonic()

    def leave(self) -> None:
        """The man leaves now."""
        self.scene = replace(self.scene, leaves_s=self.second())

    async def restore(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            for client in list(self._clients):
                self.faulty += 1
                client.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        self.connections += 1
        with suppress(OSError, asyncio.CancelledError):  # the client left, or the demo ends
            await reader.readuntil(b"\r\n\r\n")
            refused = self.blinding == AUTH_REFUSED
            self.faulty += refused
            writer.write(REFUSED if refused else OPENED)
            while not refused and not writer.is_closing():
                jpeg = await asyncio.to_thread(self._jpeg, self.second())
                head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (
                    BOUNDARY,
                    len(jpeg),
                )
                writer.write(head + jpeg + b"\r\n")
                await writer.drain()
                self.faulty += self.blinding is not None
                await asyncio.sleep(1 / (DROPPED_FPS if self.blinding == FPS_DROP else self._fps))
        self._clients.discard(writer)
        writer.close()

    def _jpeg(self, second: float) -> bytes:
        import cv2
        import numpy as np

        if self.blinding != FROZEN:
            self._frozen_s = second
        picture = self.scene.picture(self._frozen_s)
        if self.blinding in BLINDINGS:
            picture = BLINDINGS[self.blinding](picture)
        if self.blinding == RESOLUTION:
            picture = np.asarray(cv2.resize(picture, (WIDTH // 2, HEIGHT // 2)), np.uint8)
        good, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
        if not good:
            raise OSError("the picture could not be encoded")
        return corrupt_jpeg(bytes(data)) if self.blinding == CORRUPT_JPEG else bytes(data)


@asynccontextmanager
async def stream(scene: Scene, fps: float = 10.0, port: int = 0) -> AsyncIterator[VideoStream]:
    """The scene's stream while the block runs."""
    server = VideoStream(scene, fps, port)
    await server.restore()
    try:
        yield server
    finally:
        await server.cut()
