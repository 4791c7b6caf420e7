"""Connections: fallback and failback, last will, versions of MQTT, and how they end."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest

from agent.domain.message import Message, encode
from agent.mqtt.broker import Broker
from agent.mqtt.envelope import Envelope
from agent.mqtt.link import CLOCK, Link
from agent.mqtt.topics import RETAINED
from agent.outbox.outbox import Outbox
from agent.runtime.supervisor import supervise
from simulators.broker import free_port
from tests.link_rig import UP, Run, ids, message, not_owed, nothing, run, status
from tests.scripted_broker import (
    SILENT,
    SUCCESS,
    ScriptedBroker,
)
from tests.waiting import play, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.runtime.supervisor.FIRST_WAIT_S", 0.02)


def test_a_short_connection_does_not_reset_the_back_off(tmp_path: Path) -> None:
    """T11: a broker that takes the connection and ends it at once is asked ever more seldom."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            raise asyncio.CancelledError

    async def scene() -> None:
        def take(_: int) -> int:
            asyncio.get_running_loop().call_later(0.01, broker.cut)
            return SUCCESS

        async with ScriptedBroker(admit=take) as broker, run(tmp_path, None) as one:
            to = Broker(url=broker.url)
            with suppress(asyncio.CancelledError):
                await supervise(
                    "link", lambda: one.link.run(to), one.states.append, longest_wait_s=30.0, sleep=wait
                )
            assert len(broker.connects) == 8

    play(scene)
    assert min(waits[6:]) > 8 * max(waits[:2])


def test_a_lost_connection_proves_its_broker_no_longer(tmp_path: Path) -> None:
    """Else a push would be proved by the broker before it."""

    async def scene() -> None:
        async with run(tmp_path, None) as one:
            async with ScriptedBroker() as broker:
                one.start(Broker(url=broker.url))
                await asyncio.wait_for(one.link.acknowledged(), 60)
            await until(lambda: one.link.connected_url is None)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.link.acknowledged(), 0.05)

    play(scene)


def test_without_tls_no_time_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No certificate was valid at it: a clock that is set wrong would be kept as the earliest right time."""
    monkeypatch.setattr("agent.mqtt.link.kernel_clock", lambda: (True, None))

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker) as one:
            await asyncio.wait_for(one.link.acknowledged(), 60)
            assert one.outbox.recall(CLOCK) is None

    play(scene)


def test_ending_waits_no_longer_than_its_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T12: a broker that acknowledges nothing holds up no end; then the will speaks for us."""
    monkeypatch.setattr("agent.mqtt.link.FINAL_STATUS_WITHIN_S", 0.2)

    async def scene() -> None:
        async with (
            ScriptedBroker(answer=lambda _: SILENT) as broker,
            run(tmp_path, broker, owed=[message() for _ in range(50)]) as one,
        ):
            await until(lambda: len(broker.published) > 3)
            one.link.final_status = message("status", topic="status", retain=True)
            await asyncio.wait_for(one.end(), 60)
            await until(lambda: broker.goodbyes == [4])

    play(scene)


def test_the_last_word_is_said_and_the_will_is_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker) as one:
            await until(lambda: broker.published)
            last = one.link.final_status = message("status", topic="status", retain=True)
            await one.end()
            await until(lambda: broker.goodbyes == [0])
            assert ids(broker.published, "status")[-1] == last.id

    play(scene)


