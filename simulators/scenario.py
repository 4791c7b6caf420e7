"""A scenario: a timeline, its faults, and what must and must never be heard from the broker. Played for real.

The agent is the real one, on ptys, a real stream and a real broker; only the far ends are simulated.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.app import run as run_agent
from agent.domain.durations import Duration
from agent.domain.message import SIMULATED_ROOT
from agent.mqtt.broker import Broker
from agent.runtime.supervisor import supervise
from centre.server import Centre
from simulators.devices import Board, Boat, DroneRadio, Receiver
from simulators.drone import Radio
from simulators.receiver import FAULTS
from simulators.scene import Scene, stream
from simulators.trouble import LINE_FAULTS
from simulators.wire import Wire

SCENARIOS = Path(__file__).parent / "scenarios"
READY_WITHIN_S = 15.0


class Part(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SceneTimes(Part):
    comes: Duration
    leaves: Duration


class Step(Part):
    """At a time, something happens, and after ``for`` it is undone."""

    at: Duration
    unplug: Literal["gnss", "board", "radio", "ais", "camera"] | None = None
    garble: Literal["gnss", "board", "radio", "ais"] | None = None
    by: str = "noise"
    """One of `simulators.trouble.LINE_FAULTS`, or ``mute``: open, but dead, as after a reset of the bus."""
    press: str | None = None
    out_of_reach: Literal["drone"] | None = None
    receiver: str | None = None
    """One of `simulators.receiver.FAULTS`, of the receiver on the wire ``gnss``."""
    lasts: Duration = Field(alias="for")

    @model_validator(mode="after")
    def _one(self) -> Self:
        things = (self.unplug, self.garble, self.press, self.out_of_reach, self.receiver)
        if sum(thing is not None for thing in things) != 1:
            raise ValueError("a step does one thing: unplug, garble, press, out_of_reach or receiver")
        if self.by not in (*LINE_FAULTS, "mute"):
            raise ValueError(f"no line is garbled by {self.by!r}; known: {', '.join(LINE_FAULTS)}, mute")
        if self.receiver is not None and self.receiver not in FAULTS:
            raise ValueError(f"no receiver fails by {self.receiver!r}; known: {', '.join(FAULTS)}")
        return self


class Expectation(Part):
    """An alert's phases in order, or at least one message of a topic ``having`` these fields."""

    rule: str | None = None
    topic: str = "alert"
    having: dict[str, Any] = Field(default_factory=dict)
    phases: tuple[str, ...] = ("new",)
    within: Duration | None = None


class Never(Part):
    rule: str


class Start(Part):
    """Where a boat is at first; a post is at its place."""

    lat: float
    lon: float
    speed_mps: float = 0.0


class Scenario(Part):
    """One file of ``simulators/scenarios``."""

    name: str
    seed: int = 0
    duration: Duration
    scene: SceneTimes
    start: Start | None = None
    timeline: tuple[Step, ...] = ()
    expect: tuple[Expectation, ...]
    never: tuple[Never, ...] = ()
    config: dict[str, Any]

    def starts(self) -> Start:
        """Where the device is at first. ValueError where nobody says it."""
        place = self.config["place"]
        if self.start is None and "lat" not in place:
            raise ValueError(f"{self.name}: its place has no lat and lon, so that it needs a start")
        return self.start or Start(lat=place["lat"], lon=place["lon"])

    def speaks(self, source: str) -> str | None:
        """The kind of a source, as the agent is told."""
        kind: str | None = self.config.get("sources", {}).get(source, {}).get("kind")
        return kind


@dataclass
class Heard:
    """What came from the broker, and when."""

    messages: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)

    def phases(self, rule: str) -> list[tuple[float, str]]:
        """(second, phase) of the alerts of a rule, in the order in which they came."""
        return [
            (second, body["alert"]["phase"])
            for second, topic, body in self.messages
            if topic == "alert" and body["alert"]["rule"] == rule
        ]


