"""The inference pool: threads, one per core, shared by all cameras. The longest waiting frame goes first.

Where that is not often enough for all, cameras with critical rules keep their maximum interval
(`InferenceSchedule`). A camera has a slot for one frame, so nothing queues up: the newest frame replaces the
waiting one. Frames of one camera may run in parallel; results come out in the order of the frames. A network
is loaded once, and each thread runs it alone: measured as fast as one copy per thread in half the memory, and
faster than threads inside one run, which spin while they wait for each other. Regions (`CameraSlot.examine`)
run in the time that whole frames leave (`RegionBudget`), and delay no result.
"""

import os
import threading
from collections.abc import Mapping

from agent.host.clock import monotonic_s
from agent.runtime.native_calls import abandon
from agent.vision.camera_slot import CameraSlot
from agent.vision.detector_cache import DetectorCache
from agent.vision.inference_result import CapturedFrame, ExaminedRegion, InferenceResult
from agent.vision.inference_schedule import NEVER, InferenceSchedule
from agent.vision.region_budget import RegionBudget
from models.tiles import detect_part

REGION_RETRY_S = 0.05
"""How long a region waits at most until it is considered again."""
MAX_INFERENCE_S = 30.0
"""No inference takes this long on any supported machine: a detector that takes longer hangs."""


class InferencePool(DetectorCache):
    """The threads. They start with the first slot and end with the last one."""

    def __init__(self, size: int | None = None, max_inference_s: float = MAX_INFERENCE_S) -> None:
        super().__init__()
        self.size = size or len(os.sched_getaffinity(0))
        self.max_inference_s = max_inference_s
        self.speed_up = 1.0
        """How many times the inferences of its configuration a camera gets, for a while."""
        self.work = threading.Condition(self.lock)
        self._slots: list[CameraSlot] = []
        self._schedule = InferenceSchedule()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._budget = RegionBudget(self.size)

    def prefer(self, max_interval_s: Mapping[str, float]) -> None:
        """Sets the maximum time in seconds between inferences of each camera that has critical rules."""
        with self.lock:
            self._schedule.max_interval_s = dict(max_interval_s)

    def behind(self) -> bool:
        """Whether a frame waits although it is its camera's turn."""
        with self.lock:
            now_s = monotonic_s()
            return any(slot.ready_s() <= now_s for slot in self._slots)

    def join(self, slot: CameraSlot) -> None:
        """Adds a camera."""
        with self.lock:
            self._slots.append(slot)
            self._start_threads()

    def _start_threads(self) -> None:
        while self._slots and len(self._threads) < self.size:
            thread = threading.Thread(target=self._run, name="inference", daemon=True)
            self._threads.add(thread)
            thread.start()

    def remove(self, slot: CameraSlot) -> None:
        """Removes a camera. Threads that still work for it are abandoned and replaced: they may hang."""
        with self.lock:
            self._slots.remove(slot)
            slot.closed, slot.waiting = True, None
            runs: list[InferenceResult | ExaminedRegion] = [*slot.examining, *slot.results]
            for run in runs:
                if run.thread is not None and not run.done:
                    self._threads.discard(run.thread)
                    abandon(run.thread)
            for _ in slot.examining:
                self._budget.abandon()
            slot.examining.clear()
            self._start_threads()
            slot.space.notify_all()
            self.work.notify_all()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            slot, task = work
            if isinstance(task, ExaminedRegion):
                self._examine(slot, task)
            else:
                self._infer(slot, task)

    def _next(self) -> tuple[CameraSlot, InferenceResult | ExaminedRegion] | None:
        """The next frame, taken from its slot, or the next region where there is time for it; None when the
        pool is empty or this thread was replaced."""
        with self.lock:
            me = threading.current_thread()
            while self._slots and me in self._threads:
                now_s = monotonic_s()
                slot = self._schedule.next(self._slots, now_s)
                ready_s = slot.ready_s()
                if ready_s <= now_s and slot.waiting is not None:
                    return slot, self._take_frame(slot, slot.waiting, me, now_s)
                patient = self._budget.next(self._slots, now_s, self._idle + 1)
                if patient is not None:
                    return patient, self._take_region(patient, me, now_s)
                if any(slot.has_regions() for slot in self._slots):
                    ready_s = min(ready_s, now_s + REGION_RETRY_S)
                self._idle += 1
                self.work.wait(None if ready_s == NEVER else ready_s - now_s)
                self._idle -= 1
            self._threads.discard(me)
            return None

    def _take_frame(
        self, slot: CameraSlot, captured: CapturedFrame, me: threading.Thread, now_s: float
    ) -> InferenceResult:
        result = InferenceResult(captured, me, now_s)
        slot.waiting, slot.deciding = None, True
        slot.accepted += 1
        slot.gap_s = now_s - slot.scheduled_s
        self._schedule.start_turn(self._slots, slot, now_s)
        slot.due_s = max(slot.due_s + slot.every_s / self.speed_up, now_s)
        slot.results.append(result)
        slot.space.notify()
        self.work.notify()  # another thread waits for the other cameras
        return result

    def _take_region(self, slot: CameraSlot, me: threading.Thread, now_s: float) -> ExaminedRegion:
        region = slot.regions.popleft()
        region.thread, region.started_s = me, now_s
        slot.examining.append(region)
        self._budget.start(slot, now_s)
        self.work.notify()
        return region

    def _examine(self, slot: CameraSlot, region: ExaminedRegion) -> None:
        """The detector on one region."""
        try:
            region.found = detect_part(slot.detect_region, region.captured.frame, region.region.box)
        except Exception as error:  # raised again in `CameraSession`
            region.error = error
        with self.lock:
            region.done = True
            if region in slot.examining:  # else the camera has left
                slot.examining.remove(region)
                slot.add_examined(region)
                self._budget.end(monotonic_s() - region.started_s)
                self.work.notify()

    def _infer(self, slot: CameraSlot, result: InferenceResult) -> None:
        """The motion decision, then the detector where there is a reason for it."""
        try:
            try:
                result.decision = slot.decide(result.captured.frame, result.captured.at_s)
            finally:
                with self.lock:
                    slot.deciding = False
                    self.work.notify()
            if result.decision.reason is not None:
                started_s = monotonic_s()
                result.detections = slot.detect(result.captured.frame)
                result.inference_s = monotonic_s() - started_s
        except Exception as error:  # raised again in `CameraSlot.next`
            result.error = error
        result.done = True
        slot.wake()


SHARED_POOL = InferencePool()
"""The pool of this process."""
