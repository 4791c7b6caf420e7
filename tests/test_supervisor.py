"""The supervisor with injected time: the world and bugs both come back, and neither is silent."""

import asyncio
from collections.abc import Callable

from agent.runtime.health import Running
from agent.runtime.supervisor import BusyError, supervise


class World:
    """A clock that moves when somebody sleeps, and what was heard."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.heard: list[Running] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


def play(runs: list[Callable[[World], None]], longest_wait_s: float = 60.0) -> World:
    """Runs a part that does one of ``runs`` each time it is started, and then ends."""
    world = World()
    rest = iter(runs)

    async def run() -> None:
        step = next(rest, None)
        if step is not None:
            step(world)

    asyncio.run(
        supervise(
            "part",
            run,
            world.heard.append,
            longest_wait_s=longest_wait_s,
            clock=lambda: world.now_s,
            sleep=world.sleep,
        )
    )
    return world


def fail(error: Exception, after_s: float = 0.0) -> Callable[[World], None]:
    def step(world: World) -> None:
        world.now_s += after_s
        raise error

    return step


def test_a_part_that_ends_is_not_started_again() -> None:
    world = play([])
    assert world.heard == [Running("running"), Running("ended")]
    assert world.slept == []


def test_the_worlds_failure_is_told_and_tried_again() -> None:
    world = play([fail(FileNotFoundError("no such port"))])
    assert world.heard == [
        Running("running"),
        Running("waiting", "no such port"),
        Running("running"),
        Running("ended"),
    ]


def test_a_bug_is_told_and_tried_again() -> None:
    world = play([fail(KeyError("x"))])
    assert Running("waiting", "KeyError: 'x'", crashed=True) in world.heard
    assert world.heard[-1] == Running("ended")


def test_the_wait_doubles_to_its_limit_with_jitter() -> None:
    world = play([fail(OSError("gone"))] * 12, longest_wait_s=8)
    limits = [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8]
    assert all(limit / 2 <= slept <= limit for slept, limit in zip(world.slept, limits, strict=True))
    assert len({round(slept / limit, 6) for slept, limit in zip(world.slept, limits, strict=True)}) > 6


def test_what_a_whole_fleet_shares_is_met_at_any_time_up_to_the_limit() -> None:
    """With the upper half only, a fleet came back in two waves."""
    world = World()
    failures = iter([fail(OSError("gone"))] * 60)

    async def run() -> None:
        if (step := next(failures, None)) is not None:
            step(world)

    asyncio.run(
        supervise(
            "link", run, world.heard.append, longest_wait_s=8, first_wait_s=1, full_jitter=True,
            clock=lambda: world.now_s, sleep=world.sleep,
        )
    )  # fmt: skip
    assert max(world.slept[:1]) <= 1
    assert min(world.slept) < 2
    assert max(world.slept) > 6


def test_who_asks_for_patience_gets_it() -> None:
    world = play([fail(BusyError("quota exceeded")), fail(OSError("gone"))], longest_wait_s=8)
    assert world.slept[0] >= 4


def test_a_part_that_ran_long_begins_its_back_off_anew() -> None:
    world = play([fail(OSError("gone"))] * 6 + [fail(OSError("gone"), after_s=120)])
    assert world.slept[5] > 3
    assert world.slept[6] <= 0.25


def test_cancelling_ends_it() -> None:
    async def scene() -> bool:
        task = asyncio.ensure_future(supervise("part", asyncio.Event().wait, lambda _: None))  # type: ignore[arg-type]  # returns a bool, never
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(scene())


def test_a_file_that_is_missing_is_named() -> None:
    world = play([fail(FileNotFoundError(2, "No such file or directory", "/etc/ringpost/secrets/cam1"))])
    assert Running("waiting", "/etc/ringpost/secrets/cam1: No such file or directory") in world.heard
