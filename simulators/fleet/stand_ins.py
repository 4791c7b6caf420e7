"""Light stand-ins for devices, many in one process: real pushes, no hardware.

Each has its own connection, its own configuration file and ledger, and takes orders through the
agent's own `OrderGate` and `Deployment`.
``python -m simulators.fleet --broker URL --roles roles.json --count 200 --folder DIR``.
"""

import argparse
import asyncio
import contextlib
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from agent.commands.commands import Commands
from agent.commands.requests import Command, ConfigConfirm, ConfigGet, ConfigRollback
from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.config.push import Push, Rollback
from agent.config.trial import BrokenSourceError, TrialSteps
from agent.control.config_commands import ConfigCommands
from agent.control.order_gate import OrderGate
from agent.domain.message import ROOT, encode, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.reporting.birth import birth_fields
from agent.runtime.logging_setup import set_up_log
from agent.trust.trust import Trust

CONFIG = """\
schema_version: 1
device: {name}
kind: patrol_boat
place: {{ring: {ring}, domain: water, site: fleet, post: {name}}}
broker: {{url: "{url}"}}
sources:
  gnss: {{kind: nmea, port: /dev/serial/by-id/gnss}}
  board: {{kind: sensor_board, port: /dev/serial/by-id/board}}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical}}
  quiet: {{kind: silence, source: gnss, after: 10s}}
"""
RINGS = ("perimeter", "ring_road", "inner_city")
Fault = Literal["rolls_back", "unhealthy", "mute"]
"""What goes wrong with a push: its source never works; the device degrades afterwards; it never answers."""


