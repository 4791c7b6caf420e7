"""A scenario on a stage in virtual time, with the hardware of its devices."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from simulators.devices import make_hardware
from simulators.run_record import RunRecord
from simulators.run_time import RunTime
from simulators.scenario.device_config import LINES, completed_config
from simulators.scenario.model import DeviceSettings, Scenario
from simulators.scenario.parts import WatchedParts
from simulators.virtual.device import VirtualDevice
from simulators.virtual.host import virtual_loop
from simulators.virtual.ports import VirtualLine
from simulators.virtual.stage import URL, VirtualStage, run_virtual
from simulators.world.sightings import camera_view
from simulators.world.truth import keep_truth
from simulators.world.world import World

T = TypeVar("T")


def play_virtual(
    scenario: Scenario,
    folder: Path,
    play: Callable[[VirtualStage, WatchedParts], Awaitable[T]],
    speed: float | None = None,
) -> tuple[T, RunRecord]:
    """What ``play`` makes of the stage, whose devices run. ``speed``: at most so many seconds in one."""

    async def main() -> tuple[T, RunRecord]:
        if speed is not None:
            _pace(speed)
        world = scenario.make_world()
        stage_of_run = VirtualStage(
            folder, seed=scenario.seed, at=scenario.world.at, world=world,
            centre_workers=scenario.centre.workers,
        )  # fmt: skip
        async with stage_of_run as stage:
            parts = WatchedParts(stage.record)
            clock = RunTime(scenario.world.at, stage.now_s)
            for name, settings in scenario.devices.items():
                config = completed_config(name, settings.tree, broker_url=URL, folder=LINES / name)
                device = stage.add_device(name, config)
                _attach(device, settings, world, clock, parts)
            parts.start(keep_truth(world, stage.record, stage.sleep_until), "truth")
            for device in stage.devices.values():
                await device.start()
            try:
                return await play(stage, parts), stage.record
            finally:
                await parts.close()

    return run_virtual(main)


def _attach(
    device: VirtualDevice, settings: DeviceSettings, world: World, clock: RunTime, parts: WatchedParts
) -> None:
    """Puts simulated hardware on each line, and runs it."""
    for source, given in settings.sources().items():
        kind = settings.hardware_of(source)
        if kind == "camera":
            device.add_camera(source, camera_view(world, device.name, source), clock.now_s)
            continue
        if kind is None:
            continue
        port = str(device.config["sources"][source]["port"])
        line = device.lines[source] = VirtualLine(virtual_loop(), port, given.get("baud"))
        hardware = device.hardware[source] = make_hardware(kind, line, world, device.name, source, clock)
        parts.start(hardware.run(), "hardware", device.name, source)


def _pace(speed: float) -> None:
    """Makes the running loop wait where its clock jumps, so that people can watch."""
    loop = virtual_loop()
    jump = loop.jump

    def jump_and_wait() -> None:
        before_s = loop.now_s
        jump()
        time.sleep(max(0.0, loop.now_s - before_s) / speed)

    loop.jump = jump_and_wait  # type: ignore[method-assign]
