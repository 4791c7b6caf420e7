"""A camera as a source: the newest frame wins, and what is seen in it is told. Only file with VideoCapture.

A thread of its own drains each capture, so that a frame is never old when its turn comes; it is the one that
opens and closes it. A native call that hangs can hold up that thread, never the agent: it is left behind.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

import models
from agent.durations import Duration
from agent.observations import CameraState, SeenObject, Sighting
from agent.parts import Emit
from agent.vision.motion import Gate, Motion
from agent.vision.privacy import LEAST_SCORE, Look, knows_people, people_in
from agent.vision.tracker import Tracked, Tracker
from agent.vision.zones import Zone, zones_of
from models.detection import Detect, Detection, Frame

STATE_EVERY_S = 5.0


class Watching(BaseModel):
    """Which model looks, for what, and how sure it must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "default"
    labels: tuple[str, ...] | None = None
    score: float = Field(default=0.4, ge=0.05, le=1)


class Camera(BaseModel):
    """A camera: V4L2 (a number or /dev/video…), a file, rtsp:// or http://; a file plays at its own speed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gives: ClassVar[frozenset[str]] = frozenset({"sighting"})

    kind: Literal["camera"] = "camera"
    url: str = Field(min_length=1)
    purpose: str = Field(min_length=3)
    """What this camera is for, in words: no camera without a purpose."""
    fps: float = Field(default=5, gt=0, le=60)
    """How many frames a second are looked at, at most."""
    detector: Watching = Watching()
    motion: Motion = Motion()
    zones: dict[str, Zone] = Field(default_factory=dict)
    loop: bool = False
    """A file starts again at its end."""
    open_timeout: Duration = Field(default="5s", validate_default=True)
    read_timeout: Duration = Field(default="5s", validate_default=True)

    @field_validator("url", mode="before")
    @classmethod
    def _beside(cls, url: Any, info: ValidationInfo) -> Any:
        """A number is a V4L2 camera; a relative file is relative to the configuration."""
        if isinstance(url, int) and not isinstance(url, bool):
            return str(url)
        base = (info.context or {}).get("base")
        if isinstance(url, str) and base is not None and "://" not in url and not url.isdigit():
            return str(Path(base) / url)
        return url

    async def run(self, emit: Emit) -> None:
        """Emits a `Sighting` for each frame let through, until the file ends or the camera is gone.

        OSError says in one line why: not there, refused, no frame in time.
        """
        detect, covers = await asyncio.to_thread(self._load)
        tracker = Tracker()
        gate = Gate(self.motion)
        drain = Drain(self)
        drain.start()
        state_s = next_s = time.monotonic()
        try:
            while (taken := await drain.newest()) is not None:
                number, taken_s, frame = taken
                if await asyncio.to_thread(gate.reason, frame, taken_s) is not None:
                    everything = await asyncio.to_thread(detect, frame)
                    seen = self._wanted(everything)
                    if seen:
                        gate.detected(taken_s)
                    objects = self._objects(tracker.track(seen, taken_s))
                    delay_s = round(time.monotonic() - taken_s, 4)
                    look = Look(frame, people_in(everything)) if covers else None
                    emit(Sighting(frame=number, objects=objects, delay_s=delay_s, look=look))
                now_s = time.monotonic()
                if now_s - state_s >= STATE_EVERY_S:
                    state_s = now_s
                    emit(drain.state())
                next_s = max(next_s + 1 / self.fps, now_s)
                await asyncio.sleep(next_s - now_s)
        finally:
            drain.stop()
        emit(drain.state())

    def _wanted(self, seen: tuple[Detection, ...]) -> tuple[Detection, ...]:
        labels, score = self.detector.labels, self.detector.score
        return tuple(one for one in seen if one.score >= score and (labels is None or one.label in labels))

    def _objects(self, tracked: list[Tracked]) -> tuple[SeenObject, ...]:
        return tuple(
            SeenObject(
                track=one.track,
                label=one.detection.label,
                score=one.detection.score,
                box=one.detection.box,
                zones=zones_of(one.detection.box, self.zones),
            )
            for one in tracked
        )

    def _load(self) -> tuple[Detect, bool]:
        """The detector, as unsure as covering people wants it, and whether it knows people at all."""
        try:
            card = models.find(self.detector.model)
            return card.at(min(self.detector.score, LEAST_SCORE)).load(), knows_people(card.labels)
        except ValueError as error:
            raise OSError(f"detector {self.detector.model}: {error}") from error


class Drain:
    """The thread that reads frames as fast as they come and keeps the newest."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._loop = asyncio.get_running_loop()
        self._fresh = asyncio.Event()
        self._slot: tuple[int, float, Frame] | None = None
        self._error: OSError | None = None
        self._ended = False
        self._stopped = threading.Event()
        self._frames = self._taken = self._width = self._height = 0
        self._opened = False
        self._thread = threading.Thread(target=self._run, name=f"camera {camera.url}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; one that hangs in a native call is left behind."""
        self._stopped.set()

    def state(self) -> CameraState:
        skipped = max(0, self._frames - self._taken)
        return CameraState(frames=self._frames, skipped=skipped, width=self._width, height=self._height)

    async def newest(self) -> tuple[int, float, Frame] | None:
        """(number, monotonic time, frame): the newest not yet taken; None at the end of a file."""
        while True:
            if self._slot is not None:
                taken, self._slot = self._slot, None
                self._taken += 1
                return taken
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._fresh.clear()
            camera = self._camera
            limit = camera.read_timeout if self._opened else camera.open_timeout + camera.read_timeout
            try:
                async with asyncio.timeout(limit.total_seconds() + 2):
                    await self._fresh.wait()
            except TimeoutError:
                what = "no frame" if self._opened else "no answer"
                raise TimeoutError(f"{camera.url}: {what} for {limit.total_seconds():g} s") from None

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._play()
                if not self._camera.loop:
                    break
        except OSError as error:
            self._error = error
        except Exception as error:  # OpenCV's own errors
            self._error = OSError(f"{self._camera.url}: {' '.join(str(error).split())}")
        self._ended = True
        self._wake()

    def _play(self) -> None:
        camera = self._camera
        capture = open_capture(
            camera.url, camera.open_timeout.total_seconds(), camera.read_timeout.total_seconds()
        )
        self._opened = True
        live = not Path(camera.url).is_file()
        every_s = 0.0 if live else 1 / (capture.get(_FPS) or 25.0)
        due_s = time.monotonic()
        try:
            while not self._stopped.is_set():
                good, frame = capture.read()
                if not good:
                    if live:
                        raise OSError(f"{camera.url}: the stream ended")
                    return
                self._frames += 1
                self._height, self._width = frame.shape[:2]
                self._slot = (self._frames, time.monotonic(), frame)
                self._wake()
                due_s += every_s
                if every_s and (ahead_s := due_s - time.monotonic()) > 0:
                    self._stopped.wait(ahead_s)
        finally:
            capture.release()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._fresh.set)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._stopped.set()


