"""One real agent of a fleet, with a sensor board on a socket pair, in a context of its own."""

import asyncio
import contextvars
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from agent.app import Agent
from agent.config.deployment import Deployment
from agent.domain.message import SIMULATED_ROOT, Message
from agent.host.clock import unix_s
from agent.outbox.outbox import Outbox
from firmware_bridge.serial.port import use_ports
from simulators.devices import Board
from simulators.virtual.ports import VirtualLine, VirtualPorts

PORT = "/dev/sim/board"
PRESSED_S = 1.0
"""How long a button is held down."""


def config(name: str, url: str) -> dict[str, Any]:
    """A watch point."""
    return {
        "schema_version": 1, "device": name, "kind": "watch_point",
        "place": {
            "ring": "inner_city", "domain": "ground", "site": "fleet", "post": name,
            "lat": 32.02, "lon": 118.79,
        },
        "broker": {"url": url}, "data": {"max_mb": 64},
        "sources": {"board": {"kind": "sensor_board", "port": PORT, "outputs": ["siren"]}},
        "rules": {
            "panic": {"kind": "switch", "source": "board", "name": "panic_button", "severity": "critical"},
            "tamper": {"kind": "switch", "source": "board", "name": "tamper", "severity": "warning"},
            "board-silent": {"kind": "silence", "source": "board", "after": "15s", "severity": "critical"},
        },
    }  # fmt: skip


class Member:
    """``pressed`` counts the presses of the panic button."""

    def __init__(self, name: str, url: str, folder: Path, seed: int) -> None:
        self.name = name
        self.pressed: list[int] = []
        """The numbers of the board's events."""
        self.raised: dict[str, str] = {}
        """By the id of the message: the id of the alert that it began."""
        self.link_lost_s: float | None = None
        self.link_back_s: float | None = None
        own = folder / name
        own.mkdir(parents=True)
        path = own / "config.json"
        path.write_text(json.dumps(config(name, url)))
        deployment = Deployment.boot(path, own / "data" / "config")
        self.outbox = Outbox.open(own / "data", deployment.config.outbox_bytes())
        self.outbox.on_put = self._on_put
        self.agent = Agent(deployment, self.outbox, own / "data", SIMULATED_ROOT)
        line = VirtualLine(asyncio.get_running_loop(), PORT)
        self.board = Board(line, seed=seed)
        context = contextvars.copy_context()
        context.run(use_ports, VirtualPorts(lambda: [line]))
        context.run(structlog.contextvars.bind_contextvars, device=name)
        loop = asyncio.get_running_loop()
        self.hardware = loop.create_task(self.board.run())
        self.task = loop.create_task(self.agent.run(), context=context)

    @property
    def ready(self) -> bool:
        """Whether it is connected, and its board has introduced itself. RuntimeError where it has ended."""
        if self.task.done():
            raise RuntimeError(f"{self.name} ended: {self.task.exception()!r}")
        if self.hardware.done():
            raise RuntimeError(f"the board of {self.name} ended: {self.hardware.exception()!r}")
        return self.agent.link.connected_url is not None and any(
            self.agent.health.working(asyncio.get_running_loop().time())
        )

    async def press(self) -> None:
        """The panic button, down and up."""
        self.pressed.append(self.board.press("panic_button"))
        await asyncio.sleep(PRESSED_S)
        self.board.press("panic_button", on=False)

    def watch_link(self) -> None:
        """Notes when the link went and came back; called several times a second during a storm."""
        up = self.agent.link.connected_url is not None
        if not up and self.link_lost_s is None:
            self.link_lost_s = unix_s()
        elif up and self.link_lost_s is not None and self.link_back_s is None:
            self.link_back_s = unix_s()

    async def result(self) -> dict[str, Any]:
        """In JSON: presses that the agent took, alerts that it raised, and those on its disk."""
        on_disk = {row.id for row in await self.outbox.by_id(list(self.raised))}
        taken = [event for event in self.pressed if event in self.board.acknowledged]
        return {
            "device": self.name, "pressed": len(self.pressed), "taken": len(taken), "raised": self.raised,
            "on_disk": sorted(on_disk), "link_lost_s": self.link_lost_s, "link_back_s": self.link_back_s,
        }  # fmt: skip

    async def stop(self) -> None:
        """The agent says goodbye."""
        self.task.cancel()
        await asyncio.wait([self.task])
        self.hardware.cancel()
        self.outbox.close()

    def _on_put(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.lane == "alert":
                alert = json.loads(message.body)["alert"]
                if alert["phase"] == "new" and alert["rule"] == "panic":
                    self.raised[message.id] = alert["alert_id"]
