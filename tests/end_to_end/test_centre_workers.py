"""Several workers of a centre at a real broker: who receives, who is the registrar, and what is said of it."""

import asyncio
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner

from agent.__main__ import cli
from agent.domain.message import encode
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from bench import centre_workers
from centre.worker import Worker
from simulators.broker import Kind, LocalBroker
from simulators.postgres import NEEDED, server_programs
from tests.end_to_end.rig import BROKERS, NEEDS_MOSQUITTO
from tests.thorough import only_long
from tests.waiting import until

pytestmark = pytest.mark.end_to_end
ROOT = "ringpost/v1"


@pytest.fixture(autouse=True)
def _log() -> None:
    structlog.reset_defaults()


class Device:
    """Publishes alerts, and hears receipts and the status of the centre."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.receipts: Counter[str] = Counter()
        self.host: list[dict[str, Any]] = []

    async def __aenter__(self) -> "Device":
        self.connection = Connection(Broker(url=self._url), "d1", None, session_expiry_s=0)
        await self.connection.open()
        self.connection.subscribe([f"{ROOT}/d1/receipt", f"{ROOT}/host/status"])
        self._task = asyncio.ensure_future(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self.connection.close()

    async def _listen(self) -> None:
        while True:
            match await self.connection.event(1.0):
                case ("message", message):
                    self.connection.acknowledge(message)
                    body = json.loads(message.payload)
                    if message.topic.endswith("/receipt"):
                        self.receipts.update(body["ids"])
                    else:
                        self.host.append(body)

    def publish(self, topic: str, seq: int) -> None:
        body = {"id": f"{topic}-{seq}", "device": "d1", "epoch": "e", "seq": seq, "at": "", "schema": "x/1"}
        self.connection.publish(f"{ROOT}/d1/{topic}", encode(body | {"alert": {}}), 1, topic == "status")

    async def alerts(self, first: int, count: int) -> None:
        """Sends them, and waits for their receipts."""
        names = [f"alert-{number}" for number in range(first, first + count)]
        for number in range(first, first + count):
            self.publish("alert", number)
        await until(lambda: all(self.receipts[name] for name in names), 60)


@NEEDS_MOSQUITTO
def test_workers_share_what_wants_a_receipt_and_a_dead_registrar_is_followed_without_a_word(
    tmp_path: Path,
) -> None:
    """The death of the leader is no new generation, and nobody says that the centre is offline."""

    async def scene(url: str) -> None:
        workers = {
            name: Worker(name, tmp_path / "c.db", Broker(url=url), on_stored=lambda *one, name=name: heard.append((name, one[1])))
            for name in ("a", "b")
        }  # fmt: skip
        heard: list[tuple[str, str]] = []
        tasks = {name: asyncio.ensure_future(one.run()) for name, one in workers.items()}
        await until(lambda: all(one.share and one.share.ready.is_set() for one in workers.values()), 60)
        await until(lambda: any(one.leads for one in workers.values()), 60)
        (leader,) = [name for name, one in workers.items() if one.leads]
        (other,) = workers.keys() - {leader}
        async with Device(url) as device:
            await until(lambda: device.host, 60)
            device.publish("status", 1)
            await device.alerts(1, 40)
            await until(lambda: "status" in [topic for _, topic in heard], 60)
            assert (leader, "status") in heard
            assert {name for name, topic in heard if topic == "alert"} == {"a", "b"}
            tasks[leader].cancel()
            await asyncio.wait([tasks[leader]])
            await until(lambda: workers[other].leads, 60)
            await device.alerts(41, 40)
            await until(lambda: len({one["instance"] for one in device.host}) == 2, 60)
            assert {one["state"] for one in device.host} == {"online"}
            assert len({one["generation"] for one in device.host}) == 1
        tasks[other].cancel()
        await asyncio.wait([tasks[other]])
        for one in workers.values():
            one.close()

    with LocalBroker("mosquitto") as broker:
        asyncio.run(scene(broker.url))
    with sqlite3.connect(tmp_path / "c.db") as db:
        assert db.execute("SELECT count(*) FROM message WHERE topic = 'alert'").fetchone() == (80,)


@pytest.mark.parametrize("kind", ["3.1.1"])
def test_where_a_broker_shares_nothing_one_process_receives_everything(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> str:
        return f"it speaks MQTT {kind} only"

    monkeypatch.setattr("centre.worker.share_problem", none)

    async def scene(url: str) -> None:
        workers = [Worker(name, tmp_path / "c.db", Broker(url=url)) for name in ("a", "b")]
        with structlog.testing.capture_logs() as logged:
            tasks = [asyncio.ensure_future(one.run()) for one in workers]
            await until(lambda: any(one.leads for one in workers), 60)
            async with Device(url) as device:
                await until(lambda: device.host, 60)
                await device.alerts(1, 20)
                first = next(number for number, one in enumerate(workers) if one.leads)
                tasks[first].cancel()
                await asyncio.wait([tasks[first]])
                await device.alerts(21, 20)  # the other one takes over
            tasks[1 - first].cancel()
            await asyncio.wait(tasks)
        assert [line["event"] for line in logged if line["log_level"] == "warning"] == [
            "no_shared_subscription"
        ] * 2
        for one in workers:
            one.close()

    with LocalBroker() as broker:
        asyncio.run(scene(broker.url))


@only_long
@NEEDS_MOSQUITTO
@pytest.mark.skipif(server_programs() is None, reason=NEEDED)
@pytest.mark.parametrize("whom", ["another", "registrar"])
def test_workers_that_are_killed_lose_nothing(whom: str) -> None:
    """Processes and PostgreSQL; `test_workers_share…` and the tests of the databases hold it otherwise."""
    found = asyncio.run(centre_workers.scene("two deaths", 900, 3, 2, 1.0, whom))
    for count in ("receipts_without_commit", "without_receipt", "rows_twice", "said_offline"):
        assert found[count] == 0, found
    assert found["generations"] == 1


@pytest.mark.parametrize("kind", BROKERS)
def test_what_a_broker_does_is_tried_with_messages(kind: Kind) -> None:
    with LocalBroker(kind) as broker:
        done = CliRunner().invoke(cli, ["centre", "--check", "--json", "--broker", broker.url])
    found = {one["feature"]: one["state"] for one in map(json.loads, done.output.splitlines())}
    assert (done.exit_code, set(found.values()), len(found)) == (0, {"ok"}, 6), done.output
