"""A device under test: the real agent in a process of its own, a real broker, ptys, a video stream, the centre."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.domain.message import ROOT, encode, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.runtime.supervisor import supervise
from centre.server import Centre
from simulators.broker import Kind, LocalBroker, mosquitto_path
from simulators.devices import Board, Receiver
from simulators.scene import Scene, VideoStream, stream
from simulators.wire import Wire
from tests.signing import CENTRE_KEY, signed, signed_command, write_keys
from tests.thorough import all_or

BROKER: Kind = "mosquitto" if mosquitto_path() else "rumqttd"
NEEDS_MOSQUITTO = pytest.mark.skipif(
    mosquitto_path() is None, reason="needs mosquitto: apt-get install mosquitto"
)
BROKERS = ["rumqttd", pytest.param("mosquitto", marks=NEEDS_MOSQUITTO)]
ANY_BROKER = all_or([BROKER], BROKERS)
"""For what does not depend on the broker: `test_promises`, `test_centre` and `test_desk` compare the two."""

CONFIG = """\
schema_version: 1
device: rig-1
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: rig, post: north}}
broker: {{url: "{broker}", resend_after: 5s}}
reporting: {{telemetry_every: 1s, position_every: 1s, health_every: 5s}}
sources:
  gnss: {{kind: nmea, port: "{folder}/gnss"}}
  board: {{kind: sensor_board, port: "{folder}/board"}}
{camera}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical}}
  tamper: {{kind: switch, source: board, name: tamper, severity: warning}}
  quiet: {{kind: silence, source: gnss, after: 2s}}
{camera_rule}
"""
CAMERA = """\
  cam1:
    kind: camera
    url: "{url}"
    purpose: a test
    fps: 2
    detector: {{labels: [person]}}
    zones: {{rail: [[0.25, 0.6], [0.75, 0.6], [0.75, 1.0], [0.25, 1.0]]}}
"""
CAMERA_RULE = "  rail: {kind: zone_dwell, camera: cam1, zone: rail, dwell: 3s, severity: critical}"

AGENT = """
from agent.__main__ import main
from agent.control import probe
from agent.evidence import people_search

