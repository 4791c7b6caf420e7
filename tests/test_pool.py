"""The pool: newest frame, longest wait first, budgets, order, and nothing left behind."""

import asyncio
import gc
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from agent.runtime import native_calls
from agent.vision.camera_slot import CameraSlot
from agent.vision.inference_pool import InferencePool
from agent.vision.inference_result import CapturedFrame
from agent.vision.inference_schedule import InferenceSchedule
from agent.vision.motion_gate import MotionDecision
from models.detection import Detection, Frame
from tests.waiting import until

FRAME: Frame = np.zeros((4, 4, 3), np.uint8)
LOOK, SPARE = MotionDecision("heartbeat"), MotionDecision(None)


def numbered(number: int) -> CapturedFrame:
    return CapturedFrame(number, float(number), np.full((1, 1, 3), number % 256, np.uint8))


class Gated:
    """A detector that answers when it is let: what it was shown, in order."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.may = threading.Semaphore(0)

    def __call__(self, frame: Frame) -> tuple[Detection, ...]:
        self.shown.append(int(frame[0, 0, 0]))
        assert self.may.acquire(timeout=60)
        return ()


def seat(
    pool: InferencePool, detect: Callable[[Frame], Any], every_s: float = 0.0, glance: Any = None
) -> CameraSlot:
    return CameraSlot(pool, glance or (lambda frame, at_s: LOOK), detect, every_s)


async def all_of(one: CameraSlot, count: int) -> list[int]:
    found = []
    async with asyncio.timeout(60):
        while len(found) < count:
            result = await one.next(0.1)
            if result is not None:
                found.append(result.captured.number)
    return found


def test_the_newest_frame_replaces_the_one_before() -> None:
    async def scene() -> None:
        detect = Gated()
        with seat(InferencePool(1), detect) as one:
            one.offer(numbered(1))
            await until(lambda: detect.shown == [1])
            for number in (2, 3, 4):
                one.offer(numbered(number))
            detect.may.release(2)
            assert await all_of(one, 2) == [1, 4]
            assert one.accepted == 2

    asyncio.run(scene())


def test_whose_frame_has_waited_longest_goes_first() -> None:
    async def scene() -> None:
        detect = Gated()
        pool = InferencePool(1)
        with seat(pool, detect) as a, seat(pool, detect) as b, seat(pool, detect) as c:
            a.offer(numbered(1))
            await until(lambda: detect.shown == [1])
            b.offer(numbered(20))
            c.offer(numbered(30))
            a.offer(numbered(2))
            b.offer(numbered(21))  # newer, and it does not lose its turn
            detect.may.release(4)
            await asyncio.gather(all_of(a, 2), all_of(b, 1), all_of(c, 1))
        assert detect.shown == [1, 21, 30, 2]

    asyncio.run(scene())


def test_two_threads_look_side_by_side_and_the_order_is_kept() -> None:
    async def scene() -> None:
        slow = threading.Event()

        def detect(frame: Frame) -> tuple[Detection, ...]:
            if frame[0, 0, 0] == 1:
                assert slow.wait(60)
            return ()

        with seat(InferencePool(2), detect) as one:
            one.offer(numbered(1), wait=True)
            await asyncio.to_thread(one.offer, numbered(2), wait=True)
            await asyncio.to_thread(one.offer, numbered(3), wait=True)
            assert await one.next(0.05) is None  # 2 is done, and waits for 1
            slow.set()
            assert await all_of(one, 3) == [1, 2, 3]

    asyncio.run(scene())


def test_a_budget_holds_and_is_used() -> None:
    async def scene() -> float:
        with seat(InferencePool(2), lambda frame: (), every_s=0.02) as one:
            began_s = time.monotonic()
            numbers = iter(range(10_000))
            stop = threading.Event()

            def camera() -> None:
                while not stop.wait(0.002):
                    one.offer(numbered(next(numbers)))

            thread = threading.Thread(target=camera)
            thread.start()
            await all_of(one, 12)
            took_s = time.monotonic() - began_s
            stop.set()
            thread.join()
            assert one.accepted < 0.5 * next(numbers)
            return took_s

    assert asyncio.run(scene()) >= 10 * 0.02


def test_frames_long_before_their_turn_are_not_wanted() -> None:
    async def scene() -> None:
        with seat(InferencePool(1), lambda frame: (), every_s=1.0) as one:
            assert one.wants(0.03)
            for number in (1, 2):
                one.offer(numbered(number))
                assert await all_of(one, 1) == [number]
            assert not one.wants(0.03)
            assert not one.wants(1.5)

    asyncio.run(scene())


def test_the_frame_nearest_to_its_turn_does_not_wait_for_it() -> None:
    async def scene() -> None:
        with seat(InferencePool(1), lambda frame: (), every_s=60.0) as one:
            for number in (1, 2):
                one.offer(numbered(number))
                assert await all_of(one, 1) == [number]
            assert one.wants(130.0)
            one.offer(numbered(3))
            assert await all_of(one, 1) == [3]
            one.offer(numbered(4))
            assert await one.next(0.1) is None, "its turn is counted from when the one before had its own"

    asyncio.run(scene())


def test_a_frame_that_is_spared_comes_back_unseen() -> None:
    async def scene() -> None:
        def detect(frame: Frame) -> tuple[Detection, ...]:
            raise AssertionError("it was to be spared")

        with seat(InferencePool(1), detect, glance=lambda frame, at_s: SPARE) as one:
            one.offer(numbered(1))
            result = await one.next(5)
            assert result is not None
            assert (result.captured.number, result.detections) == (1, None)

    asyncio.run(scene())


@pytest.mark.parametrize("where", ["glance", "detect"])
def test_what_fails_fails_at_its_camera_alone(where: str) -> None:
    async def scene() -> None:
        def bad(*_: object) -> Any:
            raise ValueError("broken")

        pool = InferencePool(1)
        wrong = seat(pool, bad if where == "detect" else Gated(), glance=bad if where == "glance" else None)
        with wrong, seat(pool, lambda frame: ()) as right:
            wrong.offer(numbered(1))
            right.offer(numbered(2))
            with pytest.raises(ValueError, match="broken"):
                await wrong.next(5)
            assert await all_of(right, 1) == [2]

    asyncio.run(scene())


def test_threads_begin_with_the_first_and_end_with_the_last() -> None:
    async def scene() -> None:
        before = set(threading.enumerate())
        pool = InferencePool(3)
        with seat(pool, lambda frame: ()):
            with seat(pool, lambda frame: ()):
                assert len(set(threading.enumerate()) - before) == 3
            assert len(set(threading.enumerate()) - before) == 3
        await until(lambda: not set(threading.enumerate()) - before)
        with seat(pool, lambda frame: ()) as again:
            again.offer(numbered(7))
            assert await all_of(again, 1) == [7]

    asyncio.run(scene())


def test_a_detector_that_hangs_is_said_left_behind_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native_calls, "_abandoned", [])

    async def scene() -> None:
        hung, pool = Gated(), InferencePool(1, max_inference_s=0.05)
        with seat(pool, lambda frame: ()) as well:
            with seat(pool, hung) as bad:
                bad.offer(numbered(1))
                await until(lambda: hung.shown == [1])
                well.offer(numbered(2))
                with pytest.raises(TimeoutError, match=r"no answer for 0\.05 s: it hangs"):
                    await all_of(bad, 1)
            assert native_calls.abandoned_threads(0.0) == 1
            (thread,) = [thread for _, thread in native_calls._abandoned]
            assert thread.daemon  # the process can end
            assert await all_of(well, 1) == [2]
            hung.may.release()
            await until(lambda: not thread.is_alive())
            assert native_calls.abandoned_threads(0.0) == 0
            well.offer(numbered(3))
            assert await all_of(well, 1) == [3]

    asyncio.run(scene())


def test_a_camera_that_leaves_in_the_middle_of_a_look_is_no_hang() -> None:
    async def scene() -> None:
        detect, pool = Gated(), InferencePool(1)
        with seat(pool, detect) as one:
            one.offer(numbered(1))
            await until(lambda: detect.shown == [1])
        detect.may.release()
        await until(lambda: native_calls.abandoned_threads(0.0) == 0)

    asyncio.run(scene())


def test_what_is_loaded_may_hang_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_calls, "_abandoned", [])

    def fails() -> None:
        raise OSError("no such file")

    async def scene() -> None:
        let_go = threading.Event()
        assert await native_calls.within(5, lambda: 7, "loading") == 7
        with pytest.raises(OSError, match="no such file"):
            await native_calls.within(5, fails, "loading")
        with pytest.raises(TimeoutError, match=r"loading x: no answer for 0\.01 s: it hangs"):
            await native_calls.within(0.01, let_go.wait, "loading x")
        assert native_calls.abandoned_threads(0.0) == 1
        let_go.set()
        await until(lambda: native_calls.abandoned_threads(0.0) == 0)

    asyncio.run(scene())


HANGS = """
import asyncio, threading, sys
from agent.runtime.native_calls import end_within
from agent.vision.camera_slot import CameraSlot
from agent.vision.inference_pool import InferencePool
from agent.vision.inference_result import CapturedFrame
from agent.vision.motion_gate import MotionDecision

