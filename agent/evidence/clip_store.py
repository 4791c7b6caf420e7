"""The last seconds of each camera on disk, one JPEG a frame, and of each alert a clip that stays.

``<camera>/ring/…jpg`` is deleted as it ages. A clip is a folder ``<camera>/clips/<alert_id>`` of hard links
into the ring, so that it costs nothing until the ring lets go. Blocking, for one thread at a time.
"""

import os
import shutil
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agent.evidence.settings import Evidence

CLOCK_SET_S = 60.0


@dataclass(slots=True)
class _Clip:
    """A clip that is being kept: up to when frames are added to it."""

    folder: Path
    until_s: float


@dataclass(slots=True)
class _CameraRing:
    """One camera's ring, oldest first: file, bytes, and the monotonic time of the frame."""

    folder: Path
    frames: deque[tuple[Path, int, float]] = field(default_factory=deque)
    clips: dict[str, _Clip] = field(default_factory=dict)


class ClipStore:
    """``write`` each frame, ``keep`` what is around an alert, ``tidy`` now and then."""

    def __init__(self, folder: Path, config: Evidence) -> None:
        self.config = config
        self._sizes: dict[Path, int] = {}
        self._made: dict[Path, float] = {}
        self._low: str | None = None
        self._full: str | None = None
        self._folder = folder
        self._reels: dict[str, _CameraRing] = {}
        self._wanted: deque[tuple[str, str, float]] = deque()

    @property
    def trouble(self) -> str | None:
        """Why nothing, or no new clip, is recorded."""
        return self._low or self._full

    def keep(self, camera: str, alert_id: str, now_s: float) -> None:
        """From the next write on, what was seen around ``now_s`` is a clip. Does not touch the disk."""
        self._wanted.append((camera, alert_id, now_s))

    def keeping(self, alert_id: str) -> bool:
        """Whether the clip still grows."""
        growing = any(alert_id in reel.clips for reel in list(self._reels.values()))  # a thread writes both
        return growing or any(wanted == alert_id for _, wanted, _ in list(self._wanted))

    def write(self, camera: str, number: int, at: datetime, at_s: float, jpeg: bytes) -> None:
        """One frame more. OSError where the disk does not take it."""
        reel = self._reel(camera, at_s)
        free_mb = shutil.disk_usage(reel.folder).free // 1_000_000
        if free_mb < self.config.least_free_mb:
            least = self.config.least_free_mb
            self._low = f"nothing is recorded: {free_mb} MB free, evidence.least_free_mb is {least}"
            self._shrink(reel, at_s)
            return
        self._low = None
        path = reel.folder / f"{at:%Y%m%dT%H%M%S.%f}-{number}.jpg"
        try:
            path.write_bytes(jpeg)
        except OSError:
            with suppress(OSError):  # a piece of it would lie there uncounted
                path.unlink(missing_ok=True)
            raise
        reel.frames.append((path, len(jpeg), at_s))
        for alert_id, clip in list(reel.clips.items()):
            if at_s > clip.until_s:
                del reel.clips[alert_id]
            else:
                _link(path, clip.folder)
        self._begin_clips(camera, reel)
        self._shrink(reel, at_s)

    def clip(self, alert_id: str) -> tuple[str, list[tuple[int, Path]]] | None:
        """Camera and pictures of a clip, oldest first, numbered from 2; None where there is none."""
        for camera in self._cameras():
            for folder in (camera / "clips").glob("*"):
                if folder.name == alert_id and (pictures := sorted(folder.glob("*.jpg"))):
                    return camera.name, list(enumerate(pictures, 2))
        return None

    def tidy(self) -> None:
        """Deletes what is too old, or too much; also of cameras that are no more."""
        now_s = time.monotonic()
        for camera in self._cameras():
            reel = self._reel(camera.name, now_s)
            self._begin_clips(camera.name, reel)
            self._shrink(reel, now_s)
            for age_s, clip in self._ages(camera / "clips"):
                if age_s > self.config.keep_most.total_seconds():
                    self._delete(clip)
            self._make_room(camera, reel)

    def _begin_clips(self, camera: str, reel: _CameraRing) -> None:
        for _ in range(len(self._wanted)):
            wanted = self._wanted.popleft()
            if wanted[0] != camera:
                self._wanted.append(wanted)
                continue
            _, alert_id, since_s = wanted
            if not self._make_room(reel.folder.parent, reel):
                continue
            folder = reel.folder.parent / "clips" / alert_id
            folder.mkdir(parents=True, exist_ok=True)
            self._made[folder] = time.monotonic()
            for path, _, at_s in reel.frames:
                if at_s >= since_s - self.config.before.total_seconds():
                    _link(path, folder)
            reel.clips[alert_id] = _Clip(folder, since_s + self.config.after.total_seconds())

    def _make_room(self, camera: Path, reel: _CameraRing) -> bool:
        """Deletes old clips until there is room; False where what is there must stay."""
        most = self.config.max_mb * 1_000_000
        clips = self._ages(camera / "clips")
        sizes = {clip: self._size(clip, growing=clip.name in reel.clips) for _, clip in clips}
        used = sum(size for _, size, _ in reel.frames) + sum(sizes.values())
        for age_s, clip in clips:
            if used <= most:
                break
            if age_s < self.config.keep_least.total_seconds():
                self._full = (
                    f"no new clips of {camera.name}: evidence.max_mb is full of clips that are younger than"
                    " evidence.keep_least"
                )
                return False
            self._delete(clip)
            used -= sizes[clip]
        self._full = None
        return True

    def _ages(self, folder: Path) -> list[tuple[float, Path]]:
        """How many seconds old each clip is, the oldest first.

        Of a clip of this run the monotonic clock knows it; if the other was set since, its time is mended. A
        clip from the future ages from now on.
        """
        now_s, mono_s = time.time(), time.monotonic()
        found = []
        for clip in folder.glob("*"):
            age_s, made_s = now_s - clip.stat().st_mtime, self._made.get(clip)
            truly_s = max(age_s, 0.0) if made_s is None else mono_s - made_s
            if abs(truly_s - age_s) > CLOCK_SET_S:
                os.utime(clip, (now_s - truly_s, now_s - truly_s))
            found.append((truly_s, clip))
        return sorted(found, reverse=True)

    def _size(self, clip: Path, *, growing: bool) -> int:
        """The bytes of a clip; counted once when it no longer grows."""
        size = self._sizes.get(clip)
        if size is None or growing:
            size = self._sizes[clip] = sum(part.stat().st_size for part in clip.glob("*.jpg"))
        return size

    def _delete(self, clip: Path) -> None:
        shutil.rmtree(clip, ignore_errors=True)
        self._sizes.pop(clip, None)
        self._made.pop(clip, None)

    def _shrink(self, reel: _CameraRing, now_s: float) -> None:
        """Lets the oldest frames go that are too old, or too much."""
        most, ring_s = self.config.max_mb * 500_000, self.config.ring.total_seconds()
        size = sum(size for _, size, _ in reel.frames)
        while reel.frames and (size > most or now_s - reel.frames[0][2] > ring_s):
            path, bytes_, _ = reel.frames.popleft()
            path.unlink(missing_ok=True)
            size -= bytes_

    def _reel(self, camera: str, now_s: float) -> _CameraRing:
        """A camera's ring; what an earlier run left in it ages from now on."""
        reel = self._reels.get(camera)
        if reel is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = self._folder / camera / "ring"
            folder.mkdir(parents=True, exist_ok=True)
            left = sorted(folder.glob("*.jpg"))
            reel = self._reels[camera] = _CameraRing(folder)
            reel.frames.extend((path, path.stat().st_size, now_s) for path in left)
        return reel

    def _cameras(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*") if path.is_dir())


def _link(path: Path, folder: Path) -> None:
    """The same file in another folder; a copy where the file system knows no links, as on a memory card."""
    beside = folder / path.name
    if not beside.exists():
        try:
            os.link(path, beside)
        except OSError:
            shutil.copyfile(path, beside)
