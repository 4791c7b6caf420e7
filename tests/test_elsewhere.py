"""A second connection, for alerts that nobody answered: it hears answers, and takes nothing else away."""

import asyncio

from agent.elsewhere import Elsewhere
from agent.topics import Message, Speaker
from agent.transport import Broker
from tests.scripted_broker import ScriptedBroker

SPEAKER = Speaker(device="d")
UP = SPEAKER.prefix
ALERT = Message(lane="alert", topic="alert", id="a", body=b'{"id":"a"}')


def test_an_answer_is_heard_and_what_is_meant_for_the_link_is_left_to_it() -> None:
    """The link was at this broker once, with the same session: what waits for it there comes here first."""
    came: list[tuple[str, bytes]] = []

    async def hear(topic: str, payload: bytes, _answer_to: str | None) -> None:
        came.append((topic, payload))

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            elsewhere = Elsewhere(SPEAKER, hear, lambda: not came, lambda: None)
            elsewhere.tell(ALERT)
            task = asyncio.ensure_future(elsewhere.run(Broker(url=broker.url)))
            while not broker.payloads("/alert"):
                await asyncio.sleep(0.01)
            broker.send(f"{UP}/command/output", b'{"id":"siren"}', number=5)
            broker.send(f"{UP}/alert/ack", b"{}", number=6)
            while not broker.goodbyes:
                await asyncio.sleep(0.01)
            task.cancel()
            assert (came, broker.acknowledged) == ([("alert/ack", b"{}")], [6])

    asyncio.run(asyncio.wait_for(scene(), 10))