async def scene():
    began = threading.Event()
    def hang(frame):
        began.set()
        threading.Event().wait()
    with CameraSlot(InferencePool(1), lambda frame, at_s: MotionDecision("heartbeat"), hang, 0.0) as seat:
        seat.offer(CapturedFrame(1, 0.0, None))
        await asyncio.to_thread(began.wait)
    if sys.argv[1] == "aside":
        asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    end_within(0.2, 75)

asyncio.run(scene())
sys.exit(75)
"""


@pytest.mark.parametrize("where", ["look", "aside"])
def test_a_process_ends_in_its_time_with_its_code_whatever_hangs(where: str) -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS, where], timeout=60, check=False)
    assert ended.returncode == 75


def test_who_waits_with_a_frame_is_let_go_when_the_camera_leaves() -> None:
    async def scene() -> None:
        detect = Gated()
        with seat(InferencePool(1), detect) as one:
            one.offer(numbered(1))
            await until(lambda: detect.shown == [1])
            one.offer(numbered(2), wait=True)
            waits = threading.Event()

            def offer() -> None:
                waits.set()
                one.offer(numbered(3), wait=True)

            waiting = asyncio.ensure_future(asyncio.to_thread(offer))
            await until(waits.is_set)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 60)
        detect.may.release()

    asyncio.run(scene())


def test_a_detector_is_loaded_once_for_all_and_let_go() -> None:
    class Card:
        loads = 0

        def model_dump_json(self) -> str:
            return "{}"

        def load(self) -> Any:
            Card.loads += 1
            return lambda frame: ()

    pool, card = InferencePool(1), Card()
    first, second = pool.load(card), pool.load(card)  # type: ignore[arg-type]  # what the pool needs of one
    assert first is second
    assert Card.loads == 1
    del first, second
    pool.load(card)  # type: ignore[arg-type]
    assert Card.loads == 2


def test_a_camera_that_comes_back_finds_its_detector_and_one_that_does_not_gives_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = 0

    class Card:
        def model_dump_json(self) -> str:
            return "{}"

        def load(self) -> Any:
            nonlocal loads
            loads += 1
            return lambda frame: ()

    pool, card = InferencePool(1), Card()

    async def sit() -> None:
        with seat(pool, pool.load(card)):  # type: ignore[arg-type]  # what the pool needs of one
            pass
        later = asyncio.Event()  # timers of one instant run in the order in which they were set
        asyncio.get_running_loop().call_later(0, later.set)
        await later.wait()
        gc.collect()

    async def scene(kept_s: float) -> int:
        nonlocal loads
        monkeypatch.setattr("agent.vision.camera_slot.DETECTOR_KEPT_S", kept_s)
        loads = 0
        gc.collect()  # a loop that has ended keeps no detector
        await sit()
        await sit()
        return loads

    assert asyncio.run(scene(600.0)) == 1
    assert asyncio.run(scene(0.0)) == 2


@dataclass
class Waits:
    """A camera that always has a new frame, in a simulated pool."""

    camera: str
    since_s: float = 0.0
    scheduled_s: float = 0.0
    looks: list[float] = field(default_factory=list)

    def ready_s(self) -> float:
        return self.since_s


def simulated(urgent: dict[str, float], look_s: float, seconds: float = 600.0) -> dict[str, list[float]]:
    """Nine cameras of 5 frames a second and one thread to which a look takes ``look_s``: when each was taken."""
    turns, cameras = InferenceSchedule(), [Waits(f"cam{number}") for number in range(9)]
    turns.max_interval_s = urgent
    now_s = 0.0
    while now_s < seconds:
        one = turns.next(cameras, now_s)
        if one.ready_s() > now_s:
            now_s = one.ready_s()
            continue
        turns.start_turn(cameras, one, now_s)
        one.looks.append(now_s)
        one.since_s = now_s + 0.2
        now_s += look_s
    return {one.camera: one.looks for one in cameras}


def longest_gap(looks: list[float]) -> float:
    return max(after - before for before, after in itertools.pairwise(looks))


def test_on_an_overloaded_board_cameras_with_critical_rules_are_looked_at_often_enough() -> None:
    """1.8 looks a second for nine cameras: 0.2 each, which is too few for all; two of them are critical."""
    alike = simulated({}, 1 / 1.8)
    assert max(longest_gap(looks) for looks in alike.values()) < 6
    assert all(len(looks) / 600 < 0.25 for looks in alike.values())
    favoured = simulated({"cam0": 2.0, "cam5": 2.0}, 1 / 1.8)
    for name, looks in favoured.items():
        if name in ("cam0", "cam5"):
            assert len(looks) / 600 >= 0.5
            assert longest_gap(looks) <= 2.3
        else:
            assert longest_gap(looks) < 20  # nobody is left out
    assert sum(map(len, favoured.values())) == sum(map(len, alike.values()))


def test_where_all_can_be_looked_at_in_time_nobody_is_preferred() -> None:
    alike = simulated({}, 1 / 60)
    assert simulated({"cam0": 2.0}, 1 / 60) == alike
    assert all(len(looks) / 600 > 4.5 for looks in alike.values())


def test_even_where_every_camera_is_critical_all_are_looked_at() -> None:
    looks = simulated({f"cam{number}": 2.0 for number in range(8)}, 1 / 1.8)
    assert len(looks["cam8"]) / 600 > 0.1
    assert max(longest_gap(one) for one in looks.values()) < 12
