"""One simulated device: the real agent in a context of its own, its hardware, its folder."""

import asyncio
import contextvars
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from agent.app import Agent
from agent.config.deployment import Deployment
from agent.config.simulated_sources import allow_simulated_sources
from agent.domain.message import SIMULATED_ROOT, Message
from agent.host.clock import use_clock
from agent.host.disk import use_disk
from agent.host.entropy import use_entropy
from agent.host.machine import use_machine
from agent.host.network import use_network
from agent.host.threads import use_threads
from agent.outbox.outbox import Outbox
from agent.runtime.process import make_private
from agent.vision.camera import use_cameras
from firmware_bridge.serial.port import use_ports
from simulators.run_record import RunRecord
from simulators.stage import NotInVirtualTimeError
from simulators.virtual.broker import VirtualBroker
from simulators.virtual.camera import Scenery, VirtualCamera, VirtualCameras
from simulators.virtual.desk import VirtualDesk
from simulators.virtual.disk import VirtualDisk
from simulators.virtual.host import InlineThreads, SeededEntropy, VirtualClock, virtual_loop
from simulators.virtual.incarnation import INCARNATION, Incarnation
from simulators.virtual.machine import VirtualMachine
from simulators.virtual.network import Address, Server, VirtualNetwork
from simulators.virtual.ports import VirtualLine, VirtualPorts

CONFIG = "config.yaml"
DATA = "data"


