"""Threads, one per core, that all cameras share: whose frame has waited longest is looked at next.

Where that is not often enough for all, cameras with critical rules are looked at as often as those need.
A camera has a seat with room for one frame, so that nothing queues: the newest replaces the one before it.
Frames of one camera may be looked at side by side; they come out in the order in which they were taken. A
network is loaded once, and each thread runs it alone: measured as fast as a copy for each thread, in half the
memory, and faster than threads inside one run, which spin while they wait for each other.
"""

import asyncio
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from agent.runtime.native_calls import abandon
from agent.vision.inference_result import CapturedFrame, InferenceResult
from agent.vision.inference_schedule import NEVER, Turns
from agent.vision.motion_gate import MotionDecision
from models.card import Card
from models.detection import Detect, Frame
from models.session import Loaded

KEPT_S = 600.0
"""A camera that comes back finds its detector: loading it takes a second, and leaves memory in pieces."""
PATIENCE_S = 30.0
"""No look takes so long, on whatever machine: a detector that has not answered hangs."""


class CameraSlot:
    """One camera's place: ``offer`` frames from its thread, ask for ``next`` on the loop.

    ``glance`` is asked for each frame, one after the other; where it gives a reason, ``detect`` looks.
    """

    def __init__(
        self,
        pool: "Pool",
        glance: Callable[[Frame, float], MotionDecision],
        detect: Detect,
        every_s: float,
        camera: str = "",
    ) -> None:
        self.glance, self.detect, self.every_s = glance, detect, every_s
        self.camera = camera
        self.taken_s = time.monotonic()
        self.slot: CapturedFrame | None = None
        self.since_s = self.due_s = self.early_s = 0.0
        self.glancing = self.closed = False
        self.out: deque[InferenceResult] = deque()
        self.taken = 0
        self.room = threading.Condition(pool.lock)
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._fresh = asyncio.Event()

    def __enter__(self) -> "CameraSlot":
        self._pool.join(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.leave(self)
        self._loop.call_later(KEPT_S, _let_go, self.detect)

    def offer(self, taken: CapturedFrame, *, wait: bool = False) -> None:
        """The camera's newest frame. With ``wait`` it replaces none: it waits until that one was taken."""
        with self._pool.lock:
            while wait and self.slot is not None and not self.closed:
                self.room.wait()
            if self.slot is None:
                self.since_s = time.monotonic()
            self.slot = taken
            self._pool.work.notify()

    def wants(self, gap_s: float) -> bool:
        """Whether a frame that comes now is nearest to its turn, where the next one comes in ``gap_s``.

        It is then looked at now: it would be no better for waiting, and what it shows would be told later.
        """
        self.early_s = gap_s / 2
        return time.monotonic() + self.early_s >= self.due_s

    async def next(self, within_s: float) -> InferenceResult | None:
        """The next frame in order, once it was looked at; None where there is none in time, or on `wake`.

        TimeoutError where the detector hangs: who leaves then leaves its thread behind.
        """
        self._fresh.clear()
        if not self._is_out():
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._fresh.wait()
        if not self._is_out():
            if self.out and time.monotonic() - self.out[0].since_s > self._pool.patience_s:
                raise TimeoutError(f"the detector gave no answer for {self._pool.patience_s:g} s: it hangs")
            return None
        with self._pool.lock:
            looked = self.out.popleft()
            self._pool.work.notify()
        if looked.error is not None:
            raise looked.error
        return looked

    def wake(self) -> None:
        """There is news for whoever waits in `next`; called from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._fresh.set)

    def empty(self) -> bool:
        """Whether no frame waits, is being looked at, or is still to be fetched."""
        return self.slot is None and not self.out

    def ready_s(self) -> float:
        """Since when its frame waits, or from when it may be taken by the camera's budget."""
        if self.slot is None or self.glancing or self.closed or len(self.out) > self._pool.size:
            return NEVER
        return max(self.since_s, self.due_s - self.early_s)

    def _is_out(self) -> bool:
        return bool(self.out) and self.out[0].done


class Pool:
    """The threads. They start with the first seat, and end when the last one was left."""

    def __init__(self, size: int | None = None, patience_s: float = PATIENCE_S) -> None:
        self.size = size or len(os.sched_getaffinity(0))
        self.patience_s = patience_s
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        self._seats: list[CameraSlot] = []
        self._turns = Turns()
        self._threads: set[threading.Thread] = set()
        self._loading: dict[str, threading.Lock] = {}
        self._loaded: weakref.WeakValueDictionary[str, Loaded] = weakref.WeakValueDictionary()

    def load(self, card: Card, within_s: float = 60.0) -> Loaded:
        """The detector of ``card``, one for all who hold it. OSError or ValueError as `Card.load`.

        TimeoutError where somebody else has been loading it for longer than ``within_s``: it may hang, and is
        not begun once more. Another card's detector does not wait for that.
        """
        key = card.model_dump_json()
        with self.lock:
            loading = self._loading.setdefault(key, threading.Lock())
        if not loading.acquire(timeout=within_s):
            raise TimeoutError(f"{card.name} has been loading for more than {within_s:g} s: it hangs")
        try:
            found = self._loaded.get(key)
            if found is None:
                found = self._loaded[key] = card.load()
            return found
        finally:
            loading.release()

    def prefer(self, urgent: Mapping[str, float]) -> None:
        """Which cameras have critical rules, and after how many seconds at most they must be looked at."""
        with self.lock:
            self._turns.urgent = dict(urgent)

    def join(self, seat: CameraSlot) -> None:
        """From now on the frames of ``seat`` are looked at."""
        with self.lock:
            self._seats.append(seat)
            self._fill()

    def _fill(self) -> None:
        while self._seats and len(self._threads) < self.size:
            thread = threading.Thread(target=self._run, name="look", daemon=True)
            self._threads.add(thread)
            thread.start()

    def leave(self, seat: CameraSlot) -> None:
        """Its frames are no longer looked at; what is being looked at is forgotten, with its thread: should
        that hang, another has taken its place for those who stay."""
        with self.lock:
            self._seats.remove(seat)
            seat.closed, seat.slot = True, None
            for looked in seat.out:
                if not looked.done:
                    self._threads.discard(looked.thread)
                    abandon(looked.thread)
            self._fill()
            seat.room.notify_all()
            self.work.notify_all()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            self._look(*work)

    def _next(self) -> tuple[CameraSlot, InferenceResult] | None:
        """The frame that has waited longest, taken from its seat; None where nobody sits any more."""
        with self.lock:
            me = threading.current_thread()
            while self._seats and me in self._threads:
                now_s = time.monotonic()
                seat = self._turns.next(self._seats, now_s)
                ready_s = seat.ready_s()
                if ready_s <= now_s and seat.slot is not None:
                    looked = InferenceResult(seat.slot, threading.current_thread(), now_s)
                    seat.slot, seat.glancing = None, True
                    seat.taken += 1
                    self._turns.took(self._seats, seat, now_s)
                    seat.due_s = max(seat.due_s + seat.every_s, now_s)
                    seat.out.append(looked)
                    seat.room.notify()
                    self.work.notify()  # another thread keeps watch over the others
                    return seat, looked
                self.work.wait(None if ready_s == NEVER else ready_s - now_s)
            self._threads.discard(me)
            return None

    def _look(self, seat: CameraSlot, looked: InferenceResult) -> None:
        try:
            try:
                looked.glance = seat.glance(looked.taken.frame, looked.taken.at_s)
            finally:
                with self.lock:
                    seat.glancing = False
                    self.work.notify()
            if looked.glance.reason is not None:
                began_s = time.monotonic()
                looked.seen = seat.detect(looked.taken.frame)
                looked.took_s = time.monotonic() - began_s
        except Exception as error:  # raised again where the camera waits
            looked.error = error
        looked.done = True
        seat.wake()


def _let_go(_: Detect) -> None:
    """The loop has held it until now."""


SHARED = Pool()
"""The pool of this process."""
