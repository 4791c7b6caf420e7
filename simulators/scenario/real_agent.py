"""The agent of a scenario in real time, as a process of its own.

Its machine is at rest, whatever else this machine does: the load of those who play is no part of a scenario.
Where pictures can't show what happens, such as people on paths, the world stands in for camera and detector.
``python -m simulators.scenario.real_agent CONFIG DATA SCENARIO BASE DEVICE [SOURCE…]``: the sources are
cameras without pictures.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.cli.options import finish
from agent.cli.run import run_command
from agent.domain.message import SIMULATED_ROOT
from agent.host.machine import use_machine
from agent.vision.camera import Camera, use_cameras
from simulators.first_minute.agent_process import end_with_parent
from simulators.scenario.device_config import completed_config
from simulators.scenario.loader import parse
from simulators.virtual.camera import VirtualCamera, VirtualCameras
from simulators.virtual.machine import VirtualMachine
from simulators.world.sightings import camera_view

BEGAN = "began"
"""Beside the scenario, once the run begins: the machine's monotonic clock at its second 0."""


def since(path: Path) -> Callable[[], float]:
    """Seconds of the run; 0 until ``path`` is there."""
    began: list[float] = []

    def now_s() -> float:
        if not began and path.exists():
            began.append(float(path.read_text()))
        return max(0.0, time.monotonic() - began[0]) if began else 0.0

    return now_s


def see_the_world(scenario_file: Path, base: Path, device: str, sources: Sequence[str]) -> None:
    """The cameras of this process give what the world of the scenario shows."""
    scenario = parse(scenario_file.read_text(), name=str(scenario_file), base=base)
    world, now_s = scenario.make_world(), since(scenario_file.with_name(BEGAN))
    config = completed_config(device, scenario.devices[device].tree, broker_url="", folder=Path())
    cameras = {}
    for source in sources:
        url = Camera.model_validate(config["sources"][source]).url
        cameras[url] = VirtualCamera(camera_view(world, device, source), now_s)
    use_cameras(VirtualCameras(cameras))


def main(config: str, data: str, scenario: str, base: str, device: str, *sources: str) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    use_machine(VirtualMachine(Path(data).parent / "machine", lambda: False))
    if sources:
        see_the_world(Path(scenario), Path(base), device, sources)
    finish(run_command(Path(config), Path(data), "error", SIMULATED_ROOT))


if __name__ == "__main__":
    main(*sys.argv[1:])
