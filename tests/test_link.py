"""The link against a scripted broker. Each trap of paho 2.2.0 that we know of has its test:

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
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from agent.alerts.latency import LatencyLedger
from agent.domain.message import Lane, Message, encode, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.envelope import Envelope
from agent.mqtt.link import Link
from agent.mqtt.topics import RETAINED
from agent.outbox.outbox import Outbox
from agent.runtime.health import Running
from agent.runtime.kernel_clock import since_boot_s
from agent.runtime.supervisor import supervise
from simulators.broker import free_port
from tests.scripted_broker import (
    EXPIRY,
    MAXIMUM_PACKET_SIZE,
    NO_SUBSCRIBERS,
    NOT_AUTHORIZED,
    PUBLISH,
    QUOTA,
    RECEIVE_MAXIMUM,
    SILENT,
    SUCCESS,
    Publish,
    ScriptedBroker,
)
from tests.waiting import play, until

SPEAKER = Envelope(device="d")
UP = SPEAKER.prefix


def message(lane: Lane = "alert", size: int = 0, **more: Any) -> Message:
    """A message that can be told from others by its id."""
    identity = new_id()
    topic = more.pop("topic", {"telemetry": "telemetry/gnss", "result": "command/result"}.get(lane, lane))
    body = encode({"id": identity, "filling": "x" * size})
    return Message(lane=lane, topic=topic, id=identity, body=body, **more)


def status(session: int) -> list[Message]:
    return [message("status", retain=True)]


def clock_ahead(by_s: float) -> Callable[[], float]:
    return lambda: since_boot_s() + by_s


async def nothing(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
    pass


class Run:
    """A link under supervision, with short waits."""

    def __init__(self, link: Link, outbox: Outbox, latency: LatencyLedger | None = None) -> None:
        self.link = link
        self.latency = latency or LatencyLedger()
        self.outbox = outbox
        self.states: list[Running] = []
        self.task: asyncio.Task[None] | None = None

    def start(self, broker: Broker) -> None:
        job = supervise("link", lambda: self.link.run(broker), self.states.append, longest_wait_s=0.05)
        self.task = asyncio.ensure_future(job)

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    async def owed(self, lane: Lane) -> int:
        return (await self.outbox.depth())[lane]


@asynccontextmanager
async def run(
    folder: Path,
    broker: ScriptedBroker | None,
    *,
    heard: Callable[[str, bytes, str | None], Any] = nothing,
    greet: Callable[[int], Sequence[Message]] = status,
    owed: Sequence[Message] = (),
    **fields: Any,
) -> AsyncIterator[Run]:
    """A link with an outbox in ``folder`` that owes ``owed``, connected to ``broker``."""
    outbox = await asyncio.to_thread(Outbox.open, folder, 32_000_000)
    latency = LatencyLedger()
    one = Run(Link(SPEAKER, outbox, greet, heard, latency), outbox, latency)
    try:
        if owed:
            await outbox.put(*owed)
        if broker is not None:
            one.start(Broker(**{"url": broker.url, **fields}))
        yield one
    finally:
        await one.end()
        await asyncio.to_thread(outbox.close)


def ids(published: Sequence[Publish], topic: str = "alert") -> list[str]:
    return [json.loads(one.payload)["id"] for one in published if one.topic == f"{UP}/{topic}"]


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


async def not_owed(one: Run, lane: Lane) -> bool:
    return await one.owed(lane) == 0


def test_a_failing_listener_stops_nothing(tmp_path: Path) -> None:
    """T4: what came down is acknowledged, so that it does not come again, and all else goes on."""

    async def fail(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        raise KeyError("a bug")

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=fail) as one:
            await until(lambda: broker.published)
            broker.send(f"{UP}/command/ping", b"{}", number=9)
            await until(lambda: broker.acknowledged == [9])
            await one.outbox.put(message())
            await until(lambda: ids(broker.published))
            assert len(broker.connects) == 1

    play(scene)


def test_a_topic_that_is_no_text_ends_no_listener(tmp_path: Path) -> None:
    """A broker that checks nothing: what comes after it is heard all the same."""
    came: list[str] = []

    async def hear(topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        came.append(topic)

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=hear):
            await until(lambda: broker.published)
            broker.send_raw(PUBLISH, b"\0\3d/\xff\0\7\0{}", flags=2)
            broker.send(f"{UP}/command/ping", b"{}", number=9)
            await until(lambda: 9 in broker.acknowledged)
            assert came == ["command/ping"]
            assert len(broker.connects) == 1

    play(scene)


def test_what_the_disk_did_not_take_is_not_acknowledged(tmp_path: Path) -> None:
    async def fail(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        raise OSError("no space left on device")

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=fail) as one:
            await until(lambda: broker.published)
            broker.send(f"{UP}/config/desired", b"{}", number=9)
            broker.send(f"{UP}/receipt", b"not JSON", number=10)
            await until(lambda: broker.acknowledged)
            assert broker.acknowledged == [10]
            assert one.task is not None
            assert not one.task.done()

    play(scene)


def test_listening_and_sending_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """T6: what is heard is answered through the outbox, while hundreds of messages go up."""
    outboxes: list[Outbox] = []

    async def answer(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        await outboxes[0].put(message("result"))

    async def scene() -> None:
        given = [message() for _ in range(300)]
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=answer, owed=given) as one:
            outboxes.append(one.outbox)
            await until(lambda: broker.published)
            for number in range(1, 101):
                broker.send(f"{UP}/command/ping", b"{}", number=number)
                await one.outbox.put(message())
            await until(lambda: len(ids(broker.published, "command/result")) == 100)
            await until(lambda: len(ids(broker.published)) == 400)
            assert broker.acknowledged == list(range(1, 101))

    play(scene)


@pytest.mark.slow
@pytest.mark.parametrize("lane", ["alert", "result", "telemetry"])
@pytest.mark.parametrize(
    ("code", "delivery", "stays", "trouble"),
    [
        (SUCCESS, "receipt", {"alert", "result"}, None),
        (SUCCESS, "puback", set(), None),
        (NO_SUBSCRIBERS, "puback", {"alert", "result", "telemetry"}, "nobody receives it"),
        (NOT_AUTHORIZED, "puback", {"alert", "result", "telemetry"}, "refused it (0x87)"),
        (QUOTA, "puback", {"alert", "result", "telemetry"}, "refused it (0x97)"),
        (0x99, "receipt", {"alert", "result", "telemetry"}, "refused it (0x99)"),
        (0x80, "receipt", {"alert", "result", "telemetry"}, "refused it (0x80)"),
    ],
)  # fmt: skip
def test_what_leaves_the_disk_and_what_stays(
    tmp_path: Path, lane: Lane, code: int, delivery: str, stays: set[str], trouble: str | None
) -> None:
    """T7, T8, T18: only an acknowledgement of 0x00 counts, and for alerts not even that."""

    async def scene() -> None:
        one = message(lane)
        async with (
            ScriptedBroker(answer=lambda p: SUCCESS if p.topic.endswith("status") else code) as broker,
            run(tmp_path, broker, owed=[one], delivery=delivery) as link,
        ):
            await until(lambda: one.id in ids(broker.published, one.topic))
            if lane in stays:
                if trouble is not None:
                    await until(lambda: trouble in link.link.troubles.get(lane, ""))
                assert await link.owed(lane) == 1
            else:
                await until(lambda: not_owed(link, lane))
                assert link.link.troubles == {}

    play(scene)


def test_a_retained_message_needs_nobody_who_listens(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedBroker(answer=lambda _: NO_SUBSCRIBERS) as broker, run(tmp_path, broker) as one:
            await asyncio.wait_for(one.link.acknowledged(), 60)
            assert one.link.troubles == {}
            assert broker.topics() == ["status"]

    play(scene)


def test_a_refused_message_is_parked_and_its_lane_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.mqtt.sender.REFUSED_WAIT_S", 0.02)

    async def scene() -> None:
        bad, good = message(), message()
        codes = {bad.id: NOT_AUTHORIZED}
        async with (
            ScriptedBroker(answer=lambda p: codes.get(json.loads(p.payload)["id"], SUCCESS)) as broker,
            run(tmp_path, broker, owed=[bad]) as one,
        ):
            await until(lambda: "alert aside" in one.link.troubles)
            await one.outbox.put(good)
            await until(lambda: good.id in ids(broker.published))
            assert ids(broker.published).count(bad.id) == 5
            assert "1 set aside, last alert: the broker refused it (0x87)" in one.link.troubles["alert aside"]
            assert await one.owed("alert") == 2  # no receipt came

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


def test_expiry_is_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T14: sent after 40 of its 100 s."""

    async def scene() -> None:
        lasting = message("telemetry", expires_after=timedelta(seconds=100))
        gone = message("telemetry", expires_after=timedelta(seconds=30))
        async with run(tmp_path, None, owed=[lasting, gone]) as one:
            await one.owed("telemetry")
            later = clock_ahead(40)
            monkeypatch.setattr("agent.runtime.kernel_clock.since_boot_s", later)
            async with ScriptedBroker() as broker:
                one.start(Broker(url=broker.url))
                await until(lambda: ids(broker.published, "telemetry/gnss") == [lasting.id])
                sent = next(p for p in broker.published if "telemetry" in p.topic)
                assert 50 <= sent.properties[EXPIRY] <= 60
                await until(lambda: ids(broker.published, "gap"))

    play(scene)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "enforce_bytes", "protocol", "said"),
    [
        ({MAXIMUM_PACKET_SIZE: 2000}, None, "5", "more than the broker takes (2000)"),
        ({}, 2000, "5", "closed 5 times"),
        ({}, 2000, "3.1.1", "closed 5 times"),
    ],
)
def test_poison_goes_aside_and_blocks_nothing(
    tmp_path: Path, limits: dict[int, int], enforce_bytes: int | None, protocol: str, said: str
) -> None:
    """T17: larger than the broker takes, whether it says so or just ends the connection."""

    async def scene() -> None:
        poison = message(size=3000)
        given = [message() for _ in range(30)]
        async with (
            ScriptedBroker(limits=limits, enforce_bytes=enforce_bytes) as broker,
            run(tmp_path, broker, owed=[*given[:15], poison, *given[15:]], protocol=protocol) as one,
        ):
            await until(lambda: said in one.link.troubles.get("alert aside", ""))
            await until(lambda: set(ids(broker.published)) == {m.id for m in given})
            late = message()
            await one.outbox.put(late)
            await until(lambda: late.id in ids(broker.published))
            assert len(broker.connects) <= 6
            assert await one.owed("alert") == 32  # nothing is given up

    play(scene)