def find_scenario(name: str) -> Scenario:
    """By name, or by the path of a file. OSError or ValueError in one line."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = Path(name) if name.endswith((".yaml", ".yml")) else SCENARIOS / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in SCENARIOS.glob("*.yaml")))
        raise FileNotFoundError(f"no scenario {name!r}; known: {known}, or the path of a file")
    try:
        return Scenario.model_validate(YAML(typ="safe").load(path.read_text()))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = "".join(f"{step}: " for step in detail["loc"])
        raise ValueError(f"{path}: {where}{detail['msg']}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no YAML: {str(error).splitlines()[0]}") from error


async def play(
    scenario: Scenario, broker_url: str, folder: Path, say: Callable[[str, str, dict[str, Any]], None]
) -> Heard:
    """Plays it once, in real time; ``say`` hears each message as it comes back from the broker."""
    heard = Heard()
    began_s = time.monotonic()

    def take(device: str, topic: str, body: dict[str, Any]) -> None:
        if device == scenario.config["device"]:
            heard.messages.append((time.monotonic() - began_s, topic, body))
            say(device, topic, body)

    async with AsyncExitStack() as stack:
        gnss = stack.enter_context(Wire(folder / "gnss"))
        line = stack.enter_context(Wire(folder / "board"))
        times = scenario.scene
        scene = Scene(times.comes.total_seconds(), times.leaves.total_seconds(), scenario.seed)
        camera = await stack.enter_async_context(stream(scene))
        start = scenario.starts()
        spare = stack.enter_context(Wire(folder / "spare"))
        receivers = [
            Receiver(
                wire, lat=start.lat, lon=start.lon, seed=scenario.seed + number, speed_mps=start.speed_mps,
                protocol="ubx" if scenario.speaks(name) == "ubx" else "nmea",
            )
            for number, (name, wire) in enumerate({"gnss": gnss, "spare": spare}.items())
        ]  # fmt: skip
        board = Board(line, seed=scenario.seed)
        air = stack.enter_context(Wire(folder / "radio"))
        drone = DroneRadio(air, Radio(lat=start.lat, lon=start.lon, seed=scenario.seed, loss=0.05))
        river = stack.enter_context(Wire(folder / "ais"))
        boat = Boat(river, lat=start.lat, lon=start.lon, seed=scenario.seed)
        centre = Centre(folder / "centre.db", Broker(url=broker_url), SIMULATED_ROOT, take)
        stack.callback(centre.close)
        config = _write_config(scenario, folder, broker_url, camera.url)
        jobs = [
            supervise("centre", centre.run, lambda _: None),
            *(receiver.run() for receiver in receivers),
            board.run(),
            drone.run(),
            *([boat.run()] if scenario.speaks("ais") else []),
            _timeline(
                scenario,
                {"gnss": gnss, "board": line, "radio": air, "ais": river},
                camera,
                board,
                drone,
                receivers[0],
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
    return heard


def missed(scenario: Scenario, heard: Heard) -> list[str]:
    """What was expected and did not come, and what came and never should; empty when all is well."""
    wrong = []
    for wanted in scenario.expect:
        limit_s = (wanted.within or scenario.duration).total_seconds() + 5
        if wanted.rule is None:
            if not any(
                topic == wanted.topic and wanted.having.items() <= body.items() and second <= limit_s
                for second, topic, body in heard.messages
            ):
                wrong.append(
                    f"no message on {wanted.topic} within {limit_s:g} s {wanted.having or ''}".strip()
                )
            continue
        rest = iter(phase for second, phase in heard.phases(wanted.rule) if second <= limit_s)
        lacking = [phase for phase in wanted.phases if phase not in rest]
        if lacking:
            wrong.append(f"{wanted.rule}: {', '.join(lacking)} did not come within {limit_s:g} s")
    wrong += [
        f"{never.rule}: was raised, and never should" for never in scenario.never if heard.phases(never.rule)
    ]
    return wrong


async def _timeline(
    scenario: Scenario,
    wires: dict[str, Wire],
    camera: Any,
    board: Board,
    drone: DroneRadio,
    receiver: Receiver,
) -> None:
    async def carry_out(step: Step) -> None:
        await asyncio.sleep(step.at.total_seconds())
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
            wires[step.garble].trouble = LINE_FAULTS[step.by](random.Random(scenario.seed))
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
            wires[step.garble].trouble = bytes

    await asyncio.gather(*(carry_out(step) for step in scenario.timeline))


def _write_config(scenario: Scenario, folder: Path, broker_url: str, camera_url: str) -> Path:
    """The agent's configuration as a file, with the names of this run put in."""
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
    with path.open("w") as file:
        YAML(typ="safe").dump(fill(scenario.config), file)
    return path
