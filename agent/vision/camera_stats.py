"""Statistics of one camera: frames, inferences, what is too slow. Emitted as a `CameraState`."""

from collections import deque

from agent.domain.observations import CameraState
from agent.host.clock import monotonic_s
from agent.runtime.native_calls import abandoned_threads
from agent.vision.camera_slot import CameraSlot
from agent.vision.evidence_stream import EvidenceStream
from agent.vision.frame_reader import FrameReader
from agent.vision.inference_result import InferenceResult
from agent.vision.v4l2_mode import V4l2Mode

STATE_EVERY_S = 5.0
SLOW = 0.5
"""Below this share of the configured frame rate the camera is slow, or this machine late."""

LOSSES = 2
"""With packet loss in this many of the last six states (half a minute), pictures are damaged."""


class CameraStats:
    """Counters of one run of a camera; ``wanted_fps`` is None where the source sets the frame rate."""

    def __init__(
        self,
        reader: FrameReader,
        slot: CameraSlot,
        wanted_fps: float | None,
        mode: V4l2Mode | None = None,
        evidence: EvidenceStream | None = None,
    ) -> None:
        self._reader, self._slot, self.wanted_fps = reader, slot, wanted_fps
        self._mode, self._evidence = mode or V4l2Mode(), evidence
        self._lost = 0
        self._losses: deque[tuple[int, float]] = deque(maxlen=6)
        self._since_s = monotonic_s()
        self._frames = self._accepted = self._inferences = 0
        self._regions = self._regions_wanted = 0
        self._ms = 0.0
        self.inferences = 0

    def count(self, result: InferenceResult | None) -> None:
        """Counts one result."""
        if result is not None and result.detections is not None:
            self.inferences += 1
            self._ms += result.inference_s * 1000

    def due(self) -> bool:
        """Whether the next state is due."""
        return monotonic_s() - self._since_s >= STATE_EVERY_S

    def state(self) -> CameraState:
        """The state since the last call."""
        reader, now_s = self._reader, monotonic_s()
        span_s, accepted = max(now_s - self._since_s, 1e-3), self._slot.accepted
        arrived_fps = (reader.frames - self._frames) / span_s
        accepted_fps = (accepted - self._accepted) / span_s
        inferences = self.inferences - self._inferences
        state = CameraState(
            frames=reader.frames,
            skipped=max(0, reader.frames - accepted),
            width=reader.width,
            height=reader.height,
            looked=self.inferences,
            fps=round(arrived_fps, 1),
            detect_ms=round(self._ms / inferences, 1) if inferences else 0.0,
            regions=round((self._slot.regions_examined - self._regions) / span_s, 1),
            regions_wanted=round((self._slot.regions_wanted - self._regions_wanted) / span_s, 1),
            lost=reader.lost,
            granted=reader.granted,
            trouble=self._trouble(arrived_fps, accepted_fps, span_s)
            or reader.decoding_trouble
            or (self._evidence.trouble if self._evidence is not None else None),
        )
        self._lost = reader.lost
        self._regions, self._regions_wanted = self._slot.regions_examined, self._slot.regions_wanted
        self._since_s, self._frames, self._accepted, self._inferences, self._ms = (
            now_s, reader.frames, accepted, self.inferences, 0.0,
        )  # fmt: skip
        return state

    def _trouble(self, arrived_fps: float, accepted_fps: float, span_s: float) -> str | None:
        hanging = abandoned_threads()
        if hanging:
            return f"{hanging} native calls hang"
        self._losses.append((self._reader.lost - self._lost, span_s))
        if sum(lost > 0 for lost, _ in self._losses) >= LOSSES:
            lost, in_s = map(sum, zip(*self._losses, strict=True))
            return f"damaged: {lost} packets lost in {in_s:.0f} s; use RTSP over TCP"
        if missed := self._mode.refused(self._reader.granted):
            return missed
        if self.wanted_fps is None or span_s < 0.9 * STATE_EVERY_S:
            return None
        if arrived_fps < SLOW * self.wanted_fps:
            return f"slow: {arrived_fps:.1f} frames a second arrive, {self.wanted_fps:g} are configured"
        if accepted_fps < SLOW * min(arrived_fps, self.wanted_fps):
            return f"late: this machine processes {accepted_fps:.1f} of {self.wanted_fps:g} frames a second"
        return None
