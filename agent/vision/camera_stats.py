"""How a camera does: what came, what was looked at, what is slow. Told now and then as a `CameraState`."""

import time
from collections import deque

from agent.domain.observations import CameraState
from agent.runtime.native_calls import abandoned_threads
from agent.vision.frame_reader import Drain
from agent.vision.inference_pool import CameraSlot
from agent.vision.inference_result import InferenceResult
from agent.vision.v4l2_mode import Mode

STATE_EVERY_S = 5.0
SLOW = 0.5
"""A camera is slow, or this machine late, below this share of the frames that are wanted."""

LOSSES = 2
"""One loss in half a minute is no trouble; in so many states of the last six, pictures are damaged."""


class CameraStats:
    """Counts for one run of a camera; ``wanted_fps`` is None where the source sets the pace."""

    def __init__(
        self, drain: Drain, seat: CameraSlot, wanted_fps: float | None, mode: Mode | None = None
    ) -> None:
        self._drain, self._seat, self._wanted_fps = drain, seat, wanted_fps
        self._mode = mode or Mode()
        self._lost = 0
        self._losses: deque[tuple[int, float]] = deque(maxlen=6)
        self._since_s = time.monotonic()
        self._frames = self._taken = self._looked = 0
        self._ms = 0.0
        self.looked = 0

    def count(self, looked: InferenceResult | None) -> None:
        """A frame came back."""
        if looked is not None and looked.seen is not None:
            self.looked += 1
            self._ms += looked.took_s * 1000

    def due(self) -> bool:
        """Whether it is time to tell."""
        return time.monotonic() - self._since_s >= STATE_EVERY_S

    def state(self) -> CameraState:
        """What is so since the last state."""
        drain, now_s = self._drain, time.monotonic()
        span_s, taken = max(now_s - self._since_s, 1e-3), self._seat.taken
        came_fps = (drain.frames - self._frames) / span_s
        taken_fps = (taken - self._taken) / span_s
        looked = self.looked - self._looked
        state = CameraState(
            frames=drain.frames,
            skipped=max(0, drain.frames - taken),
            width=drain.width,
            height=drain.height,
            looked=self.looked,
            fps=round(came_fps, 1),
            detect_ms=round(self._ms / looked, 1) if looked else 0.0,
            lost=drain.lost,
            granted=drain.granted,
            trouble=self._trouble(came_fps, taken_fps, span_s),
        )
        self._lost = drain.lost
        self._since_s, self._frames, self._taken, self._looked, self._ms = (
            now_s, drain.frames, taken, self.looked, 0.0,
        )  # fmt: skip
        return state

    def _trouble(self, came_fps: float, taken_fps: float, span_s: float) -> str | None:
        hanging = abandoned_threads()
        if hanging:
            return f"{hanging} native calls hang"
        self._losses.append((self._drain.lost - self._lost, span_s))
        if sum(lost > 0 for lost, _ in self._losses) >= LOSSES:
            lost, in_s = map(sum, zip(*self._losses, strict=True))
            return f"damaged: {lost} packets lost on the way in {in_s:.0f} s; use RTSP over TCP"
        if missed := self._mode.missed(self._drain.granted):
            return missed
        if self._wanted_fps is None or span_s < 0.9 * STATE_EVERY_S:
            return None
        if came_fps < SLOW * self._wanted_fps:
            return f"slow: {came_fps:.1f} frames a second come, {self._wanted_fps:g} are wanted"
        if taken_fps < SLOW * min(came_fps, self._wanted_fps):
            return f"late: this machine looks at {taken_fps:.1f} of {self._wanted_fps:g} frames a second"
        return None
