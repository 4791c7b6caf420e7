"""The machine of a simulated device: clocks, randomness and threads, all from the loop's time."""

import asyncio
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from agent.host.clock import Clock
from agent.host.entropy import Entropy
from agent.host.threads import Threads
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.worker import Worker

T = TypeVar("T")


class VirtualClock(Clock):
    """The clocks of one device. ``epoch``: the wall clock at the loop's present time."""

    def __init__(self, loop: VirtualLoop, epoch: datetime, name: str = "") -> None:
        self._loop = loop
        self._name = name
        self._base, self._base_s, self._rate = epoch.astimezone(UTC), loop.now_s, 1.0
        self._synchronised = True
        self._boot, self._booted_s = 1, loop.now_s

    def utc_now(self) -> datetime:
        return self._base + timedelta(seconds=(self._loop.now_s - self._base_s) * self._rate)

    def unix_s(self) -> float:
        return self.utc_now().timestamp()

    def monotonic_s(self) -> float:
        return self._loop.now_s

    def since_boot_s(self) -> float:
        return self._loop.now_s - self._booted_s

    def kernel_boot_id(self) -> str | None:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._name} boot {self._boot}"))

    def kernel_clock(self) -> tuple[bool, float | None]:
        return (True, 1.0) if self._synchronised else (False, None)

    def step(self, by_s: float) -> None:
        """Moves the wall clock."""
        self._base += timedelta(seconds=by_s)

    def set_rate(self, rate: float) -> None:
        """Seconds of the wall clock in a second."""
        self._base, self._base_s, self._rate = self.utc_now(), self._loop.now_s, rate

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


class _InlineExecutor(Executor):
    """Does each piece of work as it is submitted, in order."""

    def submit(self, work: Callable[..., T], /, *args: Any, **options: Any) -> "Future[T]":
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **options))
        except Exception as error:
            done.set_exception(error)
        return done


class InlineThreads(Threads):
    """Work in order is done at once; other threads are workers, which may sleep in virtual time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def serial(self, name: str) -> Executor:  # noqa: ARG002
        return _InlineExecutor()

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        return Worker(self._loop, work, name).start()


def virtual_loop() -> VirtualLoop:
    """The running loop, which must be virtual."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)  # noqa: S101
    return loop