@dataclass
class StandIn:
    """One device. ``fault`` is what its pushes end with."""

    name: str
    url: str
    folder: Path
    roles: Path
    fault: Fault | None = None
    prove_s: float = 0.05
    """How long the proof of a push takes."""

    def __post_init__(self) -> None:
        self._connection: Connection | None = None
        self.connected = asyncio.Event()
        self._pushes: asyncio.Queue[Push | Rollback] = asyncio.Queue()
        self._reasons: list[str] = []
        own = self.folder / self.name
        own.mkdir(parents=True, exist_ok=True)
        local = own / "agent.yaml"
        if not local.exists():
            ring = RINGS[sum(self.name.encode()) % len(RINGS)]
            local.write_text(CONFIG.format(name=self.name, url=self.url, ring=ring))
        self.deployment = Deployment.boot(local, own / "config")
        self.running: Config = self.deployment.config
        self.trust = Trust(self.name, lambda: self.running.all_groups())  # noqa: PLW0108  the configuration changes
        self.trust.load(self.roles, own / "config")
        self.trust.restore(lambda _: None, self.deployment.ledger.counters)
        configuration = ConfigCommands(self.deployment, self._pushes, lambda: self._gate, self._send_result)
        commands = Commands(
            self._send_result,
            rebirth=self._report,
            output=_no_output,
            answers_below=ROOT,
            more={
                "config_confirm": (ConfigConfirm, configuration.confirm),
                "config_get": (ConfigGet, configuration.get),
                "config_history": (Command, configuration.history),
                "config_rollback": (ConfigRollback, configuration.roll_back),
            },
        )
        self._gate = OrderGate(
            self.trust,
            commands,
            take_push=self._pushes.put,
            acknowledge=_no_alert,
            refuse_push=self._refuse_push,
        )

    async def run(self) -> None:
        """Reports, takes pushes, and connects again for ever."""
        worker = asyncio.ensure_future(self._take_pushes())
        will = (self._topic("status"), encode({"state": "offline", "reasons": ["no connection"]}))
        try:
            while True:
                connection = Connection(Broker(url=self.url), self.name, will)
                try:
                    await connection.open()
                    self._connection = connection
                    own = [self._topic(below) for below in ("config/desired", "command/+", "roles/desired")]
                    groups = [f"{ROOT}/groups/{one}/config/desired" for one in self.running.all_groups()]
                    connection.subscribe([*own, *groups])
                    self._publish("birth", birth_fields(self.running))
                    await self._report()
                    self.connected.set()
                    await self._take_messages(connection)
                except OSError:
                    await asyncio.sleep(1.0)
                finally:
                    self._connection = None
                    self.connected.clear()
                    connection.close()
        finally:
            worker.cancel()

    async def _take_messages(self, connection: Connection) -> None:
        while True:
            match await connection.event(1.0):
                case ("lost", reason):
                    raise OSError(reason)
                case ("message", message):
                    connection.acknowledge(message)
                    below = message.topic.removeprefix(self._topic("")).removeprefix(f"{ROOT}/")
                    if self.fault != "mute":
                        await self._gate.on_message(below, message.payload, None, bool(message.retain))

    async def _take_pushes(self) -> None:
        while True:
            order = await self._pushes.get()
            whose: dict[str, Any] = {"key_ids": order.key_ids, "authorize": order.authorize}
            if isinstance(order, Rollback):
                result = await self.deployment.roll_back(
                    order.to_revision, self._steps(), target=order.target, **whose
                )
                await order.done(result)
            else:
                await self.deployment.handle(
                    order.payload, self._steps(), target=order.target, counters=order.counters, **whose
                )

    def _steps(self) -> TrialSteps:
        return TrialSteps(self._apply, self._prove, self._report, self._probe)

    async def _apply(self, config: Config) -> None:
        self.running = config
        trial = self.deployment.ledger.trial is not None
        self._reasons = ["panic: its rule fails"] if self.fault == "unhealthy" and trial else []

    async def _prove(self) -> None:
        await self.connected.wait()
        await asyncio.sleep(self.prove_s)

    async def _probe(self, _within_s: float) -> list[str]:
        if self.fault == "rolls_back":
            raise BrokenSourceError("board: sends nothing; it worked before the push")
        return []

    async def _report(self) -> None:
        self._publish("config/reported", self.deployment.reported())
        state = "degraded" if self._reasons else "online"
        config = self.deployment.ledger.active_fields()
        self._publish("status", {"state": state, "reasons": self._reasons, "config": config})

    async def _refuse_push(self, body: Mapping[str, Any], errors: Sequence[Mapping[str, str]]) -> None:
        named = {key: body[key] for key in ("revision", "sha256") if key in body}
        refused = {"state": "rejected", "errors": list(errors)}
        self._publish("config/reported", {**self.deployment.reported(), **named, **refused})

    async def _send_result(
        self, result: Mapping[str, Any], _remember: Mapping[str, bytes] = MappingProxyType({})
    ) -> None:
        self._publish("command/result", result, retain=False)

    def _publish(self, topic: str, fields: Mapping[str, Any], *, retain: bool = True) -> None:
        if self._connection is not None:
            self._connection.publish(
                self._topic(topic), encode({"id": new_id(), "device": self.name, **fields}), 1, retain
            )

    def _topic(self, below: str) -> str:
        return f"{ROOT}/{self.name}/{below}"


def _no_output(*_: object) -> None:
    raise ValueError("a stand-in has no outputs")


async def _no_alert(_: bytes) -> bool:
    """A stand-in has no alerts."""
    return False


def names(count: int) -> list[str]:
    """boat-001, boat-002 …"""
    return [f"boat-{number:03}" for number in range(1, count + 1)]


async def run_fleet(url: str, folder: Path, roles: Path, count: int, faults: Mapping[str, Fault]) -> None:
    """Runs ``count`` stand-ins until it is cancelled; prints a line once all are there."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    devices = [StandIn(name, url, folder, roles, faults.get(name)) for name in names(count)]
    tasks = [asyncio.ensure_future(device.run()) for device in devices]
    for device in devices:
        await device.connected.wait()
    print(json.dumps({"devices": len(devices)}), flush=True)  # noqa: T201
    stopped = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in done - {stopped}:
        one.result()  # a stand-in that died ends the fleet with its error


def main() -> None:
    """The stand-ins as a process of their own."""
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("--broker", required=True)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--roles", type=Path, required=True)
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--fault", action="append", default=[], metavar="DEVICE=FAULT")
    given = options.parse_args()
    set_up_log("error")
    faults: dict[str, Any] = dict(fault.split("=", 1) for fault in given.fault)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_fleet(given.broker, given.folder, given.roles, given.count, faults))
