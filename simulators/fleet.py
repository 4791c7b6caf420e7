"""Light stand-ins for devices, many in one process: real pushes, no hardware.

Each has its own connection, its own configuration file and ledger, and answers pushes with the agent's own
`Deployment`. ``python -m simulators.fleet --broker URL --count 200 --folder DIR``.
"""

import argparse
import asyncio
import contextlib
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.config.trial import BrokenSourceError, TrialSteps
from agent.domain.message import ROOT, encode
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.reporting.birth import birth_fields
from agent.runtime.logging_setup import set_up_log

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
    fault: Fault | None = None
    prove_s: float = 0.05
    """How long the proof of a push takes."""

    def __post_init__(self) -> None:
        self._connection: Connection | None = None
        self.connected = asyncio.Event()
        self._payloads: asyncio.Queue[bytes] = asyncio.Queue()
        self._reasons: list[str] = []
        own = self.folder / self.name
        own.mkdir(parents=True, exist_ok=True)
        local = own / "agent.yaml"
        if not local.exists():
            ring = RINGS[sum(self.name.encode()) % len(RINGS)]
            local.write_text(CONFIG.format(name=self.name, url=self.url, ring=ring))
        self.deployment = Deployment.boot(local, own / "config")
        self.running: Config = self.deployment.config

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
                    self.connected.set()
                    connection.subscribe([self._topic("config/desired")])
                    await self._report()
                    self._publish("birth", birth_fields(self.running))
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
                    if message.payload and self.fault != "mute":
                        self._payloads.put_nowait(message.payload)

    async def _take_pushes(self) -> None:
        steps = TrialSteps(self._apply, self._prove, self._report, self._probe)
        while True:
            await self.deployment.handle(await self._payloads.get(), steps)

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

    def _publish(self, topic: str, fields: Mapping[str, Any]) -> None:
        if self._connection is not None:
            self._connection.publish(self._topic(topic), encode({"device": self.name, **fields}), 1, True)

    def _topic(self, below: str) -> str:
        return f"{ROOT}/{self.name}/{below}"


def names(count: int) -> list[str]:
    """boat-001, boat-002 …"""
    return [f"boat-{number:03}" for number in range(1, count + 1)]


async def run_fleet(url: str, folder: Path, count: int, faults: Mapping[str, Fault]) -> None:
    """Runs ``count`` stand-ins until it is cancelled; prints a line once all are there."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    devices = [StandIn(name, url, folder, faults.get(name)) for name in names(count)]
    tasks = [asyncio.ensure_future(device.run()) for device in devices]
    for device in devices:
        await device.connected.wait()
    print(json.dumps({"devices": len(devices)}), flush=True)  # noqa: T201
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """The stand-ins as a process of their own."""
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("--broker", required=True)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--fault", action="append", default=[], metavar="DEVICE=FAULT")
    given = options.parse_args()
    set_up_log("error")
    faults: dict[str, Any] = dict(fault.split("=", 1) for fault in given.fault)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_fleet(given.broker, given.folder, given.count, faults))


if __name__ == "__main__":
    main()
