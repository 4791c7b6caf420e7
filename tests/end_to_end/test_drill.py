"""The drill, and a new certificate, on a whole agent at the broker that we ship."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from agent.commands.requests import DrillRequest, RotateCertificate
from agent.config.deployment import Deployment
from agent.mqtt.broker import Broker
from agent.outbox.outbox import Outbox
from agent.runtime.supervisor import supervise
from centre.server import Centre
from simulators.broker import mosquitto_path
from tests.power_cut import copy_running
from tests.test_tls import certificate, mosquitto
from tests.waiting import until

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(mosquitto_path() is None, reason="needs mosquitto: apt-get install mosquitto"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt-get install openssl"),
]

CONFIG = """\
schema_version: 1
device: d1
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: rig, post: north}}
broker: {{url: "mqtts://127.0.0.1:{port}", ca: certs/ca.pem, cert: certs/d1.pem, key: {{file: certs/d1.key}}}}
drill: {{within: 60s}}
sources:
  board: {{kind: sensor_board, port: {folder}/none, outputs: [siren]}}
  cam1: {{kind: camera, url: "rtsp://127.0.0.1:9/1", purpose: a test, zones: {{rail: [[0, 0], [1, 0], [1, 1]]}}}}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical, need_ack: true,
    escalate: {{output: {{source: board, name: siren}}}}}}
  rail: {{kind: zone_dwell, camera: cam1, zone: rail, dwell: 20s, severity: critical, need_ack: true}}