_FPS = 5  # cv2.CAP_PROP_FPS


def open_capture(url: str, open_s: float = 5.0, read_s: float = 5.0) -> Any:
    """An open cv2.VideoCapture. OSError in one line where there is nothing to see."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")  # fatal only: the errors are told in our words
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    import cv2

    cv2.setNumThreads(1)
    device = f"/dev/video{url}" if url.isdigit() else url if url.startswith("/dev/") else None
    is_file = device is None and "://" not in url
    if device is not None:
        if not Path(device).exists():
            raise FileNotFoundError(f"{device} is not there: the camera is unplugged, or named otherwise")
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    elif is_file and not Path(url).exists():
        raise FileNotFoundError(f"{url} is not there")
    else:
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(open_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(read_s * 1000),
        ]
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [*limits, cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        capture.release()
        raise OSError(
            f"{url}: {'no video that can be read' if is_file else 'no stream: refused, or not there'}"
        )
    return capture


def frames(path: str) -> Iterator[tuple[int, float, Frame]]:
    """All frames of a file in order: number, seconds from its start, frame. OSError where it is no video."""
    capture = open_capture(path)
    fps = capture.get(_FPS) or 25.0
    try:
        number = 0
        while True:
            good, frame = capture.read()
            if not good:
                break
            yield number, number / fps, frame
            number += 1
    finally:
        capture.release()
    if number == 0:
        raise OSError(f"{path}: no frame in it")
