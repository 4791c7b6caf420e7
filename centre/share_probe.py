"""Whether a broker delivers by shared subscription: some grant it, and deliver nothing."""

import asyncio
from contextlib import suppress

from agent.host.entropy import token_hex
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_either
from centre.batches import REFUSED

PROBE_WITHIN_S, TAKEN_WITHIN_S = 5.0, 1.0


async def share_problem(broker: Broker, root: str) -> str | None:
    """Why workers can't share the messages of this broker, in one line; None where they can. OSError where
    the broker is not reached.

    A message of our own has to come back. It goes to a topic that no device has.
    """
    connection = await open_either(broker, f"ringpost-probe-{token_hex(6)}", None, session_expiry_s=0)
    try:
        if not connection.mqtt5:
            return "it speaks MQTT 3.1.1 only"
        topic = f"{root}/host/probe/{token_hex(8)}"
        number = connection.subscribe([f"$share/ringpost-probe-{token_hex(4)}/{topic}"])
        with suppress(TimeoutError):
            async with asyncio.timeout(PROBE_WITHIN_S):
                while True:
                    match await connection.event(0.5):
                        case ("lost", reason):
                            return f"it ended the connection at a shared subscription: {reason}"
                        case ("subscribed", mid, codes) if mid == number:
                            if any(code.value >= REFUSED for code in codes):
                                return f"it refuses a shared subscription: {str(codes[0]).lower()}"
                            connection.publish(topic, b"{}", 1, False)
                        case ("published", _, code) if code.value >= REFUSED:
                            return f"it refuses a message to {topic}: {str(code).lower()}"
                        case ("message", message):
                            connection.acknowledge(message)
                            return await _name_problem(broker, connection)
        return "it grants a shared subscription and delivers nothing by it"
    finally:
        connection.close(session_expiry_s=0)


async def _name_problem(broker: Broker, connection: Connection) -> str | None:
    """Whether the broker takes the certificate name as client id: the sessions of a worker and of the
    registrar would end each other."""
    if broker.cert is None:
        return None
    other = await open_either(broker, f"ringpost-probe-{token_hex(6)}", None, session_expiry_s=0)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(TAKEN_WITHIN_S):
                while True:
                    match await connection.event(0.5):
                        case ("lost", _):
                            return "it takes the certificate name as client id: see docs/centre.md"
    finally:
        other.close(session_expiry_s=0)
    return None
