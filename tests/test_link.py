"""The link against a scripted broker, here and in test_link_*.py. Each known trap of paho 2.2.0 has its test:

T1   offline publishes are queued in memory, and tripled   test_what_was_under_way_goes_out_once_more
T2   nothing survives the process                          test_a_restart_sends_what_is_owed
T3   a reconnect ignores every window, T3c connected too   test_never_more_than_the_broker_takes
T4   an exception in a callback ends the network thread    test_a_failing_listener_stops_nothing
T5   acknowledged before the number is known               test_transport.py
T6   a lock around publish() and callbacks deadlocks       test_listening_and_sending_do_not_wait_for_each_other
T7   refused counts as published                           test_what_leaves_the_disk_and_what_stays
T8   nobody received it counts as published                test_what_leaves_the_disk_and_what_stays
T9   acknowledged and dropped by the broker                test_an_alert_goes_again_until_its_receipt
T10  clean_start wipes the session                         test_transport.py
T11  back-off begins anew with each CONNACK                test_a_short_connection_does_not_reset_the_back_off
T12  ending blocks while anything is unacknowledged        test_ending_waits_no_longer_than_its_last_word
T13  a stuck broker is noticed late                        test_a_stuck_broker_is_left, test_transport.py
T14  expiry is not counted down                            test_expiry_is_what_is_left
T15  dropped messages still fill the window                test_what_was_under_way_goes_out_once_more
T16  no jitter                                             test_supervisor.py
T17  an oversized message blocks all behind it             test_poison_goes_aside_and_blocks_nothing
T18  QoS 2 loses silently                                  test_what_leaves_the_disk_and_what_stays, and no QoS 2
"""

import asyncio
import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.domain.message import encode
from agent.mqtt.broker import Broker
from tests.link_rig import SPEAKER, UP, clock_ahead, ids, message, not_owed, run
from tests.scripted_broker import (
    EXPIRY,
    RECEIVE_MAXIMUM,
    SILENT,
    SUCCESS,
    ScriptedBroker,
)
from tests.waiting import play, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.runtime.supervisor.FIRST_WAIT_S", 0.02)


def test_what_was_under_way_goes_out_once_more(tmp_path: Path) -> None:
    """T1, T15: a connection lost with a full window; the next one carries each message exactly once."""

    async def scene() -> None:
        given = [message() for _ in range(40)]
        answers = {1: SILENT}
        async with (
            ScriptedBroker(answer=lambda one: answers.get(one.connection, SUCCESS)) as broker,
            run(tmp_path, broker, owed=given[:30]) as one,
        ):
            await until(lambda: len(ids(broker.published)) >= 4)
            broker.cut()
            await one.outbox.put(*given[30:])  # offline, or nearly
            await until(lambda: len([p for p in broker.published if p.connection == 2]) >= 41)
            given.append(last := message())
            await one.outbox.put(last)
            await until(lambda: last.id in ids(broker.published))
            second = [p for p in broker.published if p.connection == 2]
            assert sorted(ids(second)) == sorted(m.id for m in given)
            assert {p.qos for p in broker.published} <= {0, 1}

    play(scene)


def test_a_restart_sends_what_is_owed(tmp_path: Path) -> None:
    """T2: the process dies before it was ever connected."""

    async def scene() -> None:
        given = [message() for _ in range(20)] + [message("telemetry") for _ in range(20)]
        async with run(tmp_path, None, owed=given):
            pass
        async with ScriptedBroker() as broker, run(tmp_path, broker):
            await until(lambda: len(ids(broker.published, "telemetry/gnss")) == 20)
            assert ids(broker.published) == [m.id for m in given if m.lane == "alert"]

    play(scene)


