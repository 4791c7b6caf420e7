"""The ring buffer of each camera on disk, one JPEG a frame, and a clip of each alert.

``<camera>/ring/…jpg`` is deleted as it ages. A clip is a folder ``<camera>/clips/<alert_id>`` of hard links
into the ring buffer: it takes no space until the ring buffer deletes the frame. Blocking, for one thread at a
time.
"""

import os
import shutil
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from agent.evidence.settings import Evidence
from agent.host.clock import monotonic_s, unix_s

CLOCK_SET_S = 60.0
"""The system clock was set where the ages of a clip by both clocks differ by more."""


@dataclass(slots=True)
class _Clip:
    """A clip that still grows; frames up to ``until_s`` (monotonic) are added."""

    folder: Path
    until_s: float


@dataclass(slots=True)
class _CameraRing:
    """One camera's ring buffer, oldest first: file, bytes, and the monotonic time of the frame."""

    folder: Path
    frames: deque[tuple[Path, int, float]] = field(default_factory=deque)
    clips: dict[str, _Clip] = field(default_factory=dict)


class ClipStore:
    """`write` each frame, `request_clip` for an alert, `prune` every few seconds."""

    def __init__(self, folder: Path, config: Evidence) -> None:
        self.config = config
        self._sizes: dict[Path, int] = {}
        self._created_s: dict[Path, float] = {}
        self._low_disk: str | None = None
        self._quota_full: str | None = None
        self._folder = folder
        self._rings: dict[str, _CameraRing] = {}
        self._requested: deque[tuple[str, str, float]] = deque()

    @property
    def trouble(self) -> str | None:
        """Why nothing, or no new clip, is recorded; None where all is well."""
        return self._low_disk or self._quota_full

    def request_clip(self, camera: str, alert_id: str, now_s: float) -> None:
        """The next write begins a clip of the seconds around ``now_s``. Does not touch the disk."""
        self._requested.append((camera, alert_id, now_s))

    def is_growing(self, alert_id: str) -> bool:
        """Whether frames are still added to the clip."""
        growing = any(alert_id in ring.clips for ring in list(self._rings.values()))  # another thread writes
        return growing or any(requested == alert_id for _, requested, _ in list(self._requested))

    def write(self, camera: str, number: int, at: datetime, at_s: float, jpeg: bytes) -> None:
        """Adds one frame. OSError where the disk refuses it."""
        ring = self._ring(camera, at_s)
        free_mb = shutil.disk_usage(ring.folder).free // 1_000_000
        if free_mb < self.config.least_free_mb:
            least = self.config.least_free_mb
            self._low_disk = f"nothing is recorded: {free_mb} MB free, evidence.least_free_mb is {least}"
            self._trim(ring, at_s)
            return
        self._low_disk = None
        path = ring.folder / f"{at:%Y%m%dT%H%M%S.%f}-{number}.jpg"
        try:
            path.write_bytes(jpeg)
        except OSError:
            with suppress(OSError):  # a partial file would take space and not be counted
                path.unlink(missing_ok=True)
            raise
        ring.frames.append((path, len(jpeg), at_s))
        for alert_id, clip in list(ring.clips.items()):
            if at_s > clip.until_s:
                del ring.clips[alert_id]
            else:
                _link(path, clip.folder)
        self._begin_clips(camera, ring)
        self._trim(ring, at_s)

    def clip(self, alert_id: str) -> tuple[str, list[tuple[int, Path]]] | None:
        """Camera and pictures of a clip, oldest first, numbered from 2; None where there is no such clip."""
        for camera in self._cameras():
            for folder in (camera / "clips").glob("*"):
                if folder.name == alert_id and (pictures := sorted(folder.glob("*.jpg"))):
                    return camera.name, list(enumerate(pictures, 2))
        return None

    def prune(self) -> None:
        """Deletes frames and clips over their age or quota, also of cameras no longer configured."""
        now_s = monotonic_s()
        for camera in self._cameras():
            ring = self._ring(camera.name, now_s)
            self._begin_clips(camera.name, ring)
            self._trim(ring, now_s)
            for age_s, clip in self._ages(camera / "clips"):
                if age_s > self.config.keep_most.total_seconds():
                    self._delete(clip)
            self._make_room(camera, ring)

    def _begin_clips(self, camera: str, ring: _CameraRing) -> None:
        for _ in range(len(self._requested)):
            request = self._requested.popleft()
            if request[0] != camera:
                self._requested.append(request)
                continue
            _, alert_id, alert_s = request
            if not self._make_room(ring.folder.parent, ring):
                continue
            folder = ring.folder.parent / "clips" / alert_id
            folder.mkdir(parents=True, exist_ok=True)
            self._created_s[folder] = monotonic_s()
            for path, _, at_s in ring.frames:
                if at_s >= alert_s - self.config.before.total_seconds():
                    _link(path, folder)
            ring.clips[alert_id] = _Clip(folder, alert_s + self.config.after.total_seconds())

    def _make_room(self, camera: Path, ring: _CameraRing) -> bool:
        """Deletes the oldest clips until there is room; False where they are younger than ``keep_least``."""
        limit = self.config.max_mb * 1_000_000
        clips = self._ages(camera / "clips")
        sizes = {clip: self._size(clip, growing=clip.name in ring.clips) for _, clip in clips}
        used = sum(size for _, size, _ in ring.frames) + sum(sizes.values())
        for age_s, clip in clips:
            if used <= limit:
                break
            if age_s < self.config.keep_least.total_seconds():
                self._quota_full = (
                    f"no new clips of {camera.name}: evidence.max_mb is full of clips that are younger than"
                    " evidence.keep_least"
                )
                return False
            self._delete(clip)
            used -= sizes[clip]
        self._quota_full = None
        return True

    def _ages(self, folder: Path) -> list[tuple[float, Path]]:
        """The age of each clip in seconds, the oldest first.

        The monotonic clock gives the age of a clip of this run; where the system clock was set since, the
        time of its folder is corrected. A clip with a time in the future ages from now on.
        """
        now_s, mono_s = unix_s(), monotonic_s()
        found = []
        for clip in folder.glob("*"):
            age_s, created_s = now_s - clip.stat().st_mtime, self._created_s.get(clip)
            true_age_s = max(age_s, 0.0) if created_s is None else mono_s - created_s
            if abs(true_age_s - age_s) > CLOCK_SET_S:
                os.utime(clip, (now_s - true_age_s, now_s - true_age_s))
            found.append((true_age_s, clip))
        return sorted(found, reverse=True)

    def _size(self, clip: Path, *, growing: bool) -> int:
        """The bytes of a clip; counted only once after it has stopped growing."""
        size = self._sizes.get(clip)
        if size is None or growing:
            size = self._sizes[clip] = sum(part.stat().st_size for part in clip.glob("*.jpg"))
        return size

    def _delete(self, clip: Path) -> None:
        shutil.rmtree(clip, ignore_errors=True)
        self._sizes.pop(clip, None)
        self._created_s.pop(clip, None)

    def _trim(self, ring: _CameraRing, now_s: float) -> None:
        """Deletes the oldest frames of the ring buffer beyond its seconds, or beyond half of the quota."""
        limit, ring_s = self.config.max_mb * 500_000, self.config.ring.total_seconds()
        size = sum(size for _, size, _ in ring.frames)
        while ring.frames and (size > limit or now_s - ring.frames[0][2] > ring_s):
            path, bytes_, _ = ring.frames.popleft()
            path.unlink(missing_ok=True)
            size -= bytes_

    def _ring(self, camera: str, now_s: float) -> _CameraRing:
        """A camera's ring buffer; frames of an earlier run age from now on."""
        ring = self._rings.get(camera)
        if ring is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = self._folder / camera / "ring"
            folder.mkdir(parents=True, exist_ok=True)
            left = sorted(folder.glob("*.jpg"))
            ring = self._rings[camera] = _CameraRing(folder)
            ring.frames.extend((path, path.stat().st_size, now_s) for path in left)
        return ring

    def _cameras(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*") if path.is_dir())


def nearest_picture(alert_id: str, pictures: Iterable[Path]) -> Path:
    """The picture of a clip that was taken nearest to the alert, whose id has its time (UUIDv7)."""
    with suppress(ValueError):
        alert_s = (UUID(alert_id).int >> 80) / 1000
        return min(pictures, key=lambda path: abs(_taken_s(path) - alert_s))
    return next(iter(pictures))


def _taken_s(path: Path) -> float:
    text = f"{path.name.partition('-')[0]}+0000"
    return datetime.strptime(text, "%Y%m%dT%H%M%S.%f%z").timestamp()


def _link(path: Path, folder: Path) -> None:
    """The same file in another folder; a copy where the file system has no hard links (memory cards)."""
    link = folder / path.name
    if not link.exists():
        try:
            os.link(path, link)
        except OSError:
            shutil.copyfile(path, link)
