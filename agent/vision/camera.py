"""A camera as a source: what is seen in its newest frame is told.

knock ─▶ Drain (a thread) ─▶ framing ─▶ Seat ─▶ Pool (threads) ─▶ here, in order: tracker, zones ─▶ emit
"""

import asyncio
import time
from typing import ClassVar
from urllib.parse import quote

import models
from agent.domain.contracts import Emit
from agent.domain.observations import SeenObject, Sighting
from agent.domain.zones import zones_of
from agent.privacy.redaction import FrameWithPeople, detects_people
from agent.runtime.native_calls import MAX_ABANDONED, abandoned_threads, within
from agent.vision.camera_settings import CameraSettings
from agent.vision.camera_stats import CameraStats
from agent.vision.camera_url import is_file, redacted
from agent.vision.frame_reader import Drain
from agent.vision.inference_pool import SHARED, CameraSlot
from agent.vision.inference_result import CapturedFrame, InferenceResult
from agent.vision.motion_gate import MotionGate
from agent.vision.preprocess import framing
from agent.vision.stream_probe import probe_stream
from agent.vision.tracker import Tracked, Tracker
from agent.vision.visibility import VisibilityMonitor, VisibilitySettings
from firmware_bridge.source import WantedOutputs
from models.detection import Frame


class Camera(CameraSettings):
    """A camera: V4L2 (a number or /dev/video…), rtsp(s)://, http(s)://, udp://, rtp://, or a file."""

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"sighting", "view"})

    async def run(self, emit: Emit, _wanted: WantedOutputs = dict) -> None:
        """Emits a `Sighting` for each frame let through, until the file ends or the camera is gone.

        OSError says in one line why: not there, refused, no frame in time.
        """
        if abandoned_threads() >= MAX_ABANDONED:
            raise OSError(f"{abandoned_threads()} native calls hang: no more are begun in this process")
        url = self._address()
        await probe_stream(url, self.open_timeout.total_seconds(), self.trust)
        load, what = self.detector.load, f"loading {self.detector.model}"
        detect, covers = await within(self.detector.load_s(), load, what)
        file = is_file(url)
        gate, tracker = MotionGate(self.motion), Tracker(self.detector.score)
        frame_it = framing(self.rotate, self.crop, self.blackout)
        every_frame = file and self.every_frame
        seat = CameraSlot(SHARED, gate.glance, detect, 0 if every_frame else 1 / self.fps, self.url)

        def take(number: int, at_s: float, frame: Frame) -> None:
            seat.offer(CapturedFrame(number, at_s, frame_it(frame)), wait=every_frame)

        drain = Drain(
            url,
            take,
            seat.wants,
            seat.wake,
            open_s=self.open_timeout.total_seconds(),
            read_s=self.read_timeout.total_seconds(),
            loop=self.loop,
            paced=not every_frame,
            trust=self.trust,
            mode=self.mode,
            fps=self.fps,
        )
        coverage = VisibilityMonitor(self.zones, self._watchfulness())
        pulse = CameraStats(drain, seat, None if file else self.fps, self.mode)
        with seat, drain:
            while not (drain.ended and seat.empty()):
                looked = await self._next(seat)
                drain.check()
                if looked is not None and coverage.due(looked.taken.at_s):
                    taken = looked.taken
                    whole = not drain.damaged(taken.at_s)
                    emit(await asyncio.to_thread(coverage.look, taken.frame, taken.at_s, learn=whole))
                if looked is not None and looked.seen is not None:
                    taken = looked.taken
                    moved = looked.glance.egomotion
                    tracked = tracker.track(self.detector.wanted(looked.seen), taken.at_s, moved)
                    if tracked or tracker.doubts:
                        gate.detected(taken.at_s)
                    objects = self._objects(tracked)
                    look = FrameWithPeople(taken.frame, looked.seen) if covers else None
                    delay_s = round(time.monotonic() - taken.at_s, 4)
                    # A frame, its time, and what is tracked in it: whoever wants all three gets them here.
                    emit(
                        Sighting(
                            frame=taken.number,
                            objects=objects,
                            delay_s=delay_s,
                            camera_moves=moved is not None and moved.far,
                            frame_with_people=look,
                        )
                    )
                pulse.count(looked)
                if pulse.due():
                    emit(pulse.state())
            drain.check()
        emit(pulse.state())

    async def first_frame(self) -> tuple[int, int]:
        """Opens the camera, decodes one frame and lets it go: width and height. OSError says why not."""
        url, open_s = self._address(), self.open_timeout.total_seconds()
        await probe_stream(url, open_s, self.trust)
        sizes: list[tuple[int, int]] = []

        def take(_number: int, _at_s: float, frame: Frame) -> None:
            sizes.append((frame.shape[1], frame.shape[0]))

        with Drain(
            url,
            take,
            lambda _: True,
            lambda: None,
            open_s=open_s,
            read_s=self.read_timeout.total_seconds(),
            trust=self.trust,
            mode=self.mode,
            fps=self.fps,
        ) as drain:
            while not sizes:
                drain.check()
                if drain.ended and not sizes:
                    raise OSError(f"{redacted(self.url)}: ended before a frame came")
                await asyncio.sleep(0.05)
        return sizes[0]

    def _address(self) -> str:
        """The URL with its login, as FFmpeg wants it; it is told nowhere."""
        if self.username is None or self.password is None:
            return self.url
        login = f"{quote(self.username, safe='')}:{quote(self.password.read(), safe='')}@"
        return self.url.replace("://", f"://{login}", 1)

    async def _next(self, seat: CameraSlot) -> InferenceResult | None:
        try:
            return await seat.next(0.5)
        except ValueError as error:
            raise OSError(f"detector {self.detector.model}: {error}") from error

    def shows_nobody(self) -> bool:
        """Whether its model is known to know no people, so that no picture may leave."""
        try:
            return not detects_people(models.find(self.detector.model))
        except (OSError, ValueError):
            return False

    def _watchfulness(self) -> VisibilitySettings:
        """What turns with its platform has no view that is the right one."""
        turns = self.mount is not None and self.mount.heading_deg is None
        return self.coverage.model_copy(update={"moves": True}) if turns else self.coverage

    def _objects(self, tracked: list[Tracked]) -> tuple[SeenObject, ...]:
        return tuple(
            SeenObject(
                track=one.track,
                label=one.label,
                score=one.score,
                box=one.box,
                zones=zones_of(one.box, self.zones),
                sure=one.sure,
            )
            for one in tracked
        )