def test_never_more_than_the_broker_takes(tmp_path: Path) -> None:
    """T3, T3c: a Receive Maximum of 8 is kept when connected, and when 300 messages wait for a reconnect."""

    async def scene() -> None:
        given = [message("telemetry") for _ in range(200)] + [message() for _ in range(100)]
        async with (
            ScriptedBroker(limits={RECEIVE_MAXIMUM: 8}, delay_s=0.001) as broker,
            run(tmp_path, broker, owed=given, backlog_per_s=10_000) as one,
        ):
            await until(lambda: len(broker.published) > 50)
            broker.cut()
            await until(lambda: one.owed("telemetry"))
            await until(lambda: not_owed(one, "telemetry"))
            assert broker.most_in_flight <= 8
            assert len(broker.connects) == 2
            assert set(ids(broker.published)) == {m.id for m in given if m.lane == "alert"}

    play(scene)


def test_an_alert_goes_again_until_its_receipt(tmp_path: Path) -> None:
    """T9: acknowledged with success, and yet nobody has it."""

    async def scene() -> None:
        one = message()
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=[one], resend_after="0.2s") as link:
            await until(lambda: ids(broker.published).count(one.id) >= 3)
            first, second, *_ = [json.loads(p.payload) for p in broker.published if p.topic.endswith("alert")]
            assert (first["epoch"], first["seq"]) == (second["epoch"], second["seq"])
            broker.send(f"{UP}/receipt", encode({"ids": [one.id]}))
            await until(lambda: not_owed(link, "alert"))
            sent = ids(broker.published).count(one.id)
            await link.outbox.put(another := message())
            await until(lambda: ids(broker.published).count(another.id) >= 3)
            assert ids(broker.published).count(one.id) == sent

    play(scene)


def test_a_receipt_that_overtakes_the_acknowledgement_counts(tmp_path: Path) -> None:
    """Else the whole lane went again once its time was over."""

    async def scene() -> None:
        one = message()
        async with ScriptedBroker(delay_s=0.2) as broker, run(tmp_path, broker, owed=[one]) as link:
            await until(lambda: ids(broker.published))
            sender = link.link.sender
            assert sender is not None
            assert [sent.row.id for sent in sender.in_flight].count(one.id) == 1
            broker.send(f"{UP}/receipt", encode({"ids": [one.id]}))
            await until(lambda: not_owed(link, "alert"))
            await until(lambda: not len(sender.in_flight))
            assert len(link.link.receipts) == 0

    play(scene)


def test_a_centre_that_comes_back_gets_what_it_gave_no_receipt_for(tmp_path: Path) -> None:
    async def scene() -> None:
        one = message()
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=[one]):
            await until(lambda: ids(broker.published) == [one.id])
            broker.send(SPEAKER.host_status, b'{"state":"online"}')
            await until(lambda: ids(broker.published) == [one.id, one.id])

    play(scene)


