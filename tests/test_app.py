"""What the agent does with its parts."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.alerts.tally import AlertTally
from agent.app import Agent
from agent.commands.requests import Resend
from agent.commands.under_way import UnderWay
from agent.control.order_gate import OrderGate
from agent.domain.observations import Observation
from agent.inbound import Inbound
from agent.outbox.rows import ResendResult
from agent.pipeline import Pipeline
from agent.privacy.rescue_grant import Grant, Privacy, RescueGrants
from agent.runtime.health import Health, Running
from agent.runtime.running_parts import RunningParts
from firmware_bridge.mavlink.signing import ReplayWindow
from firmware_bridge.readings import Switch
from firmware_bridge.secret import Secret
from tests.signing import signed, trust_of

TALLY = AlertTally(since="2026-11-30T12:00:00Z", raised=3)


def test_a_part_that_will_not_end_does_not_swallow_the_time_limit_of_a_push() -> None:
    """An adapter that hangs as it is closed: the trial is over in time, and can be rolled back."""

    async def scene() -> None:
        released = asyncio.Event()

        async def hangs() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await released.wait()

        health = Health()
        health.set_running("board", Running("running"), 0)
        task = asyncio.ensure_future(hangs())
        await asyncio.sleep(0)
        parts = RunningParts(health)
        parts.tasks["board"] = task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await parts.end("board")
        assert (parts.tasks, health.parts(1), task.done()) == ({}, [], False)
        released.set()
        await asyncio.wait([task])

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_a_listener_that_fails_keeps_no_rule_from_hearing() -> None:
    heard: list[Observation] = []

    def fail(_: Observation) -> None:
        raise KeyError("a bug")

    def judge(observation: Observation, *_: Any) -> list[Any]:
        heard.append(observation)
        return []

    broken = SimpleNamespace(on_observation=fail)
    well = SimpleNamespace(on_observation=lambda _: [])
    parts = dict.fromkeys(("health", "clock", "reporter", "recorder", "history"), broken)
    rules, locator = SimpleNamespace(on_observation=judge), SimpleNamespace(with_doubt=lambda one: one)
    pipeline: Any = SimpleNamespace(
        **parts,
        verifier=SimpleNamespace(looks=broken),
        locator=locator,
        rules=rules,
        actuators=well,
        watchers=(),
        raise_alerts=lambda *_: None,
    )
    press = Observation("board", datetime.now(UTC), 0.0, Switch(name="panic_button", on=True))
    Pipeline.observe(pipeline, press)
    assert heard == [press]


def test_what_was_heard_signed_is_kept_with_what_is_written() -> None:
    """So that it is not taken again after a reboot."""
    written: list[dict[str, bytes]] = []

    async def write(remember: dict[str, bytes]) -> list[Any]:
        written.append(remember)
        return []

    async def scene() -> None:
        book = SimpleNamespace(unsaved=True, dump=lambda: b"[]")
        buffer, liveness = SimpleNamespace(write=write), SimpleNamespace(on_write=lambda: None)
        heard = ReplayWindow()
        pipeline: Any = SimpleNamespace(
            order_counters=dict, buffer=buffer, book=book, liveness=liveness, tally=TALLY, replay_window=heard
        )
        await Pipeline.write_buffered(pipeline)
        heard.streams_of(b"key")[1, 1, 1] = 7
        await Pipeline.write_buffered(pipeline)
        kept = {"alerts/active": b"[]", "alerts/tally": TALLY.model_dump_json().encode()}
        assert written == [kept, {**kept, "signed": heard.dump()}]

    asyncio.run(scene())


def test_an_answer_is_acknowledged_to_the_broker_once_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a power cut forgets it, and the broker does not send it again."""

    async def scene() -> None:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        told: list[Any] = []
        monkeypatch.setattr("agent.inbound.acknowledge", lambda *_: "the alert")
        pipeline: Any = SimpleNamespace(
            book=SimpleNamespace(active=list), raise_alerts=lambda alerts, _: told.extend(alerts),
            buffer=SimpleNamespace(written=lambda: kept),
        )  # fmt: skip
        inbound: Any = SimpleNamespace(pipeline=pipeline)
        commands: Any = None
        refuse: Any = None
        gate = OrderGate(
            trust_of("d"), commands, take_push=refuse, acknowledge=partial(Inbound._acknowledge, inbound),
            refuse_push=refuse,
        )  # fmt: skip
        ack = signed("ack", "d", {"alert_id": "a", "role": "officer"})
        heard = asyncio.ensure_future(gate.on_message("alert/ack", ack, None, False))
        await asyncio.sleep(0)
        assert (told, heard.done()) == (["the alert"], False)
        kept.set_result(None)
        await asyncio.wait_for(heard, 60)

    asyncio.run(scene())


