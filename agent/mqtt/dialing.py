"""Opens a connection: to the first broker that accepts it, in the version of MQTT that it supports."""

from collections.abc import Sequence
from datetime import datetime

from agent.host.clock import NEVER_BEFORE
from agent.host.network import connect
from agent.mqtt.broker import Broker
from agent.mqtt.connect_threads import run_in_thread
from agent.mqtt.connection import (
    CONNECT_WITHIN_S,
    SESSION_EXPIRY_S,
    WILL_DELAY_S,
    Connection,
)
from agent.mqtt.refusals import MovedError, UnsupportedProtocolError
from agent.runtime.supervisor import BusyError

RECEIVE_MOST = 50
"""Messages that wait in an agent for their effect; the broker keeps the rest of a flood."""


async def open_first(
    brokers: Sequence[Broker],
    client_id: str,
    will: tuple[str, bytes] | None,
    past: datetime,
    *,
    session_expiry_s: int = SESSION_EXPIRY_S,
    refusals: list[str] | None = None,
) -> tuple[Connection, Broker]:
    """A connection to the first broker that accepts it, and the broker. OSError names the reason of each,
    ``refusals`` gets them.

    A broker without MQTT 5 is connected in 3.1.1: the others need not support the version of the first. One
    that refers to another of ``brokers`` is followed there, and nowhere else. BusyError where one asks for
    patience.
    """
    refusals = [] if refusals is None else refusals
    failure: type[OSError] = OSError
    left = list(brokers)
    while left:
        broker = left.pop(0)
        try:
            connection = await open_either(
                broker, client_id, will, past, session_expiry_s=session_expiry_s, receive_most=RECEIVE_MOST
            )
        except OSError as error:
            refusals.append(str(error))
            if isinstance(error, BusyError):
                failure = BusyError
            if isinstance(error, MovedError):
                left = _first_at(error.reference, left)
        else:
            return connection, broker
    raise failure("; ".join(refusals) or "there is no further broker")


def _first_at(reference: str, brokers: Sequence[Broker]) -> list[Broker]:
    """The brokers, that at ``reference`` first."""
    return sorted(brokers, key=lambda broker: not broker.is_at(reference))


async def open_either(
    broker: Broker,
    client_id: str,
    will: tuple[str, bytes] | None,
    past: datetime = NEVER_BEFORE,
    *,
    session_expiry_s: int = SESSION_EXPIRY_S,
    fall_back: bool = True,
    receive_most: int = 65_535,
    will_delay_s: int = WILL_DELAY_S,
) -> Connection:
    """A connection with MQTT 5 or, if the broker does not support it and ``fall_back``, 3.1.1. OSError."""
    versions = [broker]
    if fall_back and broker.protocol == "5":
        versions.append(broker.model_copy(update={"protocol": "3.1.1"}))
    for version in versions:
        connection = Connection(
            version, client_id, will, past, session_expiry_s=session_expiry_s, receive_most=receive_most,
            will_delay_s=will_delay_s,
        )  # fmt: skip
        try:
            await connection.open()
        except UnsupportedProtocolError:
            connection.close()
            if version is versions[-1]:
                raise
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("the loop returns or raises")


async def open_beside(broker: Broker, client_id: str) -> tuple[Connection, str]:
    """A connection beside that of the agent, and its version of MQTT: 5, or 3.1.1 where that is refused.

    OSError: both fail. Close it with ``session_expiry_s`` `SESSION_EXPIRY_S` where it was ``resumed``: some
    brokers use the certificate name as client id, and it is the session of the agent.
    """
    older = broker.model_copy(update={"protocol": "3.1.1"})
    if broker.protocol == "3.1.1":
        return await open_either(older, client_id, None, session_expiry_s=0), "3.1.1"
    try:
        expiry_s = SESSION_EXPIRY_S  # shorter, it would shorten a session that is resumed
        return await open_either(broker, client_id, None, session_expiry_s=expiry_s, fall_back=False), "5"
    except UnsupportedProtocolError as refusal:
        try:
            return await open_either(older, client_id, None, session_expiry_s=0), "3.1.1"
        except OSError as error:
            raise OSError(f"{refusal}; {error}") from error


async def is_reachable(broker: Broker, past: datetime) -> bool:
    """Whether the broker's address accepts a connection, with TLS where configured; no MQTT is spoken."""

    def handshake() -> bool:
        with connect(broker.address, CONNECT_WITHIN_S) as sock:
            if broker.encrypted:
                broker.tls(past).wrap_socket(sock, server_hostname=broker.address[0]).close()
        return True

    try:
        return await run_in_thread(handshake, f"{broker.address[0]}:{broker.address[1]}")
    except (OSError, ValueError):
        return False
