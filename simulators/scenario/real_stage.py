"""A stage in real time: real agents as processes, simulated hardware on ptys and streams, a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from agent.cli.fleet_link import fleet_link
from agent.cli.signing import DeskSigner
from agent.domain.message import SIMULATED_ROOT
from agent.runtime.sanitize import as_list, json_object
from agent.trust.order import peek_body
from agent.trust.roles import sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from centre.message_store import NUMBERED
from simulators.broker import LocalBroker
from simulators.devices import Hardware, make_hardware
from simulators.faults.faulty_link import FaultyLink
from simulators.run_record import RunRecord
from simulators.run_time import RunTime
from simulators.scenario.device_config import completed_config
from simulators.scenario.loader import SCENARIOS
from simulators.scenario.model import DeviceSettings, Scenario
from simulators.scenario.parts import WatchedParts
from simulators.scenario.real_agent import BEGAN
from simulators.scenario.real_broker import RealBroker, RealCentre
from simulators.scenario.real_device import RealDevice, RealLine
from simulators.scenario.scenario_text import scenario_text
from simulators.scene import Scene, VideoStream, stream
from simulators.wire import Wire
from simulators.world.settings import PersonSettings
from simulators.world.truth import keep_truth

READY_WITHIN_S = 15.0
ONLINE_WITHIN_S = 90.0
"""An agent with a detector takes a while to start, many of them longer."""
FILTERS = tuple(f"{SIMULATED_ROOT}/+{'/+' * depth}" for depth in (1, 2, 3))
TO_DEVICES = ("receipt", "alert/ack", "config/desired", "roles/desired", "command/")
"""Topics that centres and workstations publish."""


class RealStage:
    """See `simulators.stage.Stage`. Made by `real_stage`."""

    clock = "real"

    def __init__(self, scenario: Scenario, seed: int, broker: RealBroker) -> None:
        self.seed = seed
        self.world = scenario.make_world()
        self.broker = broker
        self.centre: RealCentre
        self.devices: dict[str, RealDevice] = {}
        self.record = RunRecord(self.now_s)
        self.parts = WatchedParts(self.record)
        self._listeners: list[Callable[[str, str, Mapping[str, Any]], None]] = []
        self._began_s: float | None = None
        self.without_pictures: list[str] = []
        """Cameras (``DEVICE.SOURCE``) for which the world stands in: pictures can't show what happens."""

    def now_s(self) -> float:
        """0 until all devices are online."""
        return 0.0 if self._began_s is None else time.monotonic() - self._began_s

    async def sleep_until(self, second: float) -> None:
        await asyncio.sleep(max(0.0, second - self.now_s()))

    def on_message(self, listener: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        self._listeners.append(listener)

    def observe(self, device: str, topic: str, payload: bytes) -> None:
        """A message at the broker: of a device, or a receipt of the centre."""
        to_device = topic.startswith(TO_DEVICES) and topic != "command/result"
        if device not in self.devices or (to_device and topic != "receipt"):
            return
        body = json_object(payload)
        if topic == "receipt":
            self.record.event("receipt", device, ids=as_list(peek_body(payload).get("ids")))
        elif topic.startswith("media/"):
            second = round(self.now_s(), 6)
            self.record.messages.append({"t": second, "device": device, "topic": topic, "size": len(payload)})
        elif body is not None:
            self.record.message(device, topic, body)
            for listener in self._listeners:
                listener(device, topic, body)

    def stored(self, device: str, topic: str, body: dict[str, Any]) -> None:
        """A message that the centre has committed."""
        if topic in NUMBERED:
            self.record.event("committed", device, id=body.get("id"))

    def centre_crashed(self, error: str) -> None:
        """The centre ended with an error of its own, and is started again."""
        self.record.event("died", part="centre", error=error)

    def begin(self) -> None:
        """The run begins now."""
        self._began_s = time.monotonic()

    async def close(self) -> None:
        for device in self.devices.values():
            if device.running:
                await device.stop()
        await self.parts.close()
        await self.broker.close()
        await self.centre.close()


@asynccontextmanager
async def real_stage(
    scenario: Scenario, seed: int, folder: Path, broker_url: str | None = None
) -> AsyncIterator[RealStage]:
    """The stage in ``folder``, with all devices online. It starts a broker where none is given.

    OSError where the broker does not answer, or a device does not come online.
    """
    async with AsyncExitStack() as stack:
        local = None if broker_url else LocalBroker(persistent=True)
        if local is not None:
            await asyncio.to_thread(local.start)
            stack.callback(local.stop)
        url = broker_url or (local.url if local else "")
        stage = RealStage(scenario, seed, RealBroker(url, local))
        root, centre_key = SigningKey.generate(), SigningKey.generate()
        root.save(folder / "root.pem")
        signer = DeskSigner([root], [folder / "root.pem"])
        stage.centre = RealCentre(
            folder / "centre.db", url, SIMULATED_ROOT, centre_key, stage.stored, stage.centre_crashed
        )
        stack.push_async_callback(stage.close)
        try:
            await asyncio.wait_for(stage.centre.server.ready.wait(), READY_WITHIN_S)
        except TimeoutError:
            raise OSError(f"{url} does not answer") from None
        link = await stack.enter_async_context(fleet_link(url, SIMULATED_ROOT, FILTERS, reconnects=True))
        link.observers.append(stage.observe)
        moving = []
        played = folder / "scenario.yaml"
        played.write_text(scenario_text(scenario))
        on_paths = any(person.path is not None for person in scenario.world.people)
        for name, settings in scenario.devices.items():
            place = folder / name
            place.mkdir(mode=0o700)
            route = url
            if local is not None:
                link_to_broker = await stack.enter_async_context(FaultyLink(local.port))
                stage.broker.links[name], route = link_to_broker, link_to_broker.url
            cameras = {} if on_paths else await _cameras(stack, scenario, name, settings, seed)
            unseen = [one for one in settings.sources() if on_paths and settings.hardware_of(one) == "camera"]
            stage.without_pictures += [f"{name}.{one}" for one in unseen]
            urls = {source: camera.url for source, camera in cameras.items()}
            whole = completed_config(
                name, settings.tree, broker_url=route,
                folder=place / "lines", cameras=urls,
            )  # fmt: skip
            device = RealDevice(
                name,
                whole,
                place,
                root=SIMULATED_ROOT,
                link=link,
                signer=signer,
                record=stage.record,
                scenery=(str(played), str(scenario.folder or SCENARIOS), name, *unseen),
            )
            device.prepare(sign_roles(small_team_roles(root, centre_key), [root]))
            device.hardware.update(cameras)
            moving += _attach(stack, stage, device, settings)
            stage.devices[name] = device
        for device in stage.devices.values():
            await device.start()
        await _all_online(stage)
        for camera in (one for device in stage.devices.values() for one in device.hardware.values()):
            if isinstance(camera, VideoStream):
                camera.begin()
        stage.begin()
        played.with_name(BEGAN).write_text(str(time.monotonic()))
        for begin in moving:
            begin()
        stage.parts.start(keep_truth(stage.world, stage.record, stage.sleep_until), "truth")
        yield stage


async def _all_online(stage: RealStage) -> None:
    end_s = time.monotonic() + ONLINE_WITHIN_S
    while True:
        statuses = [one for one in stage.record.messages if one["topic"] == "status"]
        states = {one["device"]: one["body"].get("state") for one in statuses}
        waiting = [name for name in stage.devices if states.get(name) not in ("online", "degraded")]
        if not waiting:
            return
        dead = [one for one in stage.record.events if one["event"] == "died"]
        if dead or time.monotonic() > end_s:
            why = dead[0].get("error") if dead else f"not within {ONLINE_WITHIN_S:g} s"
            raise OSError(f"{dead[0].get('device') if dead else waiting[0]} does not come online: {why}")
        await asyncio.sleep(0.05)


async def _cameras(
    stack: AsyncExitStack, scenario: Scenario, name: str, settings: DeviceSettings, seed: int
) -> dict[str, VideoStream]:
    """The stream of each camera: the first person who comes to one of its zones."""
    cameras = {}
    for source in settings.sources():
        if settings.hardware_of(source) != "camera":
            continue
        people = [one for one in scenario.world.people if _is_at(one, name, source)]
        comes_s, leaves_s = scenario.seconds + 1, scenario.seconds + 2
        if people:
            comes_s = people[0].comes.total_seconds()
            leaves = people[0].leaves
            leaves_s = scenario.seconds + 10 if leaves is None else leaves.total_seconds()
        cameras[source] = await stack.enter_async_context(stream(Scene(comes_s, leaves_s, seed)))
    return cameras


def _is_at(person: PersonSettings, device: str, source: str) -> bool:
    return person.camera in (source, f"{device}.{source}")


def _attach(
    stack: AsyncExitStack, stage: RealStage, device: RealDevice, settings: DeviceSettings
) -> list[Callable[[], None]]:
    """Puts simulated hardware on each line, and runs what may begin before the run does. Returns the rest:
    what moves."""
    later: list[Callable[[], None]] = []
    for source in settings.sources():
        kind = settings.hardware_of(source)
        if kind is None or kind == "camera":
            continue
        wire = stack.enter_context(Wire(Path(str(device.config["sources"][source]["port"]))))
        device.lines[source] = RealLine(wire)
        make = partial(make_hardware, kind, wire, stage.world, device.name, source)
        if kind == "board" or (kind == "receiver" and stage.world.stands(device.name)):
            _run(stage, device, source, make(RunTime()))
        else:
            later.append(partial(_begin, stage, device, source, make))
    return later


def _begin(stage: RealStage, device: RealDevice, source: str, make: Callable[[RunTime], Hardware]) -> None:
    _run(stage, device, source, make(RunTime(now_s=stage.now_s)))


def _run(stage: RealStage, device: RealDevice, source: str, hardware: Hardware) -> None:
    device.hardware[source] = hardware
    stage.parts.start(hardware.run(), "hardware", device.name, source)