assert people_search.REDACTION_LIMIT_S == 20
people_search.REDACTION_LIMIT_S = 300.0
probe.MAX_S = 300.0
main()
"""
"""The command line, with two limits raised: a busy machine is not taken for a detector or camera that hangs."""


class Rig:
    """All that is around one agent."""

    def __init__(self, folder: Path, broker: LocalBroker) -> None:
        self.folder = folder
        self.broker = broker
        self.db = folder / "centre.db"
        self.log_file = folder / "agent.log"
        self.config = folder / "agent.yaml"
        self.key_file = folder / "root.pem"
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.agent: subprocess.Popen[bytes] | None = None
        self.gnss: Wire
        self.line: Wire
        self.board: Board
        self.camera: VideoStream | None = None
        self.centre: Centre
        self.serving: asyncio.Task[None]

    def write_config(self, text: str | None = None) -> str:
        camera = CAMERA.format(url=self.camera.url) if self.camera else ""
        text = text or CONFIG.format(
            folder=self.folder,
            broker=self.broker.url,
            camera=camera,
            camera_rule=CAMERA_RULE if camera else "",
        )
        if "roles:" not in text:
            text = text.replace("schema_version: 1\n", "schema_version: 1\nroles: roles.json\n", 1)
        self.key_file = write_keys(self.folder)
        self.config.write_text(text)
        return text

    async def order(self, topic: str, *, nonce: bool = False, retain: bool = False, **body: Any) -> None:
        """Publishes a signed order of a person with all roles; ``nonce``: with a nonce of this session."""
        kind, _, name = topic.partition("/")
        given = await self.challenge() if nonce else None
        if kind == "command":
            payload = signed_command("rig-1", name, body, given)
        else:
            payload = signed("ack" if kind == "alert" else "push", "rig-1", body, given)
        await self.publish(topic, payload, retain=retain)

    async def challenge(self) -> str:
        """A nonce of the device."""
        command_id = new_id()

        def answers() -> list[str]:
            return [
                body["nonce"]
                for topic, body in self.heard
                if topic == "command/result" and body.get("command_id") == command_id
            ]

        await self.publish("command/challenge", encode({"id": command_id}))
        await self.until(lambda: bool(answers()), what="a nonce")
        return answers()[0]

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publishes below the device's topics, at the broker where it is."""
        connection = Connection(Broker(url=self.broker.url), f"desk-{new_id()[-6:]}", None)
        await connection.open()
        connection.publish(f"{ROOT}/rig-1/{topic}", payload, 1, retain)
        await connection.event(2)
        connection.close()

    def start_agent(self) -> None:
        log = self.log_file.open("ab")
        command = [sys.executable, "-c", AGENT, "run", str(self.config), "--data", str(self.folder / "data")]
        root = Path(__file__).resolve().parents[2]
        self.agent = subprocess.Popen(command, stderr=log, stdout=log, cwd=root)
        log.close()

    def end_agent(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.agent is not None
        os.kill(self.agent.pid, how)
        code = self.agent.wait(60)
        self.agent = None
        return code

    def start_centre(self) -> None:
        self.centre = Centre(
            self.db,
            Broker(url=self.broker.url),
            ROOT,
            lambda _, topic, body: self.heard.append((topic, body)),
            key=CENTRE_KEY,
        )
        job = supervise("centre", self.centre.run, lambda _: None, longest_wait_s=0.5)
        self.serving = asyncio.ensure_future(job)

    async def stop_centre(self) -> None:
        self.serving.cancel()
        await asyncio.wait([self.serving])
        self.centre.close()

    def log(self) -> str:
        return self.log_file.read_text()

    def alerts(self, rule: str) -> list[tuple[str, str]]:
        """(alert_id, phase) of a rule, as they came from the broker."""
        return [
            (body["alert"]["alert_id"], body["alert"]["phase"])
            for topic, body in self.heard
            if topic == "alert" and body["alert"]["rule"] == rule
        ]

    def stored(self, rule: str) -> dict[str, list[str]]:
        """Phases by alert_id in the centre's database, in the order of their numbers."""
        with sqlite3.connect(self.db) as db:
            rows = db.execute("SELECT body FROM message WHERE topic = 'alert' ORDER BY epoch, seq").fetchall()
        found: dict[str, list[str]] = {}
        for (text,) in rows:
            alert = json.loads(text)["alert"]
            if alert["rule"] == rule:
                found.setdefault(alert["alert_id"], []).append(alert["phase"])
        return found

    def last(self, topic: str) -> dict[str, Any]:
        return next((body for heard, body in reversed(self.heard) if heard == topic), {})

    async def until(self, check: Callable[[], bool], within_s: float = 120.0, what: str = "") -> None:
        try:
            async with asyncio.timeout(within_s):
                while not check():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            told = [
                (topic, body.get("alert", body.get("state", "")))
                for topic, body in self.heard
                if topic in ("alert", "status")
            ]
            raise AssertionError(
                f"{what or 'it'} did not come in {within_s:g} s; heard {told[-8:]}; {self.last('status').get('reasons')}\n{self.log()[-3000:]}"
            ) from None


@asynccontextmanager
async def rig(folder: Path, kind: Kind, scene: Scene | None = None) -> AsyncIterator[Rig]:
    """A rig with everything running but the agent."""
    async with AsyncExitStack() as stack:
        made = Rig(folder, stack.enter_context(LocalBroker(kind)))
        made.gnss = stack.enter_context(Wire(folder / "gnss"))
        made.line = stack.enter_context(Wire(folder / "board"))
        made.board = Board(made.line)
        if scene is not None:
            made.camera = await stack.enter_async_context(stream(scene))
        made.start_centre()
        receiver = Receiver(made.gnss, lat=32.1, lon=118.7, hz=5)
        tasks = [asyncio.ensure_future(job) for job in (receiver.run(), made.board.run())]
        try:
            await asyncio.wait_for(made.centre.ready.wait(), 60)
            made.write_config()
            yield made
        finally:
            if made.agent is not None:
                made.end_agent(signal.SIGKILL)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await made.stop_centre()
