"""Centres at real brokers: two that share a client id, and one whose database is of yesterday."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from agent.domain.message import encode
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.runtime.supervisor import supervise
from centre.message_line import HOLE
from centre.server import Centre
from simulators.broker import Kind, LocalBroker
from tests.end_to_end.rig import BROKERS, NEEDS_MOSQUITTO, Rig, rig

pytestmark = pytest.mark.end_to_end


@pytest.fixture(autouse=True)
def _log() -> None:
    structlog.reset_defaults()  # whatever level a test before this one has set


@pytest.mark.parametrize("kind", BROKERS)
def test_two_centres_under_one_name_say_so(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They took turns, twice a second, each with half of the messages, and nobody said it.

    The one that is left found the other's word in its session again with each connection: it was not acknowledged.
    rumqttd sends no retained message to a session that it resumes: there it is a guess.
    """
    expected, count = {"mosquitto": ("another_centre", 3), "rumqttd": ("connections_are_short", 2)}[kind]
    monkeypatch.setattr("centre.registrar.TAKEN_OVER_WAIT_S", 1.0)

    async def scene(url: str) -> None:
        centres = [Centre(tmp_path / f"{number}.db", Broker(url=url)) for number in range(2)]
        with structlog.testing.capture_logs() as logged:
            tasks = []
            for centre in centres:
                tasks.append(asyncio.ensure_future(supervise("centre", centre.run, lambda _: None)))
                await asyncio.wait_for(centre.ready.wait(), 60)
            async with asyncio.timeout(60):
                while sum(line["event"] == expected for line in logged) < count:
                    await asyncio.sleep(0.05)
            tasks[1].cancel()
            await asyncio.wait(tasks[1:])
            async with asyncio.timeout(60):  # the one that is left is soon well, and stays so
                before = -1
                while before != len(logged) or not centres[0].ready.is_set():
                    before = len(logged)
                    await asyncio.sleep(3.0)
            tasks[0].cancel()
            await asyncio.wait(tasks)
        for centre in centres:
            centre.close()

    with LocalBroker(kind) as broker:
        asyncio.run(scene(broker.url))


@pytest.mark.parametrize("kind", BROKERS)
def test_a_centre_that_comes_back_is_not_taken_for_another(kind: Kind, tmp_path: Path) -> None:
    async def scene(url: str) -> None:
        with structlog.testing.capture_logs() as logged:
            for _ in range(2):  # a new run finds the status of the one before
                centre = Centre(tmp_path / "c.db", Broker(url=url))
                for _ in range(2):  # and each connection that of the one before
                    task = asyncio.ensure_future(centre.run())
                    await asyncio.wait_for(centre.ready.wait(), 60)
                    await asyncio.sleep(0.3)
                    task.cancel()
                    await asyncio.wait([task])
                    assert task.cancelled()
                centre.close()
        assert [line["event"] for line in logged] == []

    with LocalBroker(kind) as broker:
        asyncio.run(scene(broker.url))


@NEEDS_MOSQUITTO
def test_with_3_1_1_its_own_messages_come_back_and_are_not_taken_for_a_devices(tmp_path: Path) -> None:
    async def scene(url: str) -> None:
        plain = Broker(url=url, protocol="3.1.1")
        heard: list[str] = []
        centre = Centre(tmp_path / "c.db", plain, on_stored=lambda _, topic, __: heard.append(topic))
        serving = asyncio.ensure_future(centre.run())
        await asyncio.wait_for(centre.ready.wait(), 60)
        device = Connection(plain, "d", None, session_expiry_s=0)
        await device.open()
        device.subscribe(["ringpost/v1/d/receipt"])
        body = {"id": "a", "device": "d", "epoch": "e", "seq": 1, "at": "", "schema": "alert/1", "alert": {}}
        for number in (1, 2):
            message = encode(body | {"id": f"id-{number}", "seq": number})
            device.publish("ringpost/v1/d/alert", message, 1, False)
        ids: list[str] = []
        async with asyncio.timeout(60):
            while len(ids) < 2:
                match await device.event(1.0):
                    case ("message", message):
                        ids += json.loads(message.payload)["ids"]
        assert ids == ["id-1", "id-2"]
        await asyncio.sleep(0.3)
        assert heard == ["alert", "alert"]
        device.close()
        serving.cancel()
        await asyncio.wait([serving])
        centre.close()

    with structlog.testing.capture_logs() as logged, LocalBroker("mosquitto") as broker:
        asyncio.run(scene(broker.url))
    assert logged == []


@pytest.mark.parametrize("kind", BROKERS)
def test_a_centre_from_yesterdays_backup_gets_its_alerts_again(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device had its receipts and told nothing; the centre saw numbers 6, then 17, and said nothing."""
    monkeypatch.setattr("centre.holes.ASK_AFTER_S", 1.0)

    async def press(device: Rig) -> None:
        before = len(device.stored("panic"))
        device.board.press("panic_button")
        await device.until(lambda: len(device.stored("panic")) > before, what="a press")
        device.board.press("panic_button", on=False)
        ended = lambda: all("end" in phases for phases in device.stored("panic").values())  # noqa: E731
        await device.until(ended, what="its end")

    async def scene() -> None:
        async with rig(tmp_path, kind) as device:
            device.start_agent()
            await device.until(lambda: device.last("status").get("state") == "online")
            await press(device)
            with closing(sqlite3.connect(device.db)) as db, closing(sqlite3.connect(tmp_path / "old")) as old:
                db.backup(old)
            for _ in range(3):
                await press(device)
            pressed = device.stored("panic")
            await device.until(
                lambda: not device.last("health").get("owed", {}).get("alert"), what="receipts"
            )
            await device.stop_centre()
            for path in tmp_path.glob("centre.db*"):
                path.unlink()
            (tmp_path / "old").rename(device.db)
            device.start_centre()
            await device.until(lambda: device.stored("panic") == pressed, 90, "what the centre had lost")
            holes = [body for topic, body in device.heard if topic == HOLE]
            assert next(body["state"] for body in holes if body["lane"] == "alert") == "asked for again"

    asyncio.run(asyncio.wait_for(scene(), 400))