def test_an_alert_whose_picture_fails_is_told_all_the_same() -> None:
    asked: list[Any] = []

    def fail(alert_id: str, *_: Any) -> None:
        asked.append(alert_id)
        raise ZeroDivisionError("a bug")

    pipeline: Any = SimpleNamespace(recorder=SimpleNamespace(on_alert=fail))
    alert: Any = SimpleNamespace(alert_id="a", policy=SimpleNamespace(rule="rail"), finding=None)
    assert (Pipeline.take_picture(pipeline, alert, 0.0), asked) == ([], ["a"])


@pytest.mark.parametrize(("error", "fed"), [(OSError(28, "full"), 1), (RuntimeError("a bug"), 0)])
def test_a_write_that_fails_for_no_reason_of_the_disk_is_no_progress(error: Exception, fed: int) -> None:
    async def write(_: Any) -> list[Any]:
        raise error

    count: list[int] = []
    liveness = SimpleNamespace(on_write=lambda: count.append(1))
    book = SimpleNamespace(unsaved=True, dump=lambda: b"[]")
    pipeline: Any = SimpleNamespace(
        order_counters=dict,
        buffer=SimpleNamespace(write=write),
        book=book,
        liveness=liveness,
        tally=TALLY,
        replay_window=ReplayWindow(),
    )
    with pytest.raises(type(error)):
        asyncio.run(Pipeline.write_buffered(pipeline))
    assert (len(count), book.unsaved) == (fed, True)


def test_what_is_active_is_written_again_where_a_write_failed() -> None:
    """An alert that was closed, with nothing else to say: else it came back with the next start."""
    written: list[bytes] = []
    fails: list[BaseException] = [OSError("disk full"), asyncio.CancelledError(), RuntimeError("a bug")]

    class Book:
        unsaved = True

        def dump(self) -> bytes:
            self.unsaved = False
            return b"[]"

    async def write(remember: dict[str, bytes]) -> list[Any]:
        if fails:
            raise fails.pop(0)
        written.append(remember["alerts/active"])
        return []

    class Empty:
        def __bool__(self) -> bool:
            return False

    async def scene() -> None:
        buffer: Any = Empty()
        buffer.write = write
        liveness = SimpleNamespace(on_write=lambda: None)
        pipeline: Any = SimpleNamespace(
            order_counters=dict, buffer=buffer, book=Book(), liveness=liveness, tally=TALLY,
            replay_window=ReplayWindow(),
        )  # fmt: skip
        for error in list(map(type, fails)):
            with pytest.raises(error):
                await Pipeline.write_buffered(pipeline)
            assert pipeline.book.unsaved
        await Pipeline.write_buffered(pipeline)
        await Pipeline.write_buffered(pipeline)
        assert written == [b"[]"]

    asyncio.run(scene())


def test_a_centre_that_asks_again_hears_how_much_comes() -> None:
    said: list[dict[str, Any]] = []

    async def done(fields: dict[str, Any]) -> None:
        said.append(fields)

    async def resend(lane: str, epoch: str, ranges: list[tuple[int, int]]) -> ResendResult:
        if epoch == "broken":
            raise OSError("disk I/O error")
        assert (lane, ranges) == ("alert", [(7, 16)])
        return ResendResult(8, 1, ((9, 9, 1),))

    async def scene() -> None:
        async with asyncio.TaskGroup() as group:
            inbound: Any = SimpleNamespace(
                outbox=SimpleNamespace(resend=resend), send_result=done, spawn=group.create_task
            )
            for epoch in ("e", "broken"):
                asked = Resend(id="1", lane="alert", epoch=epoch, ranges=[(7, 16)])
                assert await Inbound.resend(inbound, asked, {"command_id": "1"}) == "accepted"

    asyncio.run(scene())
    assert said == [
        {"command_id": "1", "state": "succeeded", "again": 8, "owed": 1, "missing": 1},
        {"command_id": "1", "state": "failed", "reason": "disk I/O error"},
    ]


