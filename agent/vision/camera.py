"""A camera as a source: detections in its newest frame become a `Sighting`, its visibility a `View`.

probe_stream ─▶ FrameReader (a thread) ─▶ preprocessor ─▶ CameraSlot ─▶ InferencePool (threads)
    ─▶ event loop, in order of the frames: Tracker, zones ─▶ emit
"""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import quote

import models
from agent.domain.contracts import Emit
from agent.domain.observations import SeenObject, Sighting
from agent.domain.zones import zones_of
from agent.privacy.redaction import FrameWithPeople, detects_people
from agent.runtime.native_calls import MAX_ABANDONED, abandoned_threads, within
from agent.vision.camera_probe import CameraProbe
from agent.vision.camera_settings import CameraSettings
from agent.vision.camera_stats import CameraStats
from agent.vision.camera_url import is_file, redacted_url
from agent.vision.frame_reader import FrameReader
from agent.vision.inference_pool import SHARED_POOL, CameraSlot
from agent.vision.inference_result import CapturedFrame, InferenceResult
from agent.vision.motion_gate import MotionGate
from agent.vision.preprocess import preprocessor
from agent.vision.stream_probe import probe_stream
from agent.vision.tracker import TrackedObject, Tracker
from agent.vision.visibility import VisibilityMonitor, VisibilitySettings
from firmware_bridge.source import WantedOutputs
from models.detection import Detection, Frame