@pytest.mark.parametrize(
    ("lane", "limits", "code", "said"),
    [
        ("telemetry", {MAXIMUM_PACKET_SIZE: 2000}, SUCCESS, "telemetry aside"),
        ("telemetry", {}, QUOTA, "telemetry"),
        ("media", {}, NO_SUBSCRIBERS, "media"),
    ],
)
def test_what_expired_while_the_broker_did_not_take_it_is_no_trouble_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: Lane, limits: dict[int, int], code: int, said: str
) -> None:
    monkeypatch.setattr("agent.mqtt.sender.RECHECK_S", 0.0)
    monkeypatch.setattr("agent.mqtt.sender.REFUSED_WAIT_S", 0.02)
    monkeypatch.setattr("agent.mqtt.sender.NO_SUBSCRIBERS_WAIT_S", 0.02)

    async def scene() -> None:
        lasting = message(lane, size=3000, expires_after=timedelta(seconds=100))
        async with (
            ScriptedBroker(limits=limits, answer=lambda p: code if lane in p.topic else SUCCESS) as broker,
            run(tmp_path, broker, owed=[lasting]) as one,
        ):
            await until(lambda: said in one.link.troubles)
            later = clock_ahead(200)
            monkeypatch.setattr("agent.runtime.kernel_clock.since_boot_s", later)
            await until(lambda: one.link.troubles == {})
            assert len(broker.connects) == 1

    play(scene)


