"""A camera as a source: detections in its newest frame become a `Sighting`, its visibility a `View`.

probe_stream ─▶ FrameReader (a thread) ─▶ CameraSession ─▶ emit
                                              └─▶ InferencePool (threads) ─▶ in order of the frames
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import ClassVar, TypeAlias
from urllib.parse import quote

import models
from agent.domain.contracts import Emit
from agent.host.clock import monotonic_s
from agent.privacy.redaction import detects_people
from agent.runtime.native_calls import MAX_ABANDONED, abandoned_threads, within
from agent.vision.camera_probe import CameraProbe
from agent.vision.camera_session import CameraSession
from agent.vision.camera_settings import CameraSettings
from agent.vision.camera_slot import CameraSlot
from agent.vision.camera_stats import CameraStats
from agent.vision.camera_url import is_file, redacted_url
from agent.vision.evidence_stream import EvidenceStream
from agent.vision.frame_reader import FrameReader
from agent.vision.inference_result import InferenceResult
from agent.vision.stream_probe import probe_stream
from firmware_bridge.source import Latest, SourcePart, WantedOutputs
from models.detection import Frame

RunCamera: TypeAlias = "Callable[[Camera, Emit, Latest], Awaitable[None]]"
"""Runs a camera, see `Camera.run`."""


class Camera(CameraSettings):
    """A camera: V4L2 (a number or /dev/video…), rtsp(s)://, http(s)://, udp://, rtp://, or a file."""

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"sighting", "view"})
    live_keys: ClassVar[frozenset[str]] = SourcePart.live_keys | {
        "purpose", "fps", "blackout", "detector", "motion", "zones", "coverage", "ground", "mount",
    }  # fmt: skip

    async def run(self, emit: Emit, _wanted: WantedOutputs = dict, latest: Latest | None = None) -> None:
        """Emits a `Sighting` for each inferred frame, a `View` each second and a `CameraState` every 5 s.

        Returns at the end of a file. OSError: one line saying why there are no frames (missing, refused, no
        frame in time).
        """
        await _RUN.get()(self, emit, latest or (lambda: self))

    async def watch(self, emit: Emit, latest: Latest) -> None:
        """`run` with frames: captures, infers and tracks."""
        if abandoned_threads() >= MAX_ABANDONED:
            raise OSError(f"{abandoned_threads()} native calls hang: no more are started in this process")
        url = self._url_with_login()
        await probe_stream(url, self.open_timeout.total_seconds(), self.trust, self.max_pixels)
        load, doing = self.detector.load, f"loading {self.detector.model}"
        detect, redactable = await within(self.detector.max_load_s(), load, doing)
        evidence = self._evidence_stream()
        session = CameraSession(self, detect, redactable, evidence)
        paced = not (is_file(url) and self.every_frame)
        slot = session.slot
        reader = self._frame_reader(url, session.take, slot.wants, slot.wake, loop=self.loop, paced=paced)
        stats = CameraStats(reader, slot, session.expected_fps, self.mode, evidence)
        async with _running(evidence):
            await self._watch(emit, latest, session, reader, stats)

    async def _watch(
        self, emit: Emit, latest: Latest, session: CameraSession, reader: FrameReader, stats: CameraStats
    ) -> None:
        slot = session.slot
        with slot, reader:
            while not (reader.ended and slot.empty()):
                result = await self._next(slot)
                reader.check()
                session.adopt(latest())
                if result is not None:
                    if view := await session.view(result, intact=not reader.damaged(result.captured.at_s)):
                        emit(view)
                    session.adopt(latest())  # right before the picture leaves this module
                    if session.is_current(result) and (sighting := session.sighting(result)):
                        emit(sighting)
                stats.count(result)
                stats.wanted_fps = session.expected_fps
                if stats.due():
                    emit(stats.state())
            reader.check()
        emit(stats.state())

    def goes_on_as(self, changed: SourcePart) -> bool:
        """Whether its capture and its detector stay as they are under the settings ``changed``.

        A camera that is asked for each picture is asked at the rate with which it was opened.
        """
        return (
            isinstance(changed, Camera)
            and super().goes_on_as(changed)
            and self.detector.loads_as(changed.detector)
            and (self.fps == changed.fps or not self.url.lower().startswith("http"))
        )

    async def probe(self, count_s: float) -> CameraProbe:
        """Opens the camera, counts frames for ``count_s`` and closes it. OSError: why there is no frame."""
        url, began_s = self._url_with_login(), monotonic_s()
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
            first_s, first_frames = monotonic_s(), reader.frames
            await asyncio.sleep(count_s)
            span_s = monotonic_s() - first_s
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
            decode=self.decode,
        )

    async def url_once_it_sends(self) -> str:
        """The URL with its login, once its stream has sent data. OSError: why it does not."""
        url = self._url_with_login()
        await probe_stream(url, self.open_timeout.total_seconds(), self.trust)
        return url

    def evidence_camera(self) -> "Camera | None":
        """A camera whose ``url`` is the evidence stream, to check it."""
        if self.evidence_url is None:
            return None
        return self.model_copy(update={"url": self.evidence_url, "evidence_url": None})

    def _evidence_stream(self) -> EvidenceStream | None:
        if self.evidence_url is None:
            return None
        url, limits = self._with_login(self.evidence_url), (self.open_timeout, self.read_timeout)
        open_s, read_s = (limit.total_seconds() for limit in limits)
        return EvidenceStream(url, self.trust, open_s, read_s, self.max_pixels)

    def can_redact(self) -> bool:
        """Whether pictures may leave: False where the model is known to detect no people."""
        try:
            return detects_people(models.find(self.detector.model))
        except (OSError, ValueError):
            return True

    def _url_with_login(self) -> str:
        """The URL with its login; it is never logged or reported."""
        return self._with_login(self.url)

    def _with_login(self, url: str) -> str:
        if self.username is None or self.password is None:
            return url
        login = f"{quote(self.username, safe='')}:{quote(self.password.read(), safe='')}@"
        return url.replace("://", f"://{login}", 1)

    async def _next(self, slot: CameraSlot) -> InferenceResult | None:
        try:
            return await slot.next(0.5)
        except ValueError as error:
            raise OSError(f"detector {self.detector.model}: {error}") from error


@asynccontextmanager
async def _running(evidence: EvidenceStream | None) -> AsyncIterator[None]:
    """Receives the evidence stream during the block; its failures do not end the block."""
    task = None if evidence is None else asyncio.create_task(evidence.run())
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


_RUN: ContextVar[RunCamera] = ContextVar("cameras", default=Camera.watch)


def use_cameras(run: RunCamera) -> None:
    """Makes ``run`` what runs cameras in the present context, and in all tasks that it starts from now on: a
    simulation has sightings without frames."""
    _RUN.set(run)