class VirtualDevice:
    """See `simulators.stage.StagedDevice`. ``place`` holds its configuration file, data and machine."""

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any],
        place: Path,
        *,
        broker: VirtualBroker,
        servers: Mapping[Address, Server],
        record: RunRecord,
        desk: VirtualDesk,
        seed: int,
        at: datetime,
    ) -> None:
        self.name = name
        self.config = config
        self.folder = place / DATA
        self.starts = 0
        self.hardware: dict[str, Any] = {}
        self.lines: dict[str, VirtualLine] = {}
        self.cameras: dict[str, VirtualCamera] = {}
        """By URL."""
        self._loop = virtual_loop()
        self.clock = VirtualClock(self._loop, at, name)
        self.machine = VirtualMachine(place / "machine", lambda: self.disk.full)
        self.disk = VirtualDisk()
        self.route = broker.route(name)
        self.agent: Agent | None = None
        """The running agent."""
        self._file = place / CONFIG
        self._graveyard = place / "dead"
        self._network = VirtualNetwork(self.route, servers)
        self._broker = broker
        self._record = record
        self._desk = desk
        self._seed = seed
        self._process = Incarnation(name)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        """Whether somebody has asked the present life of the agent to end."""
        self._over = asyncio.Event()
        """Set once the present life of the agent has ended."""
        with self._file.open("w") as file:
            YAML(typ="safe").dump(dict(config), file)

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def add_camera(self, source: str, scenery: Scenery, now_s: Callable[[], float]) -> None:
        """The camera of a source, found by its URL; ``scenery``: what it looks at, ``now_s``: of the run."""
        camera = self.hardware[source] = VirtualCamera(scenery, now_s)
        self.cameras[self.config["sources"][source]["url"]] = camera

    async def start(self) -> None:
        """Starts the agent. OSError or BadConfig, as at a real start; RuntimeError where it runs already."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        self.starts += 1
        self._process = Incarnation(self.name)
        self._over.clear()
        self._stopping = False
        context = contextvars.copy_context()
        context.run(self._enter)
        work = context.run(self._boot)
        self._task = self._loop.create_task(work(), context=context)
        self._task.add_done_callback(self._ended)
        self._record.event("started", self.name, part="device")

    async def stop(self) -> None:
        """SIGTERM: it says goodbye."""
        if self._task is not None and not self._task.done():
            self._stopping = True
            self._task.cancel()
            await self._over.wait()

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs on; its disk stays as it is, and its connections are closed."""
        if self._end_process(self._network.close_all, lambda _: None):
            self._record.event("killed", self.name, part="device")

    def end(self) -> None:
        """At the end of the run: nothing of it runs on, and its disk is left to what it does last."""
        process, agent, self.agent, self._task = self._process, self.agent, None, None
        if agent is not None:
            process.dead = True
            self._dispose(process, agent, self._network.close_all)

    def crash(self) -> None:
        """Within a write of the agent, which then raises: nothing of it runs on; `kill` does the rest."""
        self._loop.silence(self._process)

    async def cut_power(self) -> None:
        """As `kill`, but nobody closes its connections, and the boot id changes."""

        def fall_silent() -> None:
            self._broker.fall_silent(self.name)
            self._network.close_all()

        if self._end_process(fall_silent, lambda frozen: self.disk.lose_unsynced(self.folder, frozen)):
            self._record.event("killed", self.name, part="device", power=False)
        self.clock.reboot()

    def set_throttled(self, bits: int) -> None:
        self.machine.set_throttled(bits)

    def set_hanging(self, hanging: bool) -> None:  # noqa: ARG002
        raise NotInVirtualTimeError("all devices of a run in virtual time share one process")

    async def push(self, config: str) -> None:
        """A signed push of a whole configuration."""
        self._desk.push(self.name, config)

    async def command(self, name: str, fields: Mapping[str, Any]) -> None:
        """A signed command; ``ack`` is a signed acknowledgement. TimeoutError where it gives no nonce."""
        await self._desk.command(self.name, name, fields)

    def _enter(self) -> None:
        """The context of this life of the agent."""
        INCARNATION.set(self._process)
        allow_simulated_sources()
        use_clock(self.clock)
        use_entropy(SeededEntropy(self._seed, f"{self.name}/{self.starts}", self.clock))
        use_threads(InlineThreads(self._loop))
        use_network(self._network)
        use_machine(self.machine)
        use_disk(self.disk)
        self.disk.began(self._process)
        use_ports(VirtualPorts(lambda: list(self.lines.values())))
        use_cameras(VirtualCameras(self.cameras))

    def _boot(self) -> Callable[[], Any]:
        """Reads the configuration and opens the outbox, as `agent.app.run` does."""
        deployment = Deployment.boot(self._file, self.folder / "config")
        outbox = Outbox.open(self.folder, deployment.config.outbox_bytes())
        make_private(self.folder)
        self._watch_outbox(outbox)
        agent = self.agent = Agent(deployment, outbox, self.folder, SIMULATED_ROOT)

        process = self._process

        async def work() -> None:
            try:
                await agent.run()
            finally:
                if not process.dead:  # else its disk thread never ends: `_end_process` closes the files
                    outbox.close()

        return work

    def _watch_outbox(self, outbox: Outbox) -> None:
        """Records each alert message that is durable."""
        storage, put, process = outbox.storage, outbox.storage.put, self._process
        alerts = storage.alerts

        def put_and_record(
            messages: Sequence[Message], remember: Any, delivered: Any, amended: Sequence[Message] = ()
        ) -> None:
            put(messages, remember, delivered, amended)
            if process.dead:  # what it does in its ``finally`` is not on the disk of the next life
                return
            if alerts.memory.count("alert") == 0 and alerts.store.path is not None:
                for message in messages:
                    if message.lane == "alert":
                        self._record.event("accepted", self.name, **_alert_fields(message))

        storage.put = put_and_record  # type: ignore[method-assign]

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """The agent ended by itself, or by `stop`."""
        if self._process.dead:
            return
        self._over.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._record.event("died", self.name, part="device", error=f"{type(error).__name__}: {error}")
        elif not self._stopping:
            self._record.event("died", self.name, part="device", error="it ended by itself")
        else:
            self._record.event("stopped", self.name, part="device")
        self.agent = None

    def _end_process(self, close_connections: Callable[[], None], lose: Callable[[Path], None]) -> bool:
        """Freezes the disk, and ends this life of the agent without a trace of its end."""
        process, agent, self.agent, self._task = self._process, self.agent, None, None
        if agent is None:
            return False
        process.dead = True
        self._graveyard.mkdir(exist_ok=True)
        frozen, dead = self._graveyard / "frozen", self._graveyard / "dead"
        shutil.copytree(self.folder, frozen, ignore=shutil.ignore_patterns("*.sock"), symlinks=True)
        lose(frozen)
        self.folder.rename(dead)
        self._dispose(process, agent, close_connections)
        shutil.rmtree(self.folder, ignore_errors=True)
        frozen.rename(self.folder)
        shutil.rmtree(self._graveyard, ignore_errors=True)
        return True

    def _dispose(self, process: Incarnation, agent: Agent, close_connections: Callable[[], None]) -> None:
        """Frees all that a dead agent had."""
        self._loop.end(process)
        self._over.set()
        close_connections()
        for line in self.lines.values():
            line.abandon()
        with suppress(Exception):
            agent.outbox.storage.close()
        with suppress(OSError):
            agent.audit.log._files.close()
        with suppress(OSError):
            os.close(agent.outbox._lock)


def _alert_fields(message: Message) -> dict[str, Any]:
    alert = json.loads(message.body).get("alert") or {}
    return {"id": message.id} | {key: alert.get(key) for key in ("alert_id", "phase", "rule")}