def test_who_goes_alone_waits_for_no_backlog(tmp_path: Path) -> None:
    """Two alerts were under way at three ends: the second waits for the first, not for a day of telemetry."""

    async def scene() -> None:
        backlog = [message("telemetry") for _ in range(300)]
        async with (
            ScriptedBroker(answer=lambda p: SILENT if p.connection <= 3 else SUCCESS) as broker,
            run(tmp_path, broker, owed=[message(), message()], backlog_per_s=100_000) as one,
        ):
            for number in range(1, 4):
                await until(lambda n=number: sum(p.connection == n for p in broker.published) >= 3)
                broker.cut()
            await one.outbox.put(*backlog)
            await until(lambda: len(ids(broker.published, "telemetry/gnss")) >= len(backlog))
            topics = [p.topic.removeprefix(f"{UP}/") for p in broker.published if p.connection == 4]
            assert topics.count("alert") == 2
            assert max(n for n, one in enumerate(topics) if one == "alert") < topics.index("telemetry/gnss")

    play(scene)


def test_a_link_that_dies_accuses_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In flight at many a silent end, in a tunnel say: it is no poison, and goes out with the others."""
    monkeypatch.setattr("agent.mqtt.sender.ACKNOWLEDGED_WITHIN_S", 0.05)

    async def scene() -> None:
        given = [message() for _ in range(5)]
        async with (
            ScriptedBroker(answer=lambda p: SILENT if p.connection < 8 else SUCCESS) as broker,
            run(tmp_path, broker, owed=given) as one,
        ):
            await until(
                lambda: [p for p in broker.published if p.connection == 8 and p.topic.endswith("alert")]
            )
            assert one.link.troubles == {}

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
                patch.setattr("agent.runtime.kernel_clock.since_boot_s", later)
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

        def greet(session: int) -> list[Message]:
            greeted.append(session)
            return status(session)

        async with ScriptedBroker() as broker, run(tmp_path, broker, greet=greet):
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


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_packet_that_is_too_large_ends_receipts_once_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """A broker that heeds no Maximum Packet Size gives what is retained at each subscription, or keeps it in
    the session. The next connection has neither, and all goes on but pushes."""
    monkeypatch.setattr("agent.mqtt.connection.MOST_PACKET", 5000)

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            subscribe = broker._subscribe

            def give(rest: bytes) -> None:
                before = len(broker.subscribed)
                subscribe(rest)
                if f"{UP}/config/desired" in broker.subscribed[before:]:
                    broker.send(f"{UP}/config/desired", b"x" * 6000)

            monkeypatch.setattr(broker, "_subscribe", give)
            async with run(tmp_path, broker, protocol=protocol, owed=[message()]) as one:
                await until(lambda: one.link.troubles)
                assert one.link.troubles == {
                    "config": f"pushes are not heard: the broker sent {broker_bytes(protocol)} bytes at once"
                }
                assert [connect.clean_start for connect in broker.connects] == [False, True]
                await until(lambda: len(broker.subscribed) > 5)
                assert f"{UP}/receipt" in broker.subscribed[5:]
                assert f"{UP}/config/desired" not in broker.subscribed[5:]
                await until(lambda: len(ids(broker.published)) >= 1)

    play(scene)


@pytest.mark.parametrize("name", ["command/ping", "command/+", "alert/ack"])
def test_what_is_too_large_on_another_topic_ends_the_connection_twice_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever may send commands may leave a large one there retained: receipts and alerts go on."""
    monkeypatch.setattr("agent.mqtt.connection.MOST_PACKET", 5000)

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            subscribe = broker._subscribe

            def give(rest: bytes) -> None:
                before = len(broker.subscribed)
                subscribe(rest)
                filter_ = "command/+" if name.startswith("command") else name
                if f"{UP}/{filter_}" in broker.subscribed[before:]:
                    broker.send(f"{UP}/{name}", b"x" * 6000)

            monkeypatch.setattr(broker, "_subscribe", give)
            async with run(tmp_path, broker, protocol="3.1.1", owed=[message()]) as one:
                await until(lambda: len(broker.connects) == 3 and one.link.troubles)
                await until(lambda: broker.subscribed[-2:] == [f"{UP}/receipt", SPEAKER.host_status])
                assert "pushes, commands and answers are not heard" in one.link.troubles["config"]
                await one.outbox.put(another := message())
                await until(lambda: another.id in ids(broker.published))
                assert len(broker.connects) == 3
                assert len(ids(broker.published)) >= 2

    play(scene)


