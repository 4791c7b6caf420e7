"""One run of a scenario from its file to its verdict, in virtual or in real time."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.host.clock import utc_now
from simulators.run_record import RunRecord
from simulators.scenario.model import Scenario
from simulators.scenario.player import Announce, play
from simulators.scenario.verdict import Verdict

OnMessage = Callable[[str, str, Mapping[str, Any]], None]
"""Takes device, topic and body of each message at the broker."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """``broker_url``: of a running broker, in real time; default: start one."""

    broker_url: str | None = None
    on_message: OnMessage = lambda *_: None
    announce: Announce = lambda _: None


def run_scenario(
    scenario: Scenario, folder: Path, options: RunOptions = RunOptions()
) -> tuple[Verdict, RunRecord]:
    """Plays the scenario with its own seed and clock; ``folder`` is empty. OSError where it can't begin."""
    if scenario.clock == "real":
        return asyncio.run(_run_real(scenario, folder, options))
    raise NotImplementedError("clock: virtual")


async def _run_real(scenario: Scenario, folder: Path, options: RunOptions) -> tuple[Verdict, RunRecord]:
    from simulators.scenario.real_stage import real_stage

    async with real_stage(scenario, scenario.seed, folder, options.broker_url) as stage:
        stage.on_message(options.on_message)
        for person in scenario.world.people:
            if person.comes <= scenario.duration:
                options.announce(f"{person.comes.total_seconds():g} s: {person.name} comes")
        return await play(scenario, stage, utc_now(), options.announce), stage.record
