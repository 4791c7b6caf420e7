"""A second connection, for alerts that nobody answered: it hears answers, and takes nothing else away."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent.domain.message import Message
from agent.mqtt.broker import Broker
from agent.mqtt.envelope import Envelope
from agent.mqtt.fallback_notifier import FallbackNotifier
from tests.scripted_broker import ScriptedBroker
from tests.waiting import until

SPEAKER = Envelope(device="d")
UP = SPEAKER.prefix
FIRST = "mqtt://127.0.0.1:1"
"""Where the link is."""
ALERT = Message(lane="alert", topic="alert", id="a", body=b'{"id":"a"}')


def test_an_answer_is_heard_and_what_is_meant_for_the_link_is_left_to_it() -> None:
    """The link was at this broker once, with the same session: what waits for it there comes here first."""
    came: list[tuple[str, bytes]] = []

    async def hear(topic: str, payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        came.append((topic, payload))

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            elsewhere = FallbackNotifier(SPEAKER, hear, lambda: not came, lambda: FIRST)
            elsewhere.notify(ALERT)
            task = asyncio.ensure_future(elsewhere.run(Broker(url=broker.url)))
            await until(lambda: broker.payloads("/alert"))
            broker.send(f"{UP}/command/output", b'{"id":"siren"}', number=5)
            broker.send(f"{UP}/alert/ack", b"{}", number=6)
            await until(lambda: broker.goodbyes)
            task.cancel()
            assert (came, broker.acknowledged) == ([("alert/ack", b"{}")], [6])

    asyncio.run(asyncio.wait_for(scene(), 120))


async def nobody_hears(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
    raise AssertionError("nothing comes down")


def test_it_is_no_second_link_of_the_same_name_and_goes_where_the_link_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under one client id the two would take each other's session. Where the link is nowhere, all are its own."""
    monkeypatch.setattr("agent.mqtt.fallback_notifier.POLL_S", 0.0)
    at: list[str | None] = [None]
    asked: list[str | None] = []

    def taken() -> str | None:
        asked.append(at[0])
        return at[0]

    async def scene() -> None:
        async with ScriptedBroker() as one, ScriptedBroker() as other:
            elsewhere = FallbackNotifier(SPEAKER, nobody_hears, lambda: True, taken)
            elsewhere.notify(ALERT)
            brokers = Broker(url=one.url, fallbacks=(other.url,))
            task = asyncio.ensure_future(elsewhere.run(brokers))
            await until(lambda: len(asked) > 20)
            assert (one.connects, other.connects) == ([], [])
            at[0] = one.url
            await until(lambda: other.payloads("/alert"))
            assert [connect.client_id for connect in other.connects] == ["d-elsewhere"]
            at[0] = other.url  # the link comes here: this one goes
            with pytest.raises(OSError, match="the link itself is connected there now"):
                await task
            task = asyncio.ensure_future(elsewhere.run(brokers))
            await until(lambda: one.connects)
            assert len(other.connects) == 1
            task.cancel()

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_a_clock_behind_what_is_past_holds_it_up_no_more_than_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    past, asked = datetime(2099, 1, 1, tzinfo=UTC), []

    def tls(_: Broker, past: datetime) -> None:
        asked.append(past)
        raise OSError("no certificates here")

    monkeypatch.setattr(Broker, "tls", tls)
    elsewhere = FallbackNotifier(SPEAKER, nobody_hears, lambda: True, lambda: FIRST, past)
    elsewhere.notify(ALERT)
    with pytest.raises(OSError, match="no certificates here"):
        asyncio.run(elsewhere.run(Broker(url="mqtts://127.0.0.1:1")))
    assert asked == [past]
