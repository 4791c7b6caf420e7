"""The device of the demo, and what can be done to it: each `Trick` says beforehand what it does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.config.simulated_sources import MARK
from simulators.devices import Board, Receiver
from simulators.first_minute.stage import OnMessage, Stage, stage
from simulators.scenario.device_config import completed_config
from simulators.scenario.loader import find_scenario
from simulators.scenario.model import Scenario
from simulators.scene import Scene, VideoStream, stream
from simulators.wire import Wire

PULLED_S, COVERED_S, STOPPED_S, PRESSED_S = 15.0, 20.0, 12.0, 3.0
STAYS_S, AWAY_S = 27.0, 20.0
"""How long the man stands at the railing, and how long he is gone before he comes again."""


class DemoStage:
    """The stage with its hardware. Made by `demo_stage`."""

    def __init__(self, on: Stage, gnss: Wire, board: Board, camera: VideoStream) -> None:
        self.stage = on
        self._gnss, self._board, self.camera = gnss, board, camera

    async def press(self) -> None:
        """Presses the panic button, and releases it."""
        self._board.press("panic_button")
        await asyncio.sleep(PRESSED_S)
        self._board.press("panic_button", on=False)

    async def pull_cable(self) -> None:
        """Unplugs the receiver for `PULLED_S`."""
        self._gnss.unplug()
        await asyncio.sleep(PULLED_S)
        self._gnss.plug()

    async def cover_lens(self) -> None:
        """Covers the lens for `COVERED_S`."""
        self.camera.blinding = "covered"
        await asyncio.sleep(COVERED_S)
        self.camera.blinding = None

    async def stop_broker(self) -> None:
        """Stops the broker for `STOPPED_S`."""
        await self.stage.stop_broker(STOPPED_S)

    async def kill_agent(self) -> None:
        """SIGKILL; the agent is started again."""
        self.stage.kill_agent()

    async def push_fatal(self) -> None:
        """Pushes a broker that does not exist."""
        await self.stage.push({"broker": {"url": "mqtt://127.0.0.1:1"}}, confirm_within_s=15)

    async def play_scene(self) -> None:
        """The man comes to the railing, stays, leaves, and comes again, until it is cancelled."""
        while True:
            await asyncio.sleep(1.0)
            scene, second = self.camera.scene, self.camera.second()
            if second > scene.leaves_s + AWAY_S:
                self.camera.scene = replace(scene, comes_s=second, leaves_s=second + STAYS_S)


@dataclass(frozen=True, slots=True)
class Trick:
    """Something that happens to the device. ``expect`` says what should follow."""

    name: str
    icon: str
    expect: str
    run: Callable[[DemoStage], Awaitable[None]]


TRICKS = (
    Trick(
        "Press the panic button", "emergency",
        "A critical alert within milliseconds; it is on disk before the board is answered.",
        DemoStage.press,
    ),
    Trick(
        "Pull the GNSS cable", "power_off",
        "The status says degraded at once; a warning says since when the receiver is silent.",
        DemoStage.pull_cable,
    ),
    Trick(
        "Cover the lens", "visibility_off",
        "The camera still sends pictures, but its zone is reported as blind.",
        DemoStage.cover_lens,
    ),
    Trick(
        "Stop the broker", "cloud_off",
        "Alerts wait on the device's disk, and arrive when the broker is back.",
        DemoStage.stop_broker,
    ),
    Trick(
        "kill -9 the agent", "bolt",
        "As a power cut: it starts again, its alerts go on under the same ids, and none is lost.",
        DemoStage.kill_agent,
    ),
    Trick(
        "Push a fatal configuration", "dangerous",
        "A broker that does not exist: the device tries it, fails, and goes back by itself.",
        DemoStage.push_fatal,
    ),
)  # fmt: skip


def demo_config(scenario: Scenario, folder: Path, camera_url: str) -> dict[str, Any]:
    """The configuration of the scenario with this run's folder and camera."""
    ((name, settings),) = scenario.devices.items()
    cameras = dict.fromkeys(settings.sources(), camera_url)
    return completed_config(name, settings.tree, broker_url="", folder=folder, cameras=cameras)


@asynccontextmanager
async def demo_stage(folder: Path, on_message: OnMessage) -> AsyncIterator[DemoStage]:
    """The stage of ``bridge_post``, whose scene begins anew for ever. OSError: no broker."""
    scenario = find_scenario("bridge_post")
    start = scenario.device.start_position()
    (man,) = scenario.world.people
    if start is None:
        raise ValueError(f"{scenario.name}: the place of its device has no lat and lon")
    async with AsyncExitStack() as stack:
        (folder / MARK).mkdir()
        gnss, line = (stack.enter_context(Wire(folder / MARK / name)) for name in ("gnss", "board"))
        comes_s = man.comes.total_seconds() + 5
        scene = Scene(comes_s, comes_s + STAYS_S, scenario.seed)
        camera = await stack.enter_async_context(stream(scene))
        receiver = Receiver(gnss, lat=start.lat, lon=start.lon, seed=scenario.seed)
        board = Board(line, seed=scenario.seed)
        config = demo_config(scenario, folder, camera.url)
        on = await stack.enter_async_context(stage(folder, config, on_message))
        demo = DemoStage(on, gnss, board, camera)
        tasks = [asyncio.ensure_future(job) for job in (receiver.run(), board.run(), demo.play_scene())]
        try:
            yield demo
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