def broker_bytes(protocol: str) -> int:
    """A PUBLISH without its fixed header: topic, number, properties, payload."""
    return 2 + len(f"{UP}/config/desired") + 2 + (protocol == "5") + 6000


def test_a_receipt_of_the_old_form_deletes_nothing_and_is_logged_once(
    tmp_path: Path,
) -> None:
    """Numbers name other messages once a store was restored from an image."""

    async def scene() -> None:
        one = message()
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=[one]) as link:
            await until(lambda: ids(broker.published))
            sent = json.loads(broker.payloads("/alert")[0])
            old = encode({"epoch": sent["epoch"], "lane": "alert", "received": [[1, 2**62]]})
            for number in (1, 2, 3):
                broker.send(f"{UP}/receipt", old, number=number)
            await until(lambda: broker.acknowledged == [1, 2, 3])
            assert await link.owed("alert") == 1
            broker.send(f"{UP}/receipt", encode({"ids": [one.id]}), number=4)
            await until(lambda: not_owed(link, "alert"))

    with structlog.testing.capture_logs() as logs:
        play(scene)
    (said,) = [entry for entry in logs if entry["event"] == "receipt_malformed"]
    assert said["reason"] == "ids: Field required"
    assert '"ids"' in said["right"]


@pytest.mark.parametrize(
    ("comes", "cause"),
    [
        ([], "check its rights"),
        ([("command/ping", b"{}")], "has not said whether it is there"),
        ([(None, b'{"state":"online"}')], "is online, but gives no receipt"),
        ([("receipt", b'{"received":[[1,9]]}')], "name no message ids"),
        ([(None, b'{"state":"offline"}')], "the centre says that it is offline"),
    ],
)
def test_a_device_without_receipts_says_so_and_the_likely_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes: list[tuple[str | None, bytes]], cause: str
) -> None:
    """A deaf device said that it is well: the broker grants a subscription that its rights then deny."""
    monkeypatch.setattr("agent.mqtt.receipts.TROUBLE_AFTER_S", 0.1)

    async def scene() -> None:
        one = message()
        async with (
            ScriptedBroker() as broker,
            run(tmp_path, broker, owed=[one], resend_after="0.2s") as link,
        ):
            await until(lambda: ids(broker.published))
            assert "receipts" not in link.link.troubles
            for topic, payload in comes:
                broker.send(f"{UP}/{topic}" if topic else SPEAKER.host_status, payload)
            await until(lambda: cause in link.link.troubles.get("receipts", ""))
            broker.send(f"{UP}/receipt", encode({"ids": [one.id]}), number=9)
            await until(lambda: "receipts" not in link.link.troubles)

    play(scene)


