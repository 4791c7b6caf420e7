"""The observation history on disk: segments of blocks, the oldest deleted first.

Nothing is fsynced: a power cut may cost the last minute. Nobody needs the history for an alert, so it gives
way to everything else: where the disk gets full it deletes itself.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from agent.host.clock import unix_s
from agent.host.disk import writing
from agent.replay.history_block import Block, decode_blocks

SEGMENTS = 16
"""About how many segments hold the whole history: one is deleted at a time."""
LEAST_FREE_BYTES = 64_000_000
"""With less free space on the disk nothing is written, and segments are deleted, the oldest first."""


class HistoryStore:
    """The segments below ``folder``, of ``max_bytes`` and ``max_age_s`` at most. Blocking; one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.max_bytes, self.max_age_s = 0, 0.0
        self._current: Path | None = None
        self._begun_s = 0.0

    def segments(self) -> list[Path]:
        """The segments, oldest first."""
        return sorted(self.folder.glob("????????.seg"))

    def append(self, data: bytes) -> None:
        """Adds the bytes of a block. OSError where the disk refuses them; then the history is deleted."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.prune(len(data))
        if shutil.disk_usage(self.folder).free < LEAST_FREE_BYTES:
            raise OSError(f"less than {LEAST_FREE_BYTES // 1_000_000} MB are free on the disk")
        try:
            path = self._writable()
            with writing(path, durable=False), open(path, "ab", opener=_private) as file:
                file.write(data)
        except OSError:
            self.delete()
            raise

    def _writable(self) -> Path:
        """The segment to write to: another one after a start, and where the present one is large or old."""
        path = self._current
        if path is not None and path.exists():
            young = 0 <= unix_s() - self._begun_s < self.max_age_s / SEGMENTS
            if young and path.stat().st_size < self.max_bytes // SEGMENTS:
                return path
        last = self.segments()
        number = int(last[-1].stem) + 1 if last else 1
        self._current, self._begun_s = self.folder / f"{number:08}.seg", unix_s()
        return self._current

    def prune(self, coming: int = 0) -> None:
        """Deletes segments that are too old, over the size, or in the way of others on a full disk."""
        segments = [(path, path.stat()) for path in self.segments()]
        total = coming + sum(status.st_size for _, status in segments)
        now_s = unix_s()
        for path, status in segments:
            old = now_s - status.st_mtime > self.max_age_s
            full = shutil.disk_usage(self.folder).free < LEAST_FREE_BYTES
            if not (old or full or total > self.max_bytes):
                break
            path.unlink(missing_ok=True)
            total -= status.st_size

    def delete(self) -> None:
        """Deletes the whole history."""
        for path in self.segments():
            path.unlink(missing_ok=True)

    def blocks(self, since_s: float, cameras: Collection[str] | None = None) -> Iterator[Block]:
        """The blocks that begin after ``since_s`` (system clock), in the order of writing.

        With ``cameras`` what other cameras saw is left out.
        """
        for path in self.segments():
            try:
                if path.stat().st_mtime < since_s:
                    continue
                data = path.read_bytes()
            except FileNotFoundError:  # deleted meanwhile
                continue
            for block in decode_blocks(data, cameras):
                if block.at.timestamp() >= since_s:
                    yield block


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
