"""The inference pool: threads, one per core, shared by all cameras. The longest waiting frame goes first.

Where that is not often enough for all, cameras with critical rules keep their maximum interval
(`InferenceSchedule`). A camera has a slot for one frame, so nothing queues up: the newest frame replaces the
waiting one. Frames of one camera may run in parallel; results come out in the order of the frames. A network
is loaded once, and each thread runs it alone: measured as fast as one copy per thread in half the memory, and
faster than threads inside one run, which spin while they wait for each other.
"""

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from agent.host.clock import monotonic_s
from agent.runtime.native_calls import abandon
from agent.vision.inference_result import CapturedFrame, InferenceResult
from agent.vision.inference_schedule import NEVER, InferenceSchedule
from agent.vision.motion_gate import MotionDecision
from models.card import Card
from models.detection import Detect, Frame
from models.session import Loaded

DETECTOR_KEPT_S = 600.0
"""A camera that returns within this finds its detector loaded: loading takes a second, fragments memory."""
MAX_INFERENCE_S = 30.0
"""No inference takes this long on any supported machine: a detector that takes longer hangs."""


class CameraSlot:
    """One camera in the pool: `offer` frames from the camera's thread, await `next` on the event loop.

    ``decide`` is called for each frame, one after the other; where it gives a reason, ``detect`` runs.
    """

    def __init__(
        self,
        pool: "InferencePool",
        decide: Callable[[Frame, float], MotionDecision],
        detect: Detect,
        every_s: float,
        camera: str = "",
    ) -> None:
        self.decide, self.detect, self.every_s = decide, detect, every_s
        self.camera = camera
        self.scheduled_s = monotonic_s()
        self.waiting: CapturedFrame | None = None
        self.waiting_since_s = self.due_s = self.early_s = 0.0
        self.deciding = self.closed = False
        self.results: deque[InferenceResult] = deque()
        """Inferences that run or are done, in the order of their frames."""
        self.accepted = 0
        """Number of frames that entered an inference thread."""
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
        if not self._has_result():
            limit_s = self._pool.max_inference_s
            if self.results and monotonic_s() - self.results[0].started_s > limit_s:
                raise TimeoutError(f"the detector gave no answer for {limit_s:g} s: it hangs")
            return None
        with self._pool.lock:
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


class InferencePool:
    """The threads. They start with the first slot and end with the last one."""

    def __init__(self, size: int | None = None, max_inference_s: float = MAX_INFERENCE_S) -> None:
        self.size = size or len(os.sched_getaffinity(0))
        self.max_inference_s = max_inference_s
        self.speed_up = 1.0
        """How many times the inferences of its configuration a camera gets, for a while."""
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        self._slots: list[CameraSlot] = []
        self._schedule = InferenceSchedule()
        self._threads: set[threading.Thread] = set()
        self._loading: dict[str, threading.Lock] = {}
        self._loaded: weakref.WeakValueDictionary[str, Loaded] = weakref.WeakValueDictionary()

    def load(self, card: Card, within_s: float = 60.0) -> Loaded:
        """The detector of ``card``, shared by all who hold it. OSError or ValueError as `Card.load`.

        TimeoutError where another thread has been loading it for ``within_s`` seconds: that may hang, and is
        not started again. Detectors of other cards do not wait for it.
        """
        key = card.model_dump_json()
        with self.lock:
            loading = self._loading.setdefault(key, threading.Lock())
        if not loading.acquire(timeout=within_s):
            raise TimeoutError(f"{card.name} has been loading for more than {within_s:g} s: it hangs")
        try:
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._loaded[key] = card.load()
            return loaded
        finally:
            loading.release()

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
            for result in slot.results:
                if not result.done:
                    self._threads.discard(result.thread)
                    abandon(result.thread)
            self._start_threads()
            slot.space.notify_all()
            self.work.notify_all()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            self._infer(*work)

    def _next(self) -> tuple[CameraSlot, InferenceResult] | None:
        """The next frame, taken from its slot; None when the pool is empty or this thread was replaced."""
        with self.lock:
            me = threading.current_thread()
            while self._slots and me in self._threads:
                now_s = monotonic_s()
                slot = self._schedule.next(self._slots, now_s)
                ready_s = slot.ready_s()
                if ready_s <= now_s and slot.waiting is not None:
                    result = InferenceResult(slot.waiting, me, now_s)
                    slot.waiting, slot.deciding = None, True
                    slot.accepted += 1
                    self._schedule.start_turn(self._slots, slot, now_s)
                    slot.due_s = max(slot.due_s + slot.every_s / self.speed_up, now_s)
                    slot.results.append(result)
                    slot.space.notify()
                    self.work.notify()  # another thread waits for the other cameras
                    return slot, result
                self.work.wait(None if ready_s == NEVER else ready_s - now_s)
            self._threads.discard(me)
            return None

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


def _release_detector(_: Detect) -> None:
    """Drops the reference that the event loop held until now."""


SHARED_POOL = InferencePool()
"""The pool of this process."""
