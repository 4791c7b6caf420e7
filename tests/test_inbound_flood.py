"""A flood of messages to a device: the broker keeps what must not be lost, and the device's memory is bounded."""

import asyncio
from types import SimpleNamespace
from typing import Any

from agent.domain.message import ROOT
from agent.host.clock import NEVER_BEFORE
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import RECEIVE_MOST, open_first
from agent.mqtt.envelope import Envelope
from agent.mqtt.receiver import MOST_UNACKNOWLEDGED, MessageReceiver
from simulators.broker import LocalBroker
from tests.end_to_end.rig import NEEDS_MOSQUITTO

TOPIC = f"{ROOT}/d/command/drill"


@NEEDS_MOSQUITTO
def test_the_broker_keeps_what_an_agent_has_not_acknowledged() -> None:
    sent = 4 * RECEIVE_MOST

    async def received(connection: Connection, acknowledge: bool) -> int:
        count = 0
        while (event := await connection.event(3.0)) is not None:
            if event[0] == "message":
                count += 1
                if acknowledge:
                    connection.acknowledge(event[1])
        return count

    async def scene() -> None:
        with LocalBroker("mosquitto") as broker:
            there = Broker(url=broker.url)
            connection, _ = await open_first([there], "d", None, NEVER_BEFORE)
            connection.subscribe([TOPIC])
            assert await connection.event(30.0) is not None
            desk = Connection(there, "desk", None, session_expiry_s=0)
            await desk.open()
            for _ in range(sent):
                desk.publish(TOPIC, b"{}", 1, False)
            while await desk.event(2.0) is not None:
                pass
            held: list[Any] = []
            while (event := await connection.event(3.0)) is not None:
                held += [event[1]] if event[0] == "message" else []
            assert len(held) == RECEIVE_MOST
            for message in held:
                connection.acknowledge(message)
            assert await received(connection, acknowledge=True) == sent - RECEIVE_MOST
            desk.close()
            connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_of_a_flood_without_acknowledgements_the_rest_is_dropped() -> None:
    async def scene() -> None:
        taken: list[str] = []
        waits = asyncio.Event()

        async def on_message(topic: str, *_: Any) -> None:
            taken.append(topic)
            await waits.wait()

        connection: Any = SimpleNamespace(acknowledge=lambda _: None)
        receipts: Any = SimpleNamespace(record_inbound=lambda: None)
        unused: Any = None
        receiver = MessageReceiver(
            connection, Envelope(device="d", root=ROOT), unused, on_message, receipts, unused, unused
        )
        for qos in (0, 1):
            for _ in range(3 * MOST_UNACKNOWLEDGED):
                receiver.add(
                    SimpleNamespace(topic=TOPIC, payload=b"", qos=qos, retain=False, properties=None)
                )
        waits.set()
        while receiver.handling or len(taken) < 4 * MOST_UNACKNOWLEDGED:
            await asyncio.sleep(0)
        receiver.close()
        assert len(taken) == 4 * MOST_UNACKNOWLEDGED  # all with an acknowledgement to come

    asyncio.run(asyncio.wait_for(scene(), 60))
