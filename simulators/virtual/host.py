"""The machine of a simulated device: clocks, randomness and threads, all from the loop's time."""

import asyncio
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from agent.host.clock import Clock
from agent.host.entropy import Entropy
from agent.host.threads import Threads
from simulators.virtual.incarnation import INCARNATION
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.worker import Worker, in_worker

T = TypeVar("T")


class VirtualClock(Clock):
    """The clocks of one device. ``epoch``: the wall clock at the loop's present time."""

    def __init__(self, loop: VirtualLoop, epoch: datetime, name: str = "") -> None:
        self._loop = loop
        self._name = name
        self._base, self._base_s, self._rate = epoch.astimezone(UTC), loop.now_s, 1.0
        self._synchronised, self._stepped_s = True, 0.0
        self.wrong_reads = 0
        self._boot, self._booted_s = 1, loop.now_s

    def utc_now(self) -> datetime:
        if self._wrong:
            self.wrong_reads += 1
        return self._read()

    def _read(self) -> datetime:
        return self._base + timedelta(seconds=(self._loop.now_s - self._base_s) * self._rate)

    @property
    def _wrong(self) -> bool:
        return bool(self._stepped_s) or self._rate != 1.0

    def unix_s(self) -> float:
        return self.utc_now().timestamp()

    def monotonic_s(self) -> float:
        return self._loop.now_s

    def since_boot_s(self) -> float:
        return self._loop.now_s - self._booted_s

    def kernel_boot_id(self) -> str | None:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._name} boot {self._boot}"))

    def kernel_clock(self) -> tuple[bool, float | None]:
        if self._synchronised:
            return True, 1.0
        self.wrong_reads += 1
        return False, None

    def step(self, by_s: float) -> None:
        """Moves the wall clock."""
        self._base += timedelta(seconds=by_s)
        self._stepped_s = round(self._stepped_s + by_s, 6)

    def set_rate(self, rate: float) -> None:
        """Seconds of the wall clock in a second."""
        self._base, self._base_s, self._rate = self._read(), self._loop.now_s, rate

    def set_synchronised(self, synchronised: bool) -> None:
        self._synchronised = synchronised

    def reboot(self) -> None:
        """Another boot id, and no time since boot; the wall clock goes on, as with a battery."""
        self._boot += 1
        self._booted_s = self._loop.now_s


class SeededEntropy(Entropy):
    """Randomness from a seed and a name; a UUIDv7 has the time of the device's wall clock."""

    def __init__(self, seed: int, name: str, clock: Clock) -> None:
        self._random = random.Random(f"{seed}/{name}")
        self._clock = clock
        self._last_ms, self._count = 0, 0

    def uuid7(self) -> str:
        now_ms = max(int(self._clock.unix_s() * 1000), 0)
        self._count = self._count + 1 if now_ms == self._last_ms else 0
        self._last_ms = now_ms
        number = now_ms << 80 | 7 << 76 | (self._count & 0xFFF) << 64 | 2 << 62 | self._random.getrandbits(62)
        return str(uuid.UUID(int=number))

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class _SerialExecutor(Executor):
    """Does each piece of work as it is submitted, in order; in a worker where it may sleep."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._worker: Worker | None = None

    def submit(self, work: Callable[..., T], /, *args: Any, **options: Any) -> "Future[T]":
        done: Future[T] = _Awaited(self)

        def carry_out() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                result = work(*args, **options)
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(result)

        owner = INCARNATION.get()
        if self._worker is None and (owner is None or not owner.slow):
            carry_out()
            return done
        self._waiting.append(carry_out)
        if self._worker is None:
            self._worker = Worker(self._loop, self._drain, "serial")
            self._worker.start()
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Does all that waits."""
        self.finish()

    def finish(self) -> None:
        """Does all that waits at once, while the caller blocks the loop."""
        if self._worker is not None:
            self._worker.hurry()

    def _drain(self) -> None:
        while self._waiting:
            self._waiting.popleft()()
        self._worker = None


class _Awaited(Future[T]):
    """Its result may be waited for on the loop, as on any thread."""

    def __init__(self, executor: _SerialExecutor) -> None:
        super().__init__()
        self._executor = executor

    def result(self, timeout: float | None = None) -> T:
        if not self.done() and not in_worker():
            self._executor.finish()
        return super().result(timeout)


class InlineThreads(Threads):
    """Work in order is done at once where it can't sleep; other threads are workers."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def serial(self, name: str) -> Executor:  # noqa: ARG002
        return _SerialExecutor(self._loop)

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        return Worker(self._loop, work, name).start()


def virtual_loop() -> VirtualLoop:
    """The running loop, which must be virtual."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)  # noqa: S101
    return loop
