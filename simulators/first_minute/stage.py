"""A device with all around it: simulated hardware, broker and centre here, the agent in a process of its own.

The agent is restarted when it ends, as its service manager would. Whatever is done to it goes through the
same ways as in the field: a wire, the lens, the broker, a signal, a signed push.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from agent.cli.fleet_link import fleet_link
from agent.cli.revisions import next_revision
from agent.cli.signing import DeskSigner
from agent.domain.message import SIMULATED_ROOT
from agent.mqtt.broker import Broker
from agent.runtime.supervisor import supervise
from agent.trust.roles import sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from centre.server import Centre
from simulators.broker import LocalBroker

RESTART_S = 2.0
"""As `RestartSec` of the unit."""

OnMessage = Callable[[str, str, dict[str, Any]], None]
"""Takes device, topic and body of each message that the centre has committed."""


class Stage:
    """Made by `stage`. ``signer`` signs orders for the device with the only key that its roles name."""

    def __init__(
        self, folder: Path, broker: LocalBroker, signer: DeskSigner, config: Mapping[str, Any]
    ) -> None:
        self.folder, self.broker, self.signer = folder, broker, signer
        self.config = config
        self.device: str = config["device"]
        self.agent: asyncio.subprocess.Process | None = None
        self.starts = 0
        """How often the agent was started."""
        self.latest: dict[str, dict[str, Any]] = {}
        """By topic: the newest message that the centre has committed."""

    @property
    def data(self) -> Path:
        """The data directory of the agent."""
        return self.folder / "data"

    async def run_agent(self) -> None:
        """Keeps the agent running until it is cancelled; a SIGTERM then lets it end cleanly."""
        command = [sys.executable, "-m", "simulators.first_minute.agent_process"]
        log = (self.folder / "agent.log").open("ab")
        try:
            while True:
                self.starts += 1
                self.agent = await asyncio.create_subprocess_exec(
                    *command, str(self.folder / "config.yaml"), str(self.data),
                    stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log,
                )  # fmt: skip
                await self.agent.wait()
                await asyncio.sleep(RESTART_S)
        finally:
            if self.agent is not None and self.agent.returncode is None:
                self.agent.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.agent.wait(), 10)
                if self.agent.returncode is None:
                    self.agent.kill()
            log.close()

    def kill_agent(self) -> None:
        """Ends the agent as a power cut would; it is started again."""
        if self.agent is not None and self.agent.returncode is None:
            self.agent.kill()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Sends ``payload`` to the device on ``topic`` below its own. OSError: no broker."""
        own = f"{SIMULATED_ROOT}/{self.device}"
        async with fleet_link(self.broker.url, SIMULATED_ROOT, [f"{own}/status"]) as link:
            await link.publish(f"{own}/{topic}", payload)

    async def push(self, patch: Mapping[str, Any], confirm_within_s: float = 60) -> None:
        """Pushes a merge patch of the configuration, signed; the answer comes as ``config/reported``."""
        revision = next_revision(self.latest.get("config/reported", {}))
        fields = {"revision": revision, "patch": patch, "confirm_within_s": confirm_within_s}
        await self.publish("config/desired", self.signer.push(self.device, fields))

    async def stop_broker(self, for_s: float) -> None:
        """Stops the broker, and starts it again on the same port."""
        await asyncio.to_thread(self.broker.stop)
        await asyncio.sleep(for_s)
        await asyncio.to_thread(self.broker.start)


@asynccontextmanager
async def stage(folder: Path, config: Mapping[str, Any], on_message: OnMessage) -> AsyncIterator[Stage]:
    """A stage in ``folder`` while the block runs; ``config`` lacks the broker and the roles document.

    OSError where the broker does not start.
    """

    def commit(device: str, topic: str, body: dict[str, Any]) -> None:
        this.latest[topic] = body
        on_message(device, topic, body)

    async with AsyncExitStack() as stack:
        broker = LocalBroker()
        await asyncio.to_thread(broker.start)
        stack.callback(broker.stop)
        root, centre_key = SigningKey.generate(), SigningKey.generate()
        root.save(folder / "root.pem")
        (folder / "roles.json").write_bytes(sign_roles(small_team_roles(root, centre_key), [root]))
        whole = {**config, "broker": {"url": broker.url}, "roles": "roles.json"}
        _write_yaml(folder / "config.yaml", whole)
        this = Stage(folder, broker, DeskSigner([root], [folder / "root.pem"]), whole)
        centre = Centre(folder / "centre.db", Broker(url=broker.url), SIMULATED_ROOT, commit, key=centre_key)
        stack.callback(centre.close)
        tasks = [
            asyncio.ensure_future(supervise("centre", centre.run, lambda _: None, longest_wait_s=1.0)),
            asyncio.ensure_future(this.run_agent()),
        ]
        try:
            yield this
        finally:
            tasks[1].cancel()
            await asyncio.gather(tasks[1], return_exceptions=True)
            tasks[0].cancel()
            await asyncio.gather(tasks[0], return_exceptions=True)


def _write_yaml(path: Path, config: Mapping[str, Any]) -> None:
    from ruamel.yaml import YAML

    with path.open("w") as file:
        YAML(typ="safe").dump(dict(config), file)
