"""One run of a scenario from its file to its verdict, in virtual or in real time."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.domain.message import SIMULATED_ROOT
from agent.host.clock import utc_now
from simulators.faults.simulation_only import refuse_outside_simulation
from simulators.run_record import RunRecord
from simulators.scenario.model import Scenario
from simulators.scenario.parts import WatchedParts
from simulators.scenario.player import Announce, play
from simulators.scenario.verdict import Verdict

if TYPE_CHECKING:
    from simulators.virtual.stage import VirtualStage

OnMessage = Callable[[str, str, Mapping[str, Any]], None]
"""Takes device, topic and body of each message at the broker."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """``broker_url``: of a running broker, in real time; default: start one. ``speed``: of virtual time, in
    seconds a second; default: as fast as it goes."""

    broker_url: str | None = None
    speed: float | None = None
    on_message: OnMessage = lambda *_: None
    announce: Announce = lambda _: None


def run_scenario(
    scenario: Scenario, folder: Path, options: RunOptions = RunOptions()
) -> tuple[Verdict, RunRecord]:
    """Plays the scenario with its own seed and clock; ``folder`` is empty. OSError where it can't begin, and
    NotSimulatedError for faults at a broker that may be that of others."""
    if any(step.fault is not None for step in scenario.timeline):
        url = options.broker_url
        refuse_outside_simulation(SIMULATED_ROOT, url or "", own_broker=url is None)
    if scenario.clock == "real":
        ended: list[SystemExit] = []
        try:
            return asyncio.run(_run_real(scenario, folder, options, ended))
        except asyncio.CancelledError:
            if ended:
                raise ended[0] from None
            raise
    return _run_virtual(scenario, folder, options)


def _run_virtual(scenario: Scenario, folder: Path, options: RunOptions) -> tuple[Verdict, RunRecord]:
    from simulators.scenario.virtual_session import play_virtual

    async def run(stage: "VirtualStage", _: WatchedParts) -> Verdict:
        stage.on_message(options.on_message)
        return await play(scenario, stage, scenario.world.at, options.announce)

    return play_virtual(scenario, folder, run, options.speed)


async def _run_real(
    scenario: Scenario, folder: Path, options: RunOptions, ended: list[SystemExit]
) -> tuple[Verdict, RunRecord]:
    """A SystemExit of a callback, in whatever task, ends the run, and is added to ``ended``."""
    from simulators.scenario.real_stage import real_stage

    run = asyncio.current_task()

    def ends_run(callback: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any) -> None:
            try:
                if not ended:
                    callback(*given)
            except SystemExit as error:
                ended.append(error)
                if run is not None:
                    run.cancel()

        return call

    async with real_stage(scenario, scenario.seed, folder, options.broker_url) as stage:
        stage.on_message(ends_run(options.on_message))
        for camera in stage.without_pictures:
            ends_run(options.announce)(
                f"{camera} has no pictures: the world stands in for camera and detector"
            )
        return await play(scenario, stage, utc_now(), ends_run(options.announce)), stage.record