"""


class Whole:
    """An agent in this process, the shipped broker with TLS, and the centre."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.certs = folder / "certs"
        self.heard: list[tuple[str, dict[str, Any]]] = []
        config = folder / "agent.yaml"
        config.write_text(CONFIG.format(port=port, folder=folder))
        self.config = config
        self.centre = Centre(
            folder / "centre.db",
            Broker(
                url=f"mqtts://127.0.0.1:{port}", ca=self.certs / "ca.pem",
                cert=self.certs / "ringpost-centre.pem", key={"file": self.certs / "ringpost-centre.key"},
            ),
            "ringpost/v1",
            lambda _, topic, body: self.heard.append((topic, body)),
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """One life of the agent."""
        data = self.folder / "data"
        deployment = Deployment.boot(self.config, data / "config")
        outbox = Outbox.open(data)
        agent = Agent(deployment, outbox, data)
        task = asyncio.ensure_future(agent.run())
        try:
            await until(lambda: agent.link.connected_url is not None)
            yield agent
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            outbox.close()

    def results(self, command_id: str) -> list[dict[str, Any]]:
        return [
            body
            for topic, body in self.heard
            if topic == "command/result" and body["command_id"] == command_id
        ]

    async def rotate(self, agent: Agent, command_id: str, step: str, **more: str) -> dict[str, Any]:
        """The last result of the command."""
        wanted = RotateCertificate.model_validate({"id": command_id, "step": step, **more})
        first = {"command": "rotate_certificate", "command_id": command_id}
        assert await agent.control.certificates.command(wanted, first) == "accepted"
        await until(lambda: any(one["state"] in ("succeeded", "failed") for one in self.results(command_id)))
        return self.results(command_id)[-1]

    def signed(self, csr: str, authority: str = "ca") -> str:
        """A certificate of the shipped authority, as an office makes it; valid for 20 days."""
        request, made = self.folder / "device.csr", self.folder / "device.pem"
        request.write_text(csr)
        command = ["openssl", "x509", "-req", "-in", request, "-out", made, "-days", "20", "-CAcreateserial"]
        command += ["-CA", self.certs / f"{authority}.pem", "-CAkey", self.certs / f"{authority}.key"]
        subprocess.run(command, check=True, capture_output=True)
        return made.read_text()

    async def ends(self, command_id: str) -> Mapping[str, Any]:
        await until(lambda: len(self.results(command_id)) >= 1)
        return self.results(command_id)[-1]


@asynccontextmanager
async def whole(folder: Path) -> AsyncIterator[Whole]:
    certificate(folder / "certs", "broker", "127.0.0.1")
    for name in ("d1", "ringpost-centre"):
        certificate(folder / "certs", "device", name)
    with mosquitto(folder) as (port, _):
        made = Whole(folder, port)
        serving = asyncio.ensure_future(
            supervise("centre", made.centre.run, lambda _: None, longest_wait_s=0.5)
        )
        try:
            await asyncio.wait_for(made.centre.ready.wait(), 60)
            yield made
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            made.centre.close()


@pytest.mark.parametrize(("rule", "steps"), [("rail", {"clip", "detector"}), ("panic", set())])
def test_a_drill_reaches_the_centre_and_is_no_alert(tmp_path: Path, rule: str, steps: set[str]) -> None:
    async def scene() -> None:
        async with whole(tmp_path) as world, world.running() as agent:
            first = {"command": "drill", "command_id": "c1"}
            state = await agent.control.drill.command(DrillRequest(id="c1", rule=rule), first)
            assert state == "accepted"
            result = await world.ends("c1")
            assert (result["state"], result["passed"], result["rule"]) == ("succeeded", True, rule), result
            assert result["steps_ms"].keys() == {"rule", "disk", "broker", "receipt"} | steps
            drills = [body for topic, body in world.heard if topic == "alert"]
            assert [(one["drill"], one["alert"]["phase"]) for one in drills] == [(True, "drill")]
            assert agent.pipeline.book.active() == []
            assert agent.pipeline.wanted_outputs("board") == {}
            with sqlite3.connect(tmp_path / "centre.db") as db:
                (text,) = db.execute("SELECT body FROM message WHERE topic = 'alert'").fetchone()
            assert json.loads(text)["drill"] is True

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_a_centre_that_is_gone_makes_the_drill_fail_until_it_is_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with whole(tmp_path) as world, world.running() as agent:
            plan = agent.control.drill._plan("panic", None)
            agent.config = agent.config.model_copy(
                update={
                    "drill": agent.config.drill.model_copy(update={"within": agent.config.drill.within / 20})
                }
            )
            receipts = agent.link.receipts.record
            agent.link.receipts.record = lambda *_: None  # type: ignore[method-assign]  # they are lost
            record = await agent.control.drill.run(plan)
            assert record.reason == "no receipt of the centre within 3 s"
            assert "drill: no receipt of the centre within 3 s" in agent.device_health.troubles()
            agent.link.receipts.record = receipts  # type: ignore[method-assign]
            assert (await agent.control.drill.run(plan)).reason is None
            assert not [line for line in agent.device_health.troubles() if line.startswith("drill")]

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_a_certificate_is_rotated_and_survives_restarts(tmp_path: Path) -> None:
    async def scene() -> None:
        async with whole(tmp_path) as world:
            async with world.running() as agent:
                asked = await world.rotate(agent, "r1", "request")
                made = await world.rotate(agent, "i1", "install", certificate=world.signed(asked["csr"]))
                assert made["state"] == "succeeded", made
                new = tmp_path / "data/identity/tls-1/cert.pem"
                assert agent.link.connected_cert == new
                await until(
                    lambda: any(
                        "broker.cert: expires in 19 days" in line for line in agent.device_health.troubles()
                    )
                )
            (tmp_path / "certs/d1.key").rename(tmp_path / "certs/away")  # the one of the file is not needed
            async with world.running() as agent:
                assert agent.link.connected_cert == new
            (tmp_path / "certs/away").rename(tmp_path / "certs/d1.key")
            shutil.rmtree(new.parent)  # and it is the fallback
            async with world.running() as agent:
                assert agent.link.connected_cert == tmp_path / "certs/d1.pem"
                assert any("tls-1/cert.pem is of no use" in one for one in agent.device_health.troubles())

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_a_certificate_that_the_broker_refuses_is_not_kept(tmp_path: Path) -> None:
    """Its authority is known to the device, and not to the broker."""

    async def scene() -> None:
        async with whole(tmp_path) as world:
            both = tmp_path / "certs/both.pem"
            both.write_text(
                (tmp_path / "certs/ca.pem").read_text() + (tmp_path / "certs/desk-ca.pem").read_text()
            )
            world.config.write_text(world.config.read_text().replace("certs/ca.pem", "certs/both.pem"))
            async with world.running() as agent:
                asked = await world.rotate(agent, "r1", "request")
                foreign = world.signed(asked["csr"], "desk-ca")
                result = await world.rotate(agent, "i1", "install", certificate=foreign)
                assert result["state"] == "failed"
                assert result["reason"].startswith("the broker did not take it: 127.0.0.1:")
                assert agent.link.connected_cert == tmp_path / "certs/d1.pem"
                good = world.signed(asked["csr"])  # for the same key
                assert (await world.rotate(agent, "i2", "install", certificate=good))["state"] == "succeeded"

    asyncio.run(asyncio.wait_for(scene(), 400))


def test_without_a_receipt_and_after_a_power_cut_the_certificate_before_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with whole(tmp_path) as world:
            async with world.running() as agent:
                asked = await world.rotate(agent, "r1", "request")
                receipts = agent.link.receipts.record
                agent.link.receipts.record = lambda *_: None  # type: ignore[method-assign]  # they are lost
                wanted = RotateCertificate(id="i1", step="install", certificate=world.signed(asked["csr"]))
                await agent.control.certificates.command(wanted, {"command": "x", "command_id": "i1"})
                trial = tmp_path / "data/identity/tls-1/cert.pem"
                await until(lambda: agent.link.connected_cert == trial)
                copy_running(tmp_path / "data", tmp_path / "cut")
                await until(lambda: bool(world.results("i1")[1:]))  # "trial", then the end
                assert world.results("i1")[-1]["reason"] == "no receipt of the centre arrived within 5 s"
                await until(lambda: agent.link.connected_cert == tmp_path / "certs/d1.pem")
                agent.link.receipts.record = receipts  # type: ignore[method-assign]
            world.heard.clear()
            shutil.rmtree(tmp_path / "data")
            (tmp_path / "cut").rename(tmp_path / "data")
            async with world.running() as agent:
                assert agent.link.connected_cert == tmp_path / "certs/d1.pem"
                await until(lambda: any(one["state"] == "failed" for one in world.results("i1")))
                assert "restarted during the trial" in world.results("i1")[-1]["reason"]

    monkeypatch.setattr("agent.control.certificates.TRIAL_S", 5.0)
    asyncio.run(asyncio.wait_for(scene(), 400))
