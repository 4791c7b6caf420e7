"""Which broker to connect to, and in which version of MQTT."""

import socket
from collections.abc import Sequence
from datetime import datetime

from agent.mqtt.broker import Broker
from agent.mqtt.connect_threads import _aside
from agent.mqtt.connection import CONNECT_WITHIN_S, SESSION_EXPIRY_S, Connection, UnsupportedProtocolError
from agent.runtime.kernel_clock import NEVER_BEFORE


async def open_first(
    brokers: Sequence[Broker],
    client_id: str,
    will: tuple[str, bytes] | None,
    past: datetime,
    *,
    session_expiry_s: int = SESSION_EXPIRY_S,
) -> tuple[Connection, Broker]:
    """A connection to the first of them that takes us. OSError says what each of them said.

    One that refuses MQTT 5 is spoken to in 3.1.1: the others need not speak the version of the first.
    """
    refusals = []
    for one in brokers:
        try:
            connection = await open_either(one, client_id, will, past, session_expiry_s=session_expiry_s)
        except OSError as error:
            refusals.append(str(error))
        else:
            return connection, one
    raise OSError("; ".join(refusals) or "there is no further broker")


async def open_either(
    broker: Broker,
    client_id: str,
    will: tuple[str, bytes] | None,
    past: datetime = NEVER_BEFORE,
    *,
    session_expiry_s: int = SESSION_EXPIRY_S,
    fall_back: bool = True,
) -> Connection:
    """A connection with MQTT 5 or, if the broker refuses that and ``fall_back``, 3.1.1. OSError: neither."""
    versions = [broker]
    if fall_back and broker.protocol == "5":
        versions.append(broker.model_copy(update={"protocol": "3.1.1"}))
    for one in versions:
        connection = Connection(one, client_id, will, past, session_expiry_s=session_expiry_s)
        try:
            await connection.open()
        except UnsupportedProtocolError:
            connection.close()
            if one is versions[-1]:
                raise
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("the loop returns or raises")


async def answers(broker: Broker, past: datetime) -> bool:
    """Whether somebody listens at the broker's address, and TLS is as it should be; no more than that."""

    def greet() -> bool:
        with socket.create_connection(broker.address, CONNECT_WITHIN_S) as sock:
            if broker.encrypted:
                broker.tls(past).wrap_socket(sock, server_hostname=broker.address[0]).close()
        return True

    try:
        return await _aside(greet, f"{broker.address[0]}:{broker.address[1]}")
    except (OSError, ValueError):
        return False
