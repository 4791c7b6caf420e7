"""The broker before is tried where the one that was pushed does not work, and only then."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.config.loader import digest, parse
from agent.config.model import Config
from agent.push_trial import PushTrials
from tests.test_deployment import LOCAL, MOVED, Device
from tests.waiting import until


@pytest.mark.parametrize(
    ("well", "answering", "gone_back"),
    [(False, True, True), (False, False, False), (True, True, False)],
    ids=["not well, the old one answers", "nobody answers: it is the network", "well"],
)
def test_who_is_looked_for_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, well: bool, answering: bool, gone_back: bool
) -> None:
    monkeypatch.setattr("agent.push_trial.FALLBACK_CHECK_EVERY_S", 0.01)
    monkeypatch.setattr("agent.push_trial.FALLBACK_AFTER_S", 0.05)
    device = Device(tmp_path)
    assert device.push(MOVED, 1)["state"] == "applied"
    asked: list[str] = []
    ran: list[str] = []

    async def answers(broker: Any, _: Any) -> bool:
        asked.append(broker.url)
        return answering

    monkeypatch.setattr("agent.push_trial.is_reachable", answers)

    async def apply(config: Config) -> None:
        ran.append(config.broker.url)

    async def nothing() -> None:
        pass

    class Link:
        past = None
        looks = 0

        @property
        def is_healthy(self) -> bool:
            self.looks += 1
            return well

    async def scene() -> None:
        link = Link()
        trials: Any = SimpleNamespace(
            deployment=device.deployment, pushes=asyncio.Queue(), apply=apply, prove=nothing,
            report=nothing, link=link,
        )  # fmt: skip
        trials.try_fallback = lambda: PushTrials.try_fallback(trials)
        task = asyncio.ensure_future(PushTrials.run(trials))

        def over() -> bool:
            if gone_back:
                return bool(ran) and device.deployment.reported()["state"] == "rolled_back"
            return bool(asked) or (well and link.looks > 20)

        await until(over)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(scene())
    assert bool(asked) is not well
    assert (ran == ["mqtt://127.0.0.1:1883"]) is gone_back
    answer = device.deployment.reported()
    assert answer["state"] == ("rolled_back" if gone_back else "applied")
    assert answer["active"]["sha256"] == digest(LOCAL if gone_back else MOVED)


@pytest.mark.parametrize(
    ("text", "needs_receipt"),
    [(MOVED, True), (MOVED.replace('1884"', '1884", delivery: puback'), False), (LOCAL, False)],
    ids=["another broker", "another broker without receipts", "the same broker"],
)
def test_another_broker_is_proved_by_a_receipt_of_the_centre(
    tmp_path: Path, text: str, needs_receipt: bool
) -> None:
    """Any broker acknowledges, also one without a centre."""
    device = Device(tmp_path)
    config = parse(text, name="", base=tmp_path)
    received = asyncio.Event()
    sent: list[Any] = []

    async def acknowledged() -> None:
        pass

    async def receipt_of(message_id: str) -> None:
        assert message_id == "m1"
        await received.wait()

    async def put(message: Any) -> None:
        sent.append(message)

    messages = SimpleNamespace(command_result=lambda *_: SimpleNamespace(id="m1"))
    trials: Any = SimpleNamespace(
        deployment=device.deployment, running=lambda: config, outbox=SimpleNamespace(put=put),
        link=SimpleNamespace(acknowledged=acknowledged, receipt_of=receipt_of),
        reporter=SimpleNamespace(messages=messages),
    )  # fmt: skip

    async def scene() -> None:
        proof = asyncio.ensure_future(PushTrials.prove(trials))
        if needs_receipt:
            await until(lambda: sent)
            assert not proof.done()
            received.set()
        await asyncio.wait_for(proof, 60)

    asyncio.run(scene())
    assert len(sent) == needs_receipt
