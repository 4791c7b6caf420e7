"""A stage in virtual time: real agents, a broker and a centre, all in one loop.

async def main() -> None:
    async with VirtualStage(folder, seed=7) as stage:
        device = stage.add_device("post-1", config)
        await device.start()
        await stage.sleep_until(120)

run_virtual(main)
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.domain.message import SIMULATED_ROOT
from agent.host.clock import use_clock
from agent.runtime.sanitize import json_object
from agent.trust.order import peek_body
from agent.trust.roles import sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from simulators.run_record import RunRecord
from simulators.virtual.broker import VirtualBroker
from simulators.virtual.centre import NAME as CENTRE
from simulators.virtual.centre import VirtualCentre
from simulators.virtual.desk import VirtualDesk
from simulators.virtual.device import VirtualDevice
from simulators.virtual.host import SeededEntropy, VirtualClock, virtual_loop
from simulators.virtual.loop import run_on_virtual_loop
from simulators.virtual.mqtt_packets import Publish
from simulators.virtual.network import VirtualNetwork

T = TypeVar("T")

AT = datetime(2026, 11, 28, 4, tzinfo=UTC)
"""The wall clock at the start of a run that names no other."""
ADDRESS = ("127.0.0.1", 1883)
URL = "mqtt://127.0.0.1:1883"
ROLES = "roles.json"
Listener = Callable[[str, str, Mapping[str, Any]], None]


def run_virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Runs ``main()`` in virtual time; its result."""
    return run_on_virtual_loop(main)


class VirtualStage:
    """See `simulators.stage.Stage`. ``folder`` gets a folder for each device, and the centre's database."""

    clock = "virtual"

    def __init__(
        self, folder: Path, *, seed: int = 0, at: datetime = AT, world: Any = None, centre_workers: int = 1
    ) -> None:
        """``centre_workers``: the processes of the centre; one alone needs no shared subscription."""
        self.seed = seed
        self.world = world
        self.record = RunRecord(self.now_s)
        self.devices: dict[str, VirtualDevice] = {}
        self._folder = folder
        self._at = at
        self._loop = virtual_loop()
        self._began_s: float | None = None
        self._listeners: list[Listener] = []
        self.root_key, self.centre_key = seeded_key(seed, "root"), seeded_key(seed, "centre")
        """Of the run: the one has all roles, the other signs receipts."""
        self.broker = VirtualBroker(self._loop, seed)
        self.broker.listen(self._published)
        self._servers = {ADDRESS: self.broker}
        clock = self._wall_clock = VirtualClock(self._loop, at, CENTRE)
        use_clock(clock)  # for hardware that is made in this context
        self.desk = VirtualDesk(self.broker, self.root_key, clock, SeededEntropy(seed, "desk", clock))

        def network(name: str) -> VirtualNetwork:
            return VirtualNetwork(self.broker.route(name), self._servers)

        self.centre = VirtualCentre(
            folder / "centre.db", URL, network, clock, self.record, self.centre_key, seed, centre_workers
        )

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        await self.centre.start()
        self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends everything at once."""
        for device in self.devices.values():
            device.end()
        self.centre.end()

    def begin(self) -> None:
        """The run begins now; before, it is second 0. By default it begins when the stage is entered."""
        self._began_s = self._loop.now_s

    def now_s(self) -> float:
        return 0.0 if self._began_s is None else self._loop.now_s - self._began_s

    async def sleep_until(self, second: float) -> None:
        await asyncio.sleep(max(0.0, second - self.now_s()))

    def add_device(self, name: str, config: Mapping[str, Any]) -> VirtualDevice:
        """A device with its folder and configuration; it does not run yet."""
        place = self._folder / name
        place.mkdir()
        roles = sign_roles(small_team_roles(self.root_key, self.centre_key), [self.root_key])
        (place / ROLES).write_bytes(roles)
        device = VirtualDevice(
            name, config, place, broker=self.broker, servers=self._servers, record=self.record,
            desk=self.desk, seed=self.seed, at=self._at,
        )  # fmt: skip
        self.devices[name] = device
        return device

    def on_message(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def _published(self, publisher: str, message: Publish) -> None:
        """The broker took a message."""
        device, _, topic = message.topic.removeprefix(SIMULATED_ROOT + "/").partition("/")
        if publisher.partition("/")[0] == CENTRE:
            if topic == "receipt":
                self.record.event("receipt", device, ids=peek_body(message.payload).get("ids", []))
            return
        if publisher not in self.devices:
            return
        if device != publisher or not message.topic.startswith(f"{SIMULATED_ROOT}/"):
            self.record.message("", message.topic, {})  # nothing of a simulation may come out there
            return
        if topic.startswith("media/"):
            second, size = round(self.now_s(), 6), len(message.payload)
            self.record.messages.append({"t": second, "device": device, "topic": topic, "size": size})
            return
        body = json_object(message.payload)
        if body is None:  # a retained message that is cleared
            return
        self.record.message(device, topic, body)
        if self._listeners:  # in a context of their own: a timer of the broker has the machine's clock
            copy_context().run(self._tell_listeners, device, topic, body)

    def _tell_listeners(self, device: str, topic: str, body: Mapping[str, Any]) -> None:
        use_clock(self._wall_clock)
        for listener in self._listeners:
            listener(device, topic, body)


def seeded_key(seed: int, name: str) -> SigningKey:
    """A key of the run, from its seed: good for simulation only."""
    secret = hashlib.sha256(f"ringpost simulation {seed} {name}".encode()).digest()
    return SigningKey(Ed25519PrivateKey.from_private_bytes(secret))
