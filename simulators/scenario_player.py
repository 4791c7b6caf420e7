"""Plays a scenario in real time: the real agent, simulated hardware, a broker and a centre."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agent.app import run as run_agent
from agent.domain.message import SIMULATED_ROOT
from agent.mqtt.broker import Broker
from agent.outbox.outbox import Outbox
from agent.runtime.supervisor import supervise
from agent.trust.roles import sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from centre.message_store import MessageStore
from centre.sequence_gaps import IssuedNumbers
from centre.server import Centre
from simulators.devices import Board, Boat, DroneRadio, Receiver
from simulators.drone import Radio
from simulators.line_faults import LINE_FAULTS
from simulators.scenario import DeliveryProof, ReceivedMessages, Scenario, Step
from simulators.scene import Scene, stream
from simulators.wire import Wire

READY_WITHIN_S = 15.0


async def play(
    scenario: Scenario,
    broker_url: str,
    folder: Path,
    on_message: Callable[[str, str, dict[str, Any]], None],
    announce: Callable[[str], None] = lambda _: None,
) -> ReceivedMessages:
    """Plays the scenario once, in real time; calls ``on_message`` for each message received, and
    ``announce`` before each step of the timeline."""
    received = ReceivedMessages()
    began_s = time.monotonic()

    def take(device: str, topic: str, body: dict[str, Any]) -> None:
        if device == scenario.config["device"]:
            received.messages.append((time.monotonic() - began_s, topic, body))
            on_message(device, topic, body)

    async with AsyncExitStack() as stack:
        gnss = stack.enter_context(Wire(folder / "gnss"))
        line = stack.enter_context(Wire(folder / "board"))
        times = scenario.scene
        scene = Scene(times.comes.total_seconds(), times.leaves.total_seconds(), scenario.seed)
        camera = await stack.enter_async_context(stream(scene))
        start = scenario.start_position()
        spare = stack.enter_context(Wire(folder / "spare"))
        receivers = [
            Receiver(
                wire, lat=start.lat, lon=start.lon, seed=scenario.seed + number, speed_mps=start.speed_mps,
                protocol="ubx" if scenario.source_kind(name) == "ubx" else "nmea",
            )
            for number, (name, wire) in enumerate({"gnss": gnss, "spare": spare}.items())
        ]  # fmt: skip
        board = Board(line, seed=scenario.seed)
        air = stack.enter_context(Wire(folder / "radio"))
        drone = DroneRadio(air, Radio(lat=start.lat, lon=start.lon, seed=scenario.seed, loss=0.05))
        river = stack.enter_context(Wire(folder / "ais"))
        boat = Boat(river, lat=start.lat, lon=start.lon, seed=scenario.seed)
        centre_key = _write_roles(folder)
        centre = Centre(folder / "centre.db", Broker(url=broker_url), SIMULATED_ROOT, take, key=centre_key)
        stack.callback(centre.close)
        config = _write_config(scenario, folder, broker_url, camera.url)
        jobs = [
            supervise("centre", centre.run, lambda _: None),
            *(receiver.run() for receiver in receivers),
            board.run(),
            drone.run(),
            *([boat.run()] if scenario.source_kind("ais") else []),
            _timeline(
                scenario,
                {"gnss": gnss, "board": line, "radio": air, "ais": river},
                camera,
                board,
                drone,
                receivers[0],
                announce,
            ),
        ]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            await asyncio.wait_for(centre.ready.wait(), READY_WITHIN_S)
        except TimeoutError:
            raise OSError(f"{broker_url} does not answer") from None
        agent = asyncio.ensure_future(run_agent(config, folder / "data", SIMULATED_ROOT))
        end_s = began_s + scenario.duration.total_seconds()
        await asyncio.wait([agent], timeout=end_s - time.monotonic())
        agent.cancel()
        await asyncio.wait([agent])
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not agent.cancelled() and (error := agent.exception()) is not None:
            raise error
        received.proof = await delivery_proof(
            scenario.config["device"], folder / "data", folder / "centre.db"
        )
    return received


async def delivery_proof(device: str, data: Path, db: Path) -> DeliveryProof:
    """Counts on the disks of agent and centre; the agent has ended. OSError where one can't be read."""
    outbox = await asyncio.to_thread(Outbox.open, data)
    try:
        numbers = [IssuedNumbers(**issued) for issued in await outbox.highest_numbers()]
        owed = (await outbox.depth())["alert"]
    finally:
        await asyncio.to_thread(outbox.close)
    alerts = [issued for issued in numbers if issued.lane == "alert"]
    raised = sum(issued.last for issued in alerts)
    store = MessageStore(db)
    try:
        absent = sum(
            last - first + 1 for issued in alerts for first, last in store.missing(device, issued, 1)
        )
    finally:
        store.close()
    return DeliveryProof(raised, raised - absent, owed)


async def _timeline(
    scenario: Scenario,
    wires: dict[str, Wire],
    camera: Any,
    board: Board,
    drone: DroneRadio,
    receiver: Receiver,
    announce: Callable[[str], None],
) -> None:
    async def carry_out(step: Step) -> None:
        await asyncio.sleep(step.at.total_seconds())
        announce(f"{step.at.total_seconds():g} s: {step.describe()}")
        drone.radio.far |= step.out_of_reach is not None
        if step.receiver is not None:
            receiver.fail(step.receiver)
        elif step.press is not None:
            board.press(step.press)
        elif step.unplug == "camera":
            await camera.cut()
        elif step.unplug is not None:
            wires[step.unplug].unplug()
        elif step.garble is not None and step.by == "mute":
            wires[step.garble].go_mute()
        elif step.garble is not None:
            wires[step.garble].line_fault = LINE_FAULTS[step.by](random.Random(scenario.seed))
        await asyncio.sleep(step.lasts.total_seconds())
        drone.radio.far &= step.out_of_reach is None
        if step.receiver is not None:
            receiver.heal()
        elif step.press is not None:
            board.press(step.press, on=False)
        elif step.unplug == "camera":
            await camera.restore()
        elif step.unplug is not None:
            wires[step.unplug].plug()
        elif step.garble is not None and step.by == "mute":
            wires[step.garble].plug()
        elif step.garble is not None:
            wires[step.garble].line_fault = bytes

    comes_s, leaves_s = (when.total_seconds() for when in (scenario.scene.comes, scenario.scene.leaves))
    if comes_s < scenario.duration.total_seconds():
        announce(f"{comes_s:g} s: a man walks to the railing; he leaves at {leaves_s:g} s")
    await asyncio.gather(*(carry_out(step) for step in scenario.timeline))


def _write_roles(folder: Path) -> SigningKey:
    """Writes a roles document for this run, and returns the key that signs the receipts."""
    root, centre = SigningKey.generate(), SigningKey.generate()
    root.save(folder / "root.pem")
    (folder / "roles.json").write_bytes(sign_roles(small_team_roles(root, centre), [root]))
    return centre


def _write_config(scenario: Scenario, folder: Path, broker_url: str, camera_url: str) -> Path:
    """The agent's configuration as a file, with this run's folder, broker and camera filled in."""
    from ruamel.yaml import YAML

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(one) for key, one in value.items()}
        if isinstance(value, list):
            return [fill(one) for one in value]
        if isinstance(value, str):
            for word, filling in (("folder", str(folder)), ("broker", broker_url), ("camera", camera_url)):
                value = value.replace("{" + word + "}", filling)
        return value

    path = folder / "config.yaml"
    config = {**fill(scenario.config), "roles": "roles.json"}
    with path.open("w") as file:
        YAML(typ="safe").dump(config, file)
    return path
