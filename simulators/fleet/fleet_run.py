"""One run of a fleet: broker, centre, agents, thin clients, presses, and a storm where one is asked for."""

import asyncio
import json
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.domain.message import SIMULATED_ROOT
from agent.host.clock import unix_s
from centre.open_database import open_database
from simulators.broker import LocalBroker, mosquitto_path
from simulators.fleet.children import Child
from simulators.fleet.monitor import Monitor
from simulators.fleet.result import FleetData, Stored, summarise
from simulators.fleet.usage import Usage, usage

PER_PROCESS = 50
"""Agents in one process."""
THIN_PER_PROCESS = 500
PER_AGENT, SPARE = 14, 200
"""Descriptors of an agent, and of everything else in a process."""
STORM_S = 3.0
"""How long the broker is away."""
RECORDED_WITHIN_S = 120.0
_STORED = "SELECT device, id, at, received_at, body FROM message WHERE topic = 'alert'"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What is run: ``minutes`` from the moment that all are connected."""

    agents: int = 50
    thin: int = 0
    minutes: float = 2.0
    storm: bool = False
    press_every_s: float = 20.0
    """Of each agent, on average."""
    per_process: int = PER_PROCESS
    seed: int = 0


def check_machine(plan: FleetPlan) -> None:
    """Raises the limit of descriptors as far as allowed. OSError with one line where the run can't work."""
    if mosquitto_path() is None:
        raise FileNotFoundError("mosquitto is not installed; install it, as with apt-get install mosquitto")
    clients = plan.agents + plan.thin + SPARE
    own = min(plan.agents, plan.per_process) * PER_AGENT + SPARE
    needed = max(clients, own, min(plan.thin, THIN_PER_PROCESS) + SPARE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OSError(
            f"one process needs {needed} descriptors, and {hard} are allowed: ulimit -Hn {needed}, or fewer"
            " devices"
        )
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def run_fleet(plan: FleetPlan, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The result of `simulators.fleet.result.summarise`. OSError where a part can't be started, or ends."""
    check_machine(plan)
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(LocalBroker("mosquitto", persistent=True))
        return await _Run(plan, folder, say, broker, stack).run()


class _Run:
    def __init__(
        self,
        plan: FleetPlan,
        folder: Path,
        say: Callable[[str], None],
        broker: LocalBroker,
        stack: AsyncExitStack,
    ) -> None:
        self._plan, self._folder, self._say = plan, folder, say
        self._broker, self._stack = broker, stack
        self._agents: list[Child] = []
        self._thin: list[Child] = []
        self._db = folder / "centre.db"

    async def run(self) -> dict[str, Any]:
        monitor = Monitor(self._broker.url, "fleet-0001")
        watching = asyncio.ensure_future(monitor.run())
        self._stack.callback(watching.cancel)
        centre = await self._start(
            "the centre", "agent", "centre", "--broker", self._broker.url, "--db", str(self._db),
            "--root", SIMULATED_ROOT,
        )  # fmt: skip
        drained = asyncio.ensure_future(centre.read_all())
        self._stack.callback(drained.cancel)
        await self._start_agents()
        if self._plan.thin:
            await self._start_thin(monitor)
        services = {"broker": self._broker.pid, "centre": centre.pid}
        before, began_s = {name: usage(pid) for name, pid in services.items()}, time.monotonic()
        self._tell("go")
        storm_s = await self._wait(60 * self._plan.minutes)
        if storm_s is not None:  # another process is the broker now
            del services["broker"]
        used = _used(services, before, time.monotonic() - began_s)
        self._say("no more presses; waiting for what is on its way")
        self._tell("stop")
        thin = [await child.until("messages_per_s") for child in self._thin]
        agents = [await child.until("results") for child in self._agents]
        for child in (*self._agents, *self._thin, centre):
            await child.end()
        return summarise(
            FleetData(
                agents, thin, self._stored(), monitor.receipt_s, monitor.sent, storm_s=storm_s, services=used
            )
        )

    async def _start(self, name: str, module: str, *words: str) -> Child:
        child = await Child.start(name, module, *words)
        self._stack.push_async_callback(child.end)
        return child

    async def _start_agents(self) -> None:
        plan = self._plan
        for first in range(1, plan.agents + 1, plan.per_process):
            count = min(plan.per_process, plan.agents + 1 - first)
            child = await self._start(
                f"the process of the agents {first} to {first + count - 1}", "simulators.fleet.agents",
                "--broker", self._broker.url, "--folder", str(self._folder / "agents"),
                "--first", str(first), "--count", str(count), "--seed", str(plan.seed),
                "--press-every", str(plan.press_every_s),
            )  # fmt: skip
            self._agents.append(child)
        await self._until_ready(self._agents, "started", f"of {plan.agents} agents run")

    async def _start_thin(self, monitor: Monitor) -> None:
        async with asyncio.timeout(RECORDED_WITHIN_S):
            await monitor.telemetry_recorded.wait()
        template = self._folder / "template.json"
        template.write_text(json.dumps(list(monitor.recorded.values())))
        for first in range(1, self._plan.thin + 1, THIN_PER_PROCESS):
            count = min(THIN_PER_PROCESS, self._plan.thin + 1 - first)
            child = await self._start(
                "the thin clients", "simulators.fleet.thin", "--broker", self._broker.url,
                "--template", str(template), "--first", str(first), "--count", str(count),
            )  # fmt: skip
            self._thin.append(child)
        await self._until_ready(self._thin, "connected", f"of {self._plan.thin} thin clients are connected")

    async def _until_ready(self, children: list[Child], key: str, text: str) -> None:
        said = ""

        def progress() -> None:
            nonlocal said
            line = f"{sum(child.said.get(key, 0) for child in children)} {text}"
            if line != said:
                self._say(said := line)

        await asyncio.gather(*(child.until("ready", progress) for child in children))

    async def _wait(self, seconds: float) -> tuple[float, float] | None:
        """Lets the run go on; the storm is in its middle."""
        if not self._plan.storm:
            await asyncio.sleep(seconds)
            return None
        await asyncio.sleep(seconds / 2)
        self._tell("storm", self._agents)
        self._say(f"the broker is away for {STORM_S:g} s")
        down_s = unix_s()
        await asyncio.to_thread(self._broker.stop)
        await asyncio.sleep(STORM_S)
        await asyncio.to_thread(self._broker.start)
        back_s = unix_s()
        self._say("the broker is back")
        await asyncio.sleep(seconds / 2)
        return down_s, back_s

    def _tell(self, word: str, children: list[Child] | None = None) -> None:
        for child in children or (*self._agents, *self._thin):
            child.tell(word)

    def _stored(self) -> dict[str, dict[str, Stored]]:
        """The messages in the centre's database that began an alert of the panic button."""
        found: dict[str, dict[str, Stored]] = {}
        database = open_database(self._db)
        try:
            for device, message_id, at, received_at, body in database.execute(_STORED).fetchall():
                alert = json.loads(body)["alert"]
                if alert["phase"] == "new" and alert["rule"] == "panic":
                    stored = Stored(alert["alert_id"], at, received_at)
                    found.setdefault(device, {})[message_id] = stored
        finally:
            database.close()
        return found


def _used(pids: Mapping[str, int], before: Mapping[str, Usage], took_s: float) -> dict[str, Any]:
    return {name: usage(pid).since(before[name], took_s) for name, pid in pids.items()}