def test_a_grant_that_can_not_be_kept_shows_nobody(tmp_path: Path) -> None:
    """It is answered as failed; so nobody may be shown."""
    (tmp_path / "key").write_text("k" * 40)
    expires = datetime.now(UTC) + timedelta(minutes=10)
    grant = Grant(id="g", expires=expires, role="watch-officer", reason="man in the water")
    grant = grant.model_copy(update={"signature": grant.expected_signature("d1", "k" * 40)})

    async def put(**_: Any) -> None:
        raise OSError("database or disk is full")

    rescue = RescueGrants("d1")
    privacy = Privacy(rescue_key=Secret(file=tmp_path / "key"))
    inbound: Any = SimpleNamespace(
        rescue=rescue,
        outbox=SimpleNamespace(put=put),
        deployment=SimpleNamespace(config=SimpleNamespace(privacy=privacy)),
    )
    with pytest.raises(OSError, match="full"):
        asyncio.run(Inbound.take_grant(inbound, grant, {}))
    assert rescue.active("cam1", datetime.now(UTC), time.monotonic()) is None


def test_the_link_says_stopped_after_every_source_has_ended() -> None:
    """What a source emits as it ends is written; nothing comes behind the last word."""
    order: list[str] = []

    async def end_part(name: str) -> None:
        order.append(f"end {name}")
        del agent.parts.tasks[name]

    async def write_buffered() -> None:
        order.append("write")
        raise OSError("disk full")

    def status(*_: Any, state: str) -> Any:
        order.append(state)
        return "the last word"

    async def stop_audit() -> None:
        order.append("audit")

    agent: Any = SimpleNamespace(
        parts=SimpleNamespace(tasks=dict.fromkeys(("link", "board", "elsewhere", "cam1")), end=end_part),
        pipeline=SimpleNamespace(write_buffered=write_buffered),
        reporter=SimpleNamespace(status=status),
        audit=SimpleNamespace(stop=stop_audit),
        link=SimpleNamespace(final_status=None),
        outbox=SimpleNamespace(holds=SimpleNamespace(release_all=lambda: order.append("release"))),
    )
    asyncio.run(Agent.stop(agent))
    assert order == [
        "release",
        "end board",
        "end elsewhere",
        "end cam1",
        "write",
        "audit",
        "stopped",
        "end link",
    ]
    assert agent.link.final_status == "the last word"


@pytest.mark.parametrize(
    ("state", "waiting", "sent"),
    [("rejected", 1000, 0), ("duplicate", 1000, 0), ("rejected", 999, 1), ("succeeded", 5000, 1)],
)
def test_results_of_commands_without_an_effect_are_dropped_while_many_wait(
    state: str, waiting: int, sent: int
) -> None:
    """Also then the counter of the order is kept: it must not count again after a restart."""
    put: list[tuple[int, dict[str, bytes]]] = []

    async def put_all(*messages: Any, remember: dict[str, bytes]) -> None:
        put.append((len(messages), remember))

    inbound: Any = SimpleNamespace(
        outbox=SimpleNamespace(known_depth={"result": waiting}, put=put_all),
        under_way=UnderWay(),
        gate=SimpleNamespace(settle_present=lambda: None),
        remembered=lambda: {"counters": b"7"},
        pipeline=SimpleNamespace(messages=SimpleNamespace(command_result=lambda *_: "message")),
    )
    asyncio.run(Inbound.send_result(inbound, {"command": "drill", "state": state}, {"ids": b"1"}))
    assert put == [(sent, {"ids": b"1", "counters": b"7"})]