class Camera(CameraSettings):
    """A camera: V4L2 (a number or /dev/video…), rtsp(s)://, http(s)://, udp://, rtp://, or a file."""

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"sighting", "view"})

    async def run(self, emit: Emit, _wanted: WantedOutputs = dict) -> None:
        """Emits a `Sighting` for each inferred frame, a `View` each second and a `CameraState` every 5 s.

        Returns at the end of a file. OSError: one line saying why there are no frames (missing, refused, no
        frame in time).
        """
        if abandoned_threads() >= MAX_ABANDONED:
            raise OSError(f"{abandoned_threads()} native calls hang: no more are started in this process")
        url = self._url_with_login()
        await probe_stream(url, self.open_timeout.total_seconds(), self.trust, self.max_pixels)
        load, doing = self.detector.load, f"loading {self.detector.model}"
        detect, redactable = await within(self.detector.max_load_s(), load, doing)
        file = is_file(url)
        gate, tracker = MotionGate(self.motion), Tracker(self.detector.score)
        preprocess = preprocessor(self.rotate, self.crop, self.blackout)
        every_frame = file and self.every_frame
        slot = CameraSlot(SHARED_POOL, gate.decide, detect, 0 if every_frame else 1 / self.fps, self.url)

        def take(number: int, at_s: float, frame: Frame) -> None:
            slot.offer(CapturedFrame(number, at_s, preprocess(frame)), wait=every_frame)

        reader = self._frame_reader(url, take, slot.wants, slot.wake, loop=self.loop, paced=not every_frame)
        visibility = VisibilityMonitor(self.zones, self._visibility_settings())
        stats = CameraStats(reader, slot, None if file else self.fps, self.mode)
        with slot, reader:
            while not (reader.ended and slot.empty()):
                result = await self._next(slot)
                reader.check()
                if result is not None and visibility.due(result.captured.at_s):
                    frame, at_s = result.captured.frame, result.captured.at_s
                    intact = not reader.damaged(at_s)
                    emit(await asyncio.to_thread(visibility.check, frame, at_s, learn=intact))
                if result is not None and result.detections is not None:
                    emit(self._sighting(result, result.detections, tracker, gate, redactable))
                stats.count(result)
                if stats.due():
                    emit(stats.state())
            reader.check()
        emit(stats.state())

    def _sighting(
        self,
        result: InferenceResult,
        detections: tuple[Detection, ...],
        tracker: Tracker,
        gate: MotionGate,
        redactable: bool,
    ) -> Sighting:
        """The tracked objects of a frame; with the frame itself where its people can be redacted."""
        captured, moved = result.captured, result.decision.egomotion
        tracked = tracker.track(self.detector.wanted(detections), captured.at_s, moved)
        if tracked or tracker.has_unconfirmed:
            gate.detected(captured.at_s)
        return Sighting(
            frame=captured.number,
            objects=self._objects(tracked),
            delay_s=round(time.monotonic() - captured.at_s, 4),
            camera_moves=moved is not None and moved.far,
            frame_with_people=FrameWithPeople(captured.frame, detections) if redactable else None,
        )

    async def first_frame(self) -> tuple[int, int]:
        """Opens the camera, decodes one frame and closes it: width and height. OSError: why there is none."""
        found = await self.probe(0.0)
        return found.width, found.height

    async def probe(self, count_s: float) -> CameraProbe:
        """Opens the camera, counts frames for ``count_s`` and closes it. OSError: why there is no frame."""
        url, began_s = self._url_with_login(), time.monotonic()
        await probe_stream(url, self.open_timeout.total_seconds(), self.trust, self.max_pixels)
        sizes: list[tuple[int, int]] = []

        def take(_number: int, _at_s: float, frame: Frame) -> None:
            sizes.append((frame.shape[1], frame.shape[0]))

        def wants(_: float) -> bool:
            return not sizes

        with self._frame_reader(url, take, wants, lambda: None) as reader:
            while not sizes:
                reader.check()
                if reader.ended and not sizes:
                    raise OSError(f"{redacted_url(self.url)}: ended before a frame came")
                await asyncio.sleep(0.05)
            first_s, first_frames = time.monotonic(), reader.frames
            await asyncio.sleep(count_s)
            span_s = time.monotonic() - first_s
            fps = (reader.frames - first_frames) / span_s if count_s else None
        return CameraProbe(*sizes[0], reader.format, first_s - began_s, fps)

    def _frame_reader(
        self,
        url: str,
        take: Callable[[int, float, Frame], None],
        wants: Callable[[float], bool],
        on_end: Callable[[], None],
        *,
        loop: bool = False,
        paced: bool = True,
    ) -> FrameReader:
        return FrameReader(
            url,
            take,
            wants,
            on_end,
            open_s=self.open_timeout.total_seconds(),
            read_s=self.read_timeout.total_seconds(),
            loop=loop,
            paced=paced,
            trust=self.trust,
            mode=self.mode,
            fps=self.fps,
            max_pixels=self.max_pixels,
        )

    def can_redact(self) -> bool:
        """Whether pictures may leave: False where the model is known to detect no people."""
        try:
            return detects_people(models.find(self.detector.model))
        except (OSError, ValueError):
            return True

    def _url_with_login(self) -> str:
        """The URL with its login; it is never logged or reported."""
        if self.username is None or self.password is None:
            return self.url
        login = f"{quote(self.username, safe='')}:{quote(self.password.read(), safe='')}@"
        return self.url.replace("://", f"://{login}", 1)

    async def _next(self, slot: CameraSlot) -> InferenceResult | None:
        try:
            return await slot.next(0.5)
        except ValueError as error:
            raise OSError(f"detector {self.detector.model}: {error}") from error

    def _visibility_settings(self) -> VisibilitySettings:
        """The settings; a camera that turns with its platform has no fixed view to compare with."""
        turns = self.mount is not None and self.mount.heading_deg is None
        return self.coverage.model_copy(update={"moves": True}) if turns else self.coverage

    def _objects(self, tracked: list[TrackedObject]) -> tuple[SeenObject, ...]:
        return tuple(
            SeenObject(
                track=seen.track,
                label=seen.label,
                score=seen.score,
                box=seen.box,
                zones=zones_of(seen.box, self.zones),
                sure=seen.sure,
            )
            for seen in tracked
        )
