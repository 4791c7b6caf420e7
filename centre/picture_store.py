"""Where a centre keeps pictures: one folder for each device, written beside the messages, never before them.

A picture that can't be written waits here and is tried again; it holds up neither messages nor other
pictures. Only one process may write into a folder.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.runtime.atomic_files import words, write_beside

log = structlog.get_logger()

MOST = 500
"""Pictures that wait to be written, at most 64 KB each. Beyond that the oldest is dropped and counted."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0

_NAME = re.compile(r"media/([A-Za-z0-9-]{1,64})/([0-9]{1,6})")
_DEVICE = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(slots=True, eq=False)
class _Waiting:
    path: Path
    jpeg: bytes
    due_s: float = 0.0
    wait_s: float = FIRST_WAIT_S


class Pictures:
    """Takes pictures with `add`; `run` writes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: deque[_Waiting] = deque()
        self._added = asyncio.Event()
        self.written = self.failed = self.dropped = 0
        """Pictures on disk, attempts that failed, and pictures that were given up."""

    def add(self, device: str, topic: str, jpeg: bytes) -> None:
        """A picture of ``<device>/media/<alert_id>/<n>``. Returns at once; a malformed name is logged."""
        name = _NAME.fullmatch(topic)
        if name is None or _DEVICE.fullmatch(device) is None:
            log.warning("picture_name_malformed", device=device[:64], topic=topic[:100])
            return
        self._waiting.append(_Waiting(self._folder / device / f"{name[1]}-{name[2]}.jpg", jpeg))
        if len(self._waiting) > MOST:
            self.dropped += 1
            log.error("picture_dropped", path=str(self._waiting.popleft().path), dropped=self.dropped)
        self._added.set()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def run(self) -> None:
        """Writes what is added, for ever; what fails is tried again, ever more seldom."""
        clock = asyncio.get_running_loop().time
        while True:
            self._added.clear()
            now_s = clock()
            for one in [one for one in self._waiting if one.due_s <= now_s]:
                await self._write(one, clock())
            wait_s = min((one.due_s for one in self._waiting), default=now_s + LONGEST_WAIT_S) - clock()
            try:
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._added.wait()
            except TimeoutError:
                continue

    async def _write(self, one: _Waiting, now_s: float) -> None:
        try:
            await asyncio.to_thread(write_beside, one.path, one.jpeg)
        except OSError as error:
            self.failed += 1
            if one.wait_s == FIRST_WAIT_S:
                log.error("picture_not_written", error=words(error), waiting=len(self), failed=self.failed)
            one.due_s, one.wait_s = now_s + one.wait_s, min(one.wait_s * 2, LONGEST_WAIT_S)
            return
        self.written += 1
        if one in self._waiting:  # it may have been dropped meanwhile
            self._waiting.remove(one)
