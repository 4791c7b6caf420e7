"""Plays a city in virtual time, and judges it."""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.domain.message import stamp
from simulators.checker.check import check
from simulators.checker.disks import note_disks
from simulators.checker.finding import Finding, Limits
from simulators.city.plan import city_scenario
from simulators.run_record import RunRecord
from simulators.scenario.loader import check as complete
from simulators.scenario.model import Scenario
from simulators.scenario.parts import WatchedParts
from simulators.scenario.player import TimelineRun
from simulators.scenario.virtual_session import play_virtual
from simulators.virtual.stage import VirtualStage


@dataclass(frozen=True, slots=True, kw_only=True)
class CityResult:
    """``findings`` of the checker; ``incomplete``: what could not be carried out. Times in seconds."""

    devices: int
    seconds: float
    cpu_s: float
    wall_s: float
    memory_mb: float
    messages: int
    alerts: int
    faults: int
    sha256: str
    findings: Sequence[Finding]
    incomplete: Sequence[str]

    @property
    def passed(self) -> bool:
        return not self.findings and not self.incomplete

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def play_city(
    folder: Path,
    *,
    seed: int,
    share: float,
    duration_s: float,
    settle_s: float = 120.0,
    announce: Callable[[str], None] = lambda _: None,
) -> tuple[CityResult, RunRecord]:
    """``folder`` gets the data of all devices. ``settle_s``: from the last fault until all is well."""
    scenario = complete(Scenario.model_validate(city_scenario(seed, share, duration_s)))
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    memory_mb: list[float] = []

    async def play(stage: VirtualStage, _: WatchedParts) -> list[str]:
        stage.record.event("began", at=stamp(scenario.world.at))
        run = TimelineRun(scenario, stage, announce)
        await run.play()
        memory_mb.append(_peak_mb())
        note_disks(stage.record, {name: one.folder for name, one in stage.devices.items()}, stage.centre.db)
        return run.incomplete

    incomplete, record = play_virtual(scenario, folder, play)
    configs = {name: one.tree for name, one in scenario.devices.items()}
    findings = check(record, configs, limits=Limits(settle_s=settle_s))
    result = CityResult(
        devices=len(scenario.devices),
        seconds=duration_s,
        cpu_s=round(time.process_time() - cpu_s, 1),
        wall_s=round(time.perf_counter() - wall_s, 1),
        memory_mb=round(memory_mb[-1], 1),
        messages=len(record.messages),
        alerts=sum(one["event"] == "accepted" for one in record.events),
        faults=sum(one["event"] == "fault_effect" for one in record.events),
        sha256=record.sha256(),
        findings=findings,
        incomplete=incomplete,
    )
    return result, record


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