def test_a_stuck_broker_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T13: connected, answers pings, acknowledges nothing."""
    monkeypatch.setattr("agent.mqtt.sender.ACKNOWLEDGED_WITHIN_S", 0.3)

    async def scene() -> None:
        one = message()
        stuck = {1: SILENT}
        async with (
            ScriptedBroker(answer=lambda p: stuck.get(p.connection, SUCCESS)) as broker,
            run(tmp_path, broker, owed=[one]) as link,
        ):
            await until(
                lambda: [p.connection for p in broker.published if p.topic.endswith("alert")] == [1, 2]
            )
            errors = [state.error for state in link.states if state.error]
            assert "nothing acknowledged" in errors[0]

    play(scene)


def test_brokers_in_order_and_back_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.mqtt.failback.FIRST_WAIT_S", 0.1)

    async def scene() -> None:
        first = ScriptedBroker(port=free_port())
        async with ScriptedBroker() as second:
            url, other = first.url, second.url
            async with run(tmp_path, first, url=url, fallbacks=(other,), owed=[message()]) as one:
                await until(lambda: ids(second.published))
                async with first:
                    await until(lambda: ids(first.published))
                    assert second.goodbyes == [4]  # there the will says that we are gone
                    late = message()
                    await one.outbox.put(late)
                    await until(lambda: late.id in ids(first.published))
                    assert late.id not in ids(second.published)
                await until(lambda: len(second.connects) == 2)

    play(scene)


def test_where_no_broker_answers_each_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        urls = [f"mqtt://127.0.0.1:{free_port()}" for _ in range(2)]
        async with run(tmp_path, None) as one:
            one.start(Broker(url=urls[0], fallbacks=(urls[1],)))
            await until(lambda: any(state.error for state in one.states))
            error = next(state.error for state in one.states if state.error)
            assert all(url.removeprefix("mqtt://") in error for url in urls)

    play(scene)


def test_mqtt_3_1_1_carries_the_same_with_less(tmp_path: Path) -> None:
    async def scene() -> None:
        given = [message() for _ in range(20)]
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=given, protocol="3.1.1") as one:
            await until(lambda: len(ids(broker.published)) == 20)
            broker.send(f"{UP}/receipt", encode({"ids": [one.id for one in given]}))
            await until(lambda: not_owed(one, "alert"))
            assert broker.connects[0].level == 4

    play(scene)


def test_sessions_rise_and_the_will_bears_the_same_number(tmp_path: Path) -> None:
    async def scene() -> None:
        greeted: list[int] = []

        def birth_messages(session: int) -> list[Message]:
            greeted.append(session)
            return status(session)

        async with ScriptedBroker() as broker, run(tmp_path, broker, birth_messages=birth_messages):
            for number in range(1, 4):
                await until(lambda number=number: len(broker.published) == number)
                broker.cut()
            await until(lambda: len(broker.connects) >= 4)
            wills = [json.loads(one.will[1])["session"] for one in broker.connects if one.will]
            assert greeted[:3] == wills[:3]
            assert wills == sorted(set(wills))

    play(scene)


def test_what_is_retained_under_an_old_name_is_cleared_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            for device in ("old", "new", "new"):
                outbox = await asyncio.to_thread(Outbox.open, tmp_path, 32_000_000)
                one = Run(Link(Envelope(device=device), outbox, status, nothing), outbox)
                one.start(Broker(url=broker.url))
                await asyncio.wait_for(one.link.acknowledged(), 60)
                name = Envelope(device=device).prefix.encode()
                await until(lambda name=name, outbox=outbox: outbox.recall("prefix") == name)
                await one.end()
                await asyncio.to_thread(outbox.close)
            cleared = [
                one for one in broker.published if one.topic.startswith("ringpost/v1/old/") and one.retain
            ]
            empty = [one.topic.removeprefix("ringpost/v1/old/") for one in cleared if one.payload == b""]
            assert sorted(empty) == sorted(RETAINED)

    play(scene)


def test_a_broker_that_knows_no_version_5_is_spoken_to_in_3_1_1(tmp_path: Path) -> None:
    """The first broker, and a fallback that need not speak the version of the first."""

    async def scene() -> None:
        def old(number: int) -> int:
            return 0x84 if old_one.connects[number - 1].level == 5 else SUCCESS

        async with ScriptedBroker(admit=old) as old_one:
            for brokers in ({}, {"url": f"mqtt://127.0.0.1:{free_port()}", "fallbacks": (old_one.url,)}):
                old_one.connects.clear()
                async with run(tmp_path, old_one, owed=[alert := message()], **brokers) as one:
                    await until(lambda alert=alert: alert.id in ids(old_one.published))
                    assert [connect.level for connect in old_one.connects] == [5, 4]
                    assert one.link.connected_url == old_one.url

    play(scene)


def test_who_loses_one_connection_after_the_other_asks_for_a_second_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloned card: each of the two takes the connection from the other, and most brokers say nothing."""

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker) as one:
            for number in range(1, 5):
                await until(lambda number=number: len(broker.payloads("/status")) == number)
                assert "connection" not in one.link.troubles
                broker.cut()
            await until(lambda: "connection" in one.link.troubles)
            await until(lambda: len(broker.payloads("/status")) == 5)
            assert "the name 'd'" in one.link.troubles["connection"]
            monkeypatch.setattr("agent.mqtt.short_connections.SHORT_S", 0.0)  # it lasts by now
            assert one.link.troubles == {}
            broker.cut()
            await until(lambda: len(broker.payloads("/status")) == 6)
            monkeypatch.undo()
            assert one.link.troubles == {}

    play(scene)
