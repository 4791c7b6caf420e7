"""What the broker does not let a device hear is told, and asked for again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.mqtt.subscriptions import FIRST_WAIT_S, LONGEST_WAIT_S, Subscriptions
from agent.mqtt.topics import DOWN
from tests.link_rig import UP, run
from tests.scripted_broker import NOT_AUTHORIZED, ScriptedBroker
from tests.waiting import play, until


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "code"), [("5", NOT_AUTHORIZED), ("5", 0x80), ("3.1.1", 0x80)])
@pytest.mark.parametrize("refused", ["receipt", "config/desired", "alert/ack", "command/+"])
def test_a_refused_subscription_is_a_trouble(tmp_path: Path, protocol: str, code: int, refused: str) -> None:
    """Else a device that can get no receipt, push or answer would say that it is well."""

    async def scene() -> None:
        def grant(topic: str) -> int:
            return code if topic == f"{UP}/{refused}" else 1

        async with ScriptedBroker(grant=grant) as broker, run(tmp_path, broker, protocol=protocol) as one:
            await until(lambda: one.link.troubles)
            assert one.link.troubles == {
                "subscriptions": f"the broker refused the subscription to {refused} (0x{code:02x}): check its read rights"
            }

    play(scene)


def test_it_is_asked_for_again_and_then_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.mqtt.subscriptions.FIRST_WAIT_S", 0.05)

    async def scene() -> None:
        allowed = False

        def grant(topic: str) -> int:
            return 1 if allowed or not topic.endswith("receipt") else NOT_AUTHORIZED

        async with ScriptedBroker(grant=grant) as broker, run(tmp_path, broker) as one:
            await until(lambda: one.link.troubles)
            allowed = True
            await until(lambda: not one.link.troubles)
            again = broker.subscribed[len(DOWN) + 1 :]
            assert set(again) == {f"{UP}/receipt"}  # only what was refused

    play(scene)


def code(value: int) -> Any:
    return SimpleNamespace(value=value)


def test_it_is_asked_for_ever_more_seldom() -> None:
    asked: list[list[str]] = []

    def subscribe(topics: list[str]) -> int:
        asked.append(topics)
        return len(asked)

    connection: Any = SimpleNamespace(subscribe=subscribe)
    one = Subscriptions(connection, ["a/x", "a/y"], ["x", "y"])
    one.begin()
    assert one.acknowledged(1, [code(1), code(0x87)], 0.0) == ["y"]
    instants = []
    for second in range(3000):
        before = len(asked)
        one.retry(float(second))
        if len(asked) > before:
            instants.append(second)
            assert asked[-1] == ["a/y"]
            assert one.acknowledged(len(asked), [code(0x87)], float(second)) == []  # told once
    waits = [later - earlier for earlier, later in zip([0, *instants], instants, strict=False)]
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert max(waits) == LONGEST_WAIT_S
    assert one.acknowledged(99, [code(0x87)], 0.0) == []  # an answer to nothing
