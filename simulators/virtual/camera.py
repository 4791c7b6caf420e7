"""A camera without frames: the world's detections, through the agent's own tracker, zones and hold times.

It has no pictures: no evidence, no snapshot, no redaction.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, get_args

from agent.domain.contracts import Emit
from agent.domain.observations import CameraState
from agent.host.clock import monotonic_s
from agent.vision.camera import Camera
from agent.vision.camera_session import CameraSession, visibility_settings
from agent.vision.camera_url import redacted_url
from agent.vision.egomotion import Egomotion
from agent.vision.inference_result import CapturedFrame, InferenceResult
from agent.vision.motion_gate import MotionDecision
from agent.vision.view_edges import BlindReason
from agent.vision.visibility import VisibilityMonitor
from firmware_bridge.source import Latest
from models.detection import Detection

STATE_EVERY_S = 5.0
NO_PICTURE: Any = None
FROZEN = "frozen"
TURNED = Egomotion((1.0, 0.0, 0.1), (0.0, 1.0, 0.0))
"""What the agent measures of a camera that turns: the picture moves by a tenth."""


class SeenFrame(Protocol):
    """What was found in one frame, see `simulators.world.sightings.CameraFrame`."""

    @property
    def detections(self) -> tuple[Detection, ...]: ...
    @property
    def delay_s(self) -> float: ...
    @property
    def camera_moves(self) -> bool: ...


class Scenery(Protocol):
    """What a camera looks at, see `simulators.world.sightings.CameraView`."""

    def frame(self, second: float) -> SeenFrame:
        """The detections in the frame that is taken at a second of the run."""


class VirtualCamera:
    """See `simulators.stage.StagedCamera`. ``now_s``: of the run."""

    def __init__(self, scenery: Scenery, now_s: Callable[[], float]) -> None:
        self.connections = self.faulty = 0
        self.blinding: str | None = None
        self._scenery = scenery
        self._now_s = now_s
        self._cut = False

    async def cut(self) -> None:
        """As a pulled cable."""
        self._cut = True

    async def restore(self) -> None:
        self._cut = False

    async def run(self, camera: Camera, emit: Emit, latest: Latest) -> None:
        """Emits what the agent's own camera would. OSError where the cable is pulled."""
        url = redacted_url(camera.url)
        if self._cut:
            self.faulty += 1
            raise OSError(f"{url}: connection refused")
        self.connections += 1
        session, watch = CameraSession(camera, _detect, redactable=False), _Watch(camera)
        number, next_s, state_s = 0, monotonic_s(), monotonic_s()
        detections: tuple[Detection, ...] = ()
        while True:
            await self._starve(url, camera.read_timeout.total_seconds())
            session.adopt(latest())
            at_s = monotonic_s()
            frame = self._scenery.frame(self._now_s())
            if self.blinding is None:
                detections = frame.detections
            else:
                self.faulty += 1
                detections = detections if self.blinding == FROZEN else ()
            await asyncio.sleep(frame.delay_s)
            number += 1
            if (view := watch.view(latest(), self.blinding, at_s)) is not None:
                emit(view)
            moved = MotionDecision(None, TURNED if frame.camera_moves else None)
            captured = CapturedFrame(number, at_s, NO_PICTURE)
            result = InferenceResult(captured, threading.current_thread(), at_s, moved, detections)
            if (sighting := session.sighting(result)) is not None:
                emit(sighting)
            if monotonic_s() - state_s >= STATE_EVERY_S:
                state_s = monotonic_s()
                emit(_state(number, session.settings.fps, frame.delay_s))
            next_s = max(next_s + 1 / session.settings.fps, monotonic_s())
            await asyncio.sleep(next_s - monotonic_s())

    async def _starve(self, url: str, within_s: float) -> None:
        """Waits while no frame comes. OSError after ``within_s``."""
        until_s = monotonic_s() + within_s
        while self._cut:
            if monotonic_s() >= until_s:
                raise OSError(f"{url}: no frame for {within_s:g} s")
            self.faulty += 1
            await asyncio.sleep(0.25)


class _Watch:
    """The visibility of the zones, by the agent's own hold times."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._monitor = VisibilityMonitor(camera.zones, visibility_settings(camera))
        self._checked_s: float | None = None

    def view(self, camera: Any, blinding: str | None, now_s: float) -> Any:
        """A `View` where one is due."""
        if camera is not self._camera and isinstance(camera, Camera):
            self._camera = camera
            self._monitor.change(camera.zones, visibility_settings(camera))
        settings = visibility_settings(self._camera)
        if not settings.watch or (self._checked_s is not None and now_s - self._checked_s < 0.95):
            return None
        self._checked_s = now_s
        reason: BlindReason | None = None
        for known in get_args(BlindReason):
            if known == blinding:
                reason = known
        if reason != FROZEN:
            self._monitor.picture_changed(now_s)
        return self._monitor.report([reason] * max(1, len(self._camera.zones)), now_s)


class VirtualCameras:
    """The cameras of one device by their URL: what `agent.vision.camera.use_cameras` gets."""

    def __init__(self, by_url: Mapping[str, VirtualCamera]) -> None:
        self._by_url = by_url

    async def __call__(self, camera: Camera, emit: Emit, latest: Latest) -> None:
        """OSError where there is no camera under that address."""
        found = self._by_url.get(camera.url)
        if found is None:
            raise OSError(f"{redacted_url(camera.url)}: connection refused")
        await found.run(camera, emit, latest)


def _state(frames: int, fps: float, delay_s: float) -> CameraState:
    return CameraState(
        frames=frames, skipped=0, width=1280, height=720, looked=frames, fps=fps,
        detect_ms=round(delay_s * 1000, 1),
    )  # fmt: skip


def _detect(_frame: Any) -> tuple[Detection, ...]:
    raise NotImplementedError("there are no frames")