def test_a_status_that_is_too_large_is_shortened_and_says_why(tmp_path: Path) -> None:
    """Else the one message that could tell that nothing is taken is itself not taken."""
    reasons = [
        f"cam{number}: no picture for 120 s, and it may be that nobody is seen" for number in range(30)
    ]

    def greet(session: int) -> list[Message]:
        fields = {"state": "degraded", "reasons": reasons, "config": {"sha256": "0" * 64}}
        clock, at = {"source": "ntp"}, datetime.now(UTC)
        return [
            SPEAKER.message(
                "status/1",
                fields,
                lane="status",
                topic="status",
                session=session,
                clock=clock,
                at=at,
                retain=True,
            )
        ]

    async def scene() -> None:
        large = message(size=900)
        for most in (500, 300):
            async with (
                ScriptedBroker(limits={MAXIMUM_PACKET_SIZE: most}) as broker,
                run(tmp_path / str(most), broker, greet=greet, owed=[large]) as link,
            ):
                await until(lambda broker=broker: broker.payloads("/status"))
                said = json.loads(broker.payloads("/status")[0])
                assert said["state"] == "degraded"
                assert said["reasons"][-1].startswith("and ")
                await until(lambda link=link: "alert aside" in link.link.troubles)
                assert len(broker.connects) == 1

    with structlog.testing.capture_logs() as logs:
        play(scene)
    assert [entry["topic"] for entry in logs if entry["event"] == "message_too_large"] == ["alert"] * 2


def test_what_is_critical_overtakes_a_lane_that_waits_its_turn_after_a_centre_came_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody received; the centre comes: the fleet's backlog is spread over seconds, what is critical is not."""
    monkeypatch.setattr("agent.mqtt.sender.NO_SUBSCRIBERS_WAIT_S", 60.0)
    monkeypatch.setattr("agent.mqtt.receiver.SPREAD_S", 1000.0)
    monkeypatch.setattr("agent.mqtt.receiver.random.uniform", lambda _low, high: high)

    async def scene() -> None:
        critical, info = message(rank=0), message(rank=2)
        codes = {critical.id: NO_SUBSCRIBERS, info.id: NO_SUBSCRIBERS}
        async with (
            ScriptedBroker(answer=lambda p: codes.get(json.loads(p.payload)["id"], SUCCESS)) as broker,
            run(tmp_path, broker, owed=[critical, info]) as link,
        ):
            await until(lambda: "nobody receives it" in link.link.troubles.get("alert", ""))
            codes.clear()
            before = len(ids(broker.published))
            broker.send(SPEAKER.host_status, b'{"state":"online"}')
            await until(lambda: len(ids(broker.published)) > before)
            await link.outbox.put(message("result"))
            await until(lambda: ids(broker.published, "command/result"))
            assert ids(broker.published)[before:] == [critical.id]

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
