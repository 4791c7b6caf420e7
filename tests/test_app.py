"""What the agent does with its parts."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agent.app import Agent
from agent.health import Health, Running


def test_a_part_that_will_not_end_does_not_swallow_the_time_limit_of_a_push() -> None:
    """An adapter that hangs as it is closed: the trial is over in time, and can be rolled back."""

    async def scene() -> None:
        released = asyncio.Event()

        async def hangs() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await released.wait()

        health = Health()
        health.tell("board", Running("running"), 0)
        task = asyncio.ensure_future(hangs())
        await asyncio.sleep(0)
        agent: Any = SimpleNamespace(tasks={"board": (None, task)}, health=health)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await Agent.end_part(agent, "board")
        assert (agent.tasks, health.parts(1), task.done()) == ({}, [], False)
        released.set()
        await asyncio.wait([task])

    asyncio.run(asyncio.wait_for(scene(), 5))
