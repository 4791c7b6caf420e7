"""Messages that the broker does not take stay on disk, and hold up no other."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from agent.domain.message import Lane, Message
from tests.link_rig import SPEAKER, UP, clock_ahead, ids, message, not_owed, run
from tests.scripted_broker import (
    MAXIMUM_PACKET_SIZE,
    NO_SUBSCRIBERS,
    NOT_AUTHORIZED,
    QUOTA,
    SILENT,
    SUCCESS,
    ScriptedBroker,
)
from tests.waiting import play, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.runtime.supervisor.FIRST_WAIT_S", 0.02)


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


def test_a_broker_that_refuses_what_it_gets_is_not_proved(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedBroker(answer=lambda _: NOT_AUTHORIZED) as broker, run(tmp_path, broker) as one:
            await until(lambda: one.link.troubles)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.link.acknowledged(), 0.05)

    play(scene)


def test_what_waits_for_its_receipt_is_not_sent_again_beside_a_refused_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.mqtt.sender.REFUSED_WAIT_S", 0.02)

    async def scene() -> None:
        good, bad = message(), message()
        codes = {bad.id: NOT_AUTHORIZED}
        async with (
            ScriptedBroker(answer=lambda p: codes.get(json.loads(p.payload)["id"], SUCCESS)) as broker,
            run(tmp_path, broker, owed=[good, bad]) as one,
        ):
            await until(lambda: "alert aside" in one.link.troubles)
            sent = ids(broker.published)
            assert (sent.count(good.id), sent.count(bad.id)) == (1, 5)

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
            monkeypatch.setattr("agent.host.clock.since_boot_s", later)
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


def test_a_status_that_is_too_large_is_shortened_and_says_why(tmp_path: Path) -> None:
    """Else the one message that could tell that nothing is taken is itself not taken."""
    reasons = [
        f"cam{number}: no picture for 120 s, and it may be that nobody is seen" for number in range(30)
    ]

    def birth_messages(session: int) -> list[Message]:
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
                run(tmp_path / str(most), broker, birth_messages=birth_messages, owed=[large]) as link,
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
    monkeypatch.setattr("agent.mqtt.receiver.uniform", lambda _low, high: high)

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


def test_a_retained_online_ends_the_wait_of_a_lane_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came with the subscription, to this device alone: no fleet is to be spread."""
    monkeypatch.setattr("agent.mqtt.sender.NO_SUBSCRIBERS_WAIT_S", 1000.0)
    monkeypatch.setattr("agent.mqtt.receiver.uniform", lambda _low, _high: 1000.0)

    async def scene() -> None:
        info = message(rank=2)
        codes = {info.id: NO_SUBSCRIBERS}
        async with (
            ScriptedBroker(answer=lambda p: codes.get(json.loads(p.payload)["id"], SUCCESS)) as broker,
            run(tmp_path, broker, owed=[info]) as link,
        ):
            await until(lambda: "nobody receives it" in link.link.troubles.get("alert", ""))
            codes.clear()
            broker.send(SPEAKER.host_status, b'{"state":"online"}', retained=True)
            await until(lambda: ids(broker.published) == [info.id, info.id])

    play(scene)
