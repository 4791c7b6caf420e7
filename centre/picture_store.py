"""The picture files of a centre: one folder for each device, written independently of messages.

A picture that can't be written is retried with backoff; it delays neither messages nor other pictures.
Only one process may write into a folder.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.runtime.atomic_files import write_beside
from agent.runtime.error_text import describe_error

log = structlog.get_logger()

MOST = 500
"""Pictures in the queue, at most 64 KB each. Beyond that the oldest is dropped and counted."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0

_NAME = re.compile(r"media/([A-Za-z0-9-]{1,64})/([0-9]{1,6})")
_DEVICE = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(slots=True, eq=False)
class _Queued:
    path: Path
    jpeg: bytes
    due_s: float = 0.0
    wait_s: float = FIRST_WAIT_S


class PictureStore:
    """`add` queues a picture; `run` writes the queue."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._queue: deque[_Queued] = deque()
        self._added = asyncio.Event()
        self.written = self.failed = self.dropped = 0
        """Pictures written, attempts that failed, and pictures dropped."""

    def add(self, device: str, topic: str, jpeg: bytes) -> None:
        """A picture of ``<device>/media/<alert_id>/<n>``. Returns at once; a malformed name is logged."""
        name = _NAME.fullmatch(topic)
        if name is None or _DEVICE.fullmatch(device) is None:
            log.warning("picture_name_malformed", device=device[:64], topic=topic[:100])
            return
        self._queue.append(_Queued(self._folder / device / f"{name[1]}-{name[2]}.jpg", jpeg))
        if len(self._queue) > MOST:
            self.dropped += 1
            log.error("picture_dropped", path=str(self._queue.popleft().path), dropped=self.dropped)
        self._added.set()

    def __len__(self) -> int:
        """Length of the queue."""
        return len(self._queue)

    async def run(self) -> None:
        """Writes the queue, for ever; a failed write is retried with exponential backoff."""
        clock = asyncio.get_running_loop().time
        while True:
            self._added.clear()
            now_s = clock()
            for picture in [queued for queued in self._queue if queued.due_s <= now_s]:
                await self._write(picture, clock())
            wait_s = min((queued.due_s for queued in self._queue), default=now_s + LONGEST_WAIT_S) - clock()
            try:
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._added.wait()
            except TimeoutError:
                continue

    async def _write(self, picture: _Queued, now_s: float) -> None:
        try:
            await asyncio.to_thread(write_beside, picture.path, picture.jpeg)
        except OSError as error:
            self.failed += 1
            if picture.wait_s == FIRST_WAIT_S:
                reason = describe_error(error)
                log.error("picture_not_written", error=reason, waiting=len(self), failed=self.failed)
            picture.due_s = now_s + picture.wait_s
            picture.wait_s = min(picture.wait_s * 2, LONGEST_WAIT_S)
            return
        self.written += 1
        if picture in self._queue:  # it may have been dropped meanwhile
            self._queue.remove(picture)
