"""The place of one camera in the inference pool: its newest frame, its results, its regions."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from agent.host.clock import monotonic_s
from agent.vision.inference_result import CapturedFrame, ExaminedRegion, InferenceResult
from agent.vision.inference_schedule import NEVER
from agent.vision.motion_gate import MotionDecision
from agent.vision.regions import Region
from models.detection import Detect, Frame

DETECTOR_KEPT_S = 600.0
"""A camera that returns within this finds its detector loaded: loading takes a second, fragments memory."""


class Pool(Protocol):
    """The pool, as a slot sees it; ``work`` is notified of new work, ``lock`` is its lock."""

    size: int
    max_inference_s: float
    lock: threading.Lock
    work: threading.Condition

    def join(self, slot: "CameraSlot") -> None:
        """Adds a camera."""

    def remove(self, slot: "CameraSlot") -> None:
        """Removes a camera."""


class CameraSlot:
    """One camera in the pool: `offer` frames from the camera's thread, await `next` on the event loop.

    ``decide`` is called for each frame, one after the other; where it gives a reason, ``detect`` runs.
    """

    def __init__(
        self,
        pool: Pool,
        decide: Callable[[Frame, float], MotionDecision],
        detect: Detect,
        every_s: float,
        camera: str = "",
        detect_region: Detect | None = None,
    ) -> None:
        self.decide, self.detect, self.every_s = decide, detect, every_s
        self.detect_region = detect_region or detect
        self.camera = camera
        self.scheduled_s = monotonic_s()
        self.waiting: CapturedFrame | None = None
        self.waiting_since_s = self.due_s = self.early_s = 0.0
        self.deciding = self.closed = False
        self.results: deque[InferenceResult] = deque()
        """Inferences that run or are done, in the order of their frames."""
        self.accepted = 0
        """Number of frames that entered an inference thread."""
        self.regions: deque[ExaminedRegion] = deque()
        """Regions that wait for idle core time; the next frame's replace them."""
        self.examining: list[ExaminedRegion] = []
        """Regions that are examined now."""
        self.region_turn_s = self.gap_s = 0.0
        self.regions_wanted = self.regions_examined = 0
        self._examined: list[ExaminedRegion] = []
        self.space = threading.Condition(pool.lock)
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def __enter__(self) -> "CameraSlot":
        self._pool.join(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.remove(self)
        self._loop.call_later(DETECTOR_KEPT_S, _release_detector, self.detect)

    def offer(self, captured: CapturedFrame, *, wait: bool = False) -> None:
        """The camera's newest frame. With ``wait`` it replaces no frame: it blocks until the slot is free."""
        with self._pool.lock:
            while wait and self.waiting is not None and not self.closed:
                self.space.wait()
            if self.waiting is None:
                self.waiting_since_s = monotonic_s()
            self.waiting = captured
            self._pool.work.notify()

    def examine(self, captured: CapturedFrame, regions: Sequence[Region]) -> None:
        """Regions of a frame to examine when there is time; they replace those that wait."""
        with self._pool.lock:
            self.regions = deque(ExaminedRegion(captured, region) for region in regions)
            self.regions_wanted += len(regions)
            if regions:
                self._pool.work.notify()

    def take_examined(self) -> list[ExaminedRegion]:
        """The regions that were examined since the last call."""
        with self._pool.lock:
            examined, self._examined = self._examined, []
        return examined

    def add_examined(self, region: ExaminedRegion) -> None:
        """Adds an examined region; the pool calls it under its lock."""
        self.regions_examined += region.error is None
        self._examined.append(region)

    def has_regions(self) -> bool:
        """Whether regions wait."""
        return bool(self.regions) and not self.closed

    def expected_s(self) -> float:
        """When its next frame is expected at the earliest (monotonic)."""
        return max(self.due_s - self.early_s, self.scheduled_s + 0.9 * self.gap_s)

    def set_interval(self, every_s: float) -> None:
        """Sets the least time between two inferences."""
        with self._pool.lock:
            self.every_s = every_s
            self.due_s = min(self.due_s, monotonic_s() + every_s)
            self._pool.work.notify()

    def wants(self, gap_s: float) -> bool:
        """Whether a frame that arrives now is the nearest to the camera's turn, the next one in ``gap_s``.

        Such a frame runs at once: waiting would not improve it, and would delay its alerts.
        """
        self.early_s = gap_s / 2
        return monotonic_s() + self.early_s >= self.due_s

    async def next(self, within_s: float) -> InferenceResult | None:
        """The next result in order; None where there is none within ``within_s`` seconds, or on `wake`.

        TimeoutError where the detector hangs: leaving the slot then abandons its thread.
        """
        self._changed.clear()
        if not self._has_result():
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._changed.wait()
        limit_s = self._pool.max_inference_s
        with self._pool.lock:
            runs: list[InferenceResult | ExaminedRegion] = [*self.examining]
            runs += [one for one in self.results if not one.done]
            if any(monotonic_s() - one.started_s > limit_s for one in runs):
                raise TimeoutError(f"the detector gave no answer for {limit_s:g} s: it hangs")
            if not self._has_result():
                return None
            result = self.results.popleft()
            self._pool.work.notify()
        if result.error is not None:
            raise result.error
        return result

    def wake(self) -> None:
        """Makes `next` return early; may be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._changed.set)

    def empty(self) -> bool:
        """Whether no frame waits, no inference runs, and no result is left to fetch."""
        return self.waiting is None and not self.results

    def ready_s(self) -> float:
        """Since when its frame waits, or from when on it may run by the camera's frame rate."""
        if self.waiting is None or self.deciding or self.closed or len(self.results) > self._pool.size:
            return NEVER
        return max(self.waiting_since_s, self.due_s - self.early_s)

    def _has_result(self) -> bool:
        return bool(self.results) and self.results[0].done


def _release_detector(_: Detect) -> None:
    """Drops the reference that the event loop held until now."""