def test_expiry_is_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T14: sent after 40 of its 100 s."""

    async def scene() -> None:
        lasting = message("telemetry", expires_after=timedelta(seconds=100))
        gone = message("telemetry", expires_after=timedelta(seconds=30))
        async with run(tmp_path, None, owed=[lasting, gone]) as one:
            await one.owed("telemetry")
            later = clock_ahead(40)
            monkeypatch.setattr("agent.host.clock.since_boot_s", later)
            async with ScriptedBroker() as broker:
                one.start(Broker(url=broker.url))
                await until(lambda: ids(broker.published, "telemetry/gnss") == [lasting.id])
                sent = next(p for p in broker.published if "telemetry" in p.topic)
                assert 50 <= sent.properties[EXPIRY] <= 60
                await until(lambda: ids(broker.published, "gap"))

    play(scene)


def test_status_then_alerts_then_the_backlog_at_its_pace(tmp_path: Path) -> None:
    async def scene() -> None:
        old = [message("telemetry") for _ in range(60)]
        alerts = [message() for _ in range(3)]
        async with (
            ScriptedBroker() as broker,
            run(tmp_path, None, owed=[*old, *alerts]) as one,
        ):
            await one.owed("telemetry")
            later = clock_ahead(60)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("agent.host.clock.since_boot_s", later)
                one.start(Broker(url=broker.url, backlog_per_s=20.0))
                await until(lambda: len(ids(broker.published, "telemetry/gnss")) >= 30)
                first = [p.topic.removeprefix(UP + "/") for p in broker.published[:4]]
                assert sorted(first) == ["alert", "alert", "alert", "status"]
                new = message()
                await one.outbox.put(new)
                await until(lambda: new.id in ids(broker.published))
                await until(lambda: len(ids(broker.published, "telemetry/gnss")) == 60)
            sent = [p for p in broker.published if "telemetry" in p.topic]
            assert sent[-1].at_s - sent[0].at_s >= (60 - 2 * 20) / 20
            assert all(json.loads(p.payload)["historical"] for p in sent)
            before = [p for p in broker.published if p.topic.endswith("alert")][:3]
            assert all(json.loads(p.payload)["historical"] for p in before)

    play(scene)


def test_what_is_new_is_not_paced(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker, backlog_per_s=1.0) as one:
            await until(lambda: broker.published)
            for _ in range(100):
                await one.outbox.put(message("telemetry"))
            await until(lambda: len(ids(broker.published, "telemetry/gnss")) == 100, 10)
            assert not any(b'"historical"' in p.payload for p in broker.published)

    play(scene)


def test_an_alert_overtakes_telemetry_on_a_slow_link(tmp_path: Path) -> None:
    """Its places in flight are its own: it waits for no telemetry that is not yet under way."""

    async def scene() -> None:
        backlog = [message("telemetry", size=1000) for _ in range(400)]
        async with (
            ScriptedBroker(delay_s=0.3) as broker,
            run(tmp_path, broker, owed=backlog, backlog_per_s=10_000) as one,
        ):
            await until(lambda: len(broker.published) > 5)
            before = len(broker.published)
            alert = message()
            await one.outbox.put(alert)
            await until(lambda: alert.id in ids(broker.published), 5)
            place = [p.topic for p in broker.published].index(f"{UP}/alert")
            assert place - before < 64

    play(scene)


def test_a_disk_that_hangs_keeps_no_alert_from_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outbox.disk_thread.HANGS_S", 0.2)

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker) as one:
            await until(lambda: broker.published)
            back = threading.Event()
            one.outbox.thread.submit(lambda: back.wait(180))
            alert = message()
            alert = replace(alert, body=encode({"id": alert.id, "latency_ms": {}}))
            one.latency.on_alert(alert.id, "panic", {}, time.monotonic())
            writing = asyncio.ensure_future(one.outbox.put(alert))
            try:
                await until(lambda: ids(broker.published) == [alert.id])
                assert not writing.done()
                [sent] = broker.payloads("/alert")
                assert 200 <= json.loads(sent)["latency_ms"]["finding_to_outbox"] < 20_000
                await until(lambda: "panic" in one.latency.fields())
                broker.cut()  # and over a new connection
                await until(lambda: ids(broker.published).count(alert.id) == 2)
                assert len(broker.payloads("/status")) == 2
                broker.send(f"{UP}/receipt", encode({"ids": [alert.id]}), number=9)
                await until(lambda: 9 in broker.acknowledged)
            finally:
                back.set()
            await writing
            await until(lambda: not_owed(one, "alert"))
            assert ids(broker.published) == [alert.id] * 2

    play(scene)


@pytest.mark.parametrize("right", [True, False])
def test_only_a_right_clock_corrects_the_instants_of_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    monkeypatch.setattr("agent.mqtt.publisher.kernel_clock", lambda: (right, None))

    async def scene() -> None:
        alert = message()
        alert = replace(alert, body=encode({"id": alert.id, "at": "1970-01-01T00:00:40.000Z"}))
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=[alert]):
            await until(lambda: ids(broker.published) == [alert.id])
            sent = next(one for one in broker.published if one.topic == f"{UP}/alert")
            assert (b"1970-01-01T00:00:40" in sent.payload, b"restamped_by_s" in sent.payload) == (
                not right,
                right,
            )

    play(scene)
