"""A separate broker connection for one command: opened, used, closed."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import click
from pydantic import ValidationError

from agent.host.clock import NEVER_BEFORE
from agent.host.entropy import token_hex
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_either
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_INTERRUPTED, EX_UNAVAILABLE, EX_USAGE

FIRST_FAILURE_CODE = 0x80
"""Reason codes from this value up are failures."""

AT_A_DESK = {
    "this device's certificate": "the certificate RINGPOST_CERT",
    "a certificate of this device: set broker.cert and broker.key": "a certificate, RINGPOST_CERT",
    "this device's clock": "this machine's clock",
}
"""Words of `agent.mqtt.tls`, and what they are at a desk."""


def run_with_broker(url: str, work: Callable[[Connection], Awaitable[int]]) -> int:
    """Runs ``work`` on a connection of its own and returns its exit code, as `run_at_broker`."""

    async def session() -> int:
        connection = await open_session(url)
        try:
            return await work(connection)
        finally:
            connection.close()

    return run_at_broker(url, session)


def run_at_broker(url: str, session: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs ``session``, which opens its connections itself, and returns its exit code.

    2: invalid URL or environment; 69: broker unreachable; 78: unusable certificate; 130: interrupted.
    """
    try:
        if (problem := certificate_problem(broker_settings(url))) is not None:
            click.echo(f"broker: {problem}", err=True)
            return EX_CONFIG
        return asyncio.run(session())
    except ValidationError as error:
        click.echo(describe_broker_error(error), err=True)
        return EX_USAGE
    except BrokenPipeError:  # the reader of the pipe has closed it, as `| head` does
        raise
    except OSError as error:
        click.echo(f"broker: {error}", err=True)
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return EX_INTERRUPTED


def broker_settings(url: str) -> Broker:
    """The broker at ``url``; RINGPOST_CA, _CERT, _KEY, _PROTOCOL and _INSECURE supply the other settings."""
    environment = {
        name: os.environ.get(f"RINGPOST_{name.upper()}") for name in ("ca", "cert", "key", "protocol")
    }
    fields: dict[str, Any] = {name: value for name, value in environment.items() if value and name != "key"}
    if environment["key"]:
        fields["key"] = {"file": environment["key"]}
    return Broker(url=url, insecure=os.environ.get("RINGPOST_INSECURE") == "1", **fields)


def describe_broker_error(error: ValidationError) -> str:
    """The first error in the broker URL or the environment variables, in one line."""
    detail = error.errors(include_url=False)[0]
    where = f"RINGPOST_{str(detail['loc'][0]).upper()}" if detail["loc"] else "--broker"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"


async def open_session(url: str) -> Connection:
    """A connection with a random client id and no persistent session. OSError as `open_either`."""
    client_id = f"ringpost-desk-{token_hex(8)}"
    try:
        return await open_either(
            broker_settings(url), client_id, None, session_expiry_s=0, fall_back=allows_mqtt_311()
        )
    except OSError as error:
        if (text := at_a_desk(str(error))) != str(error):
            raise OSError(text) from error
        raise


def at_a_desk(text: str) -> str:
    """The error of a connection, for somebody who has no device at hand: a desk, or the centre."""
    for device, desk in AT_A_DESK.items():
        text = text.replace(device, desk)
    return text


def allows_mqtt_311() -> bool:
    """Whether MQTT 3.1.1 is tried where the broker refuses MQTT 5: unless RINGPOST_PROTOCOL is set."""
    return not os.environ.get("RINGPOST_PROTOCOL")


def certificate_problem(broker: Broker) -> str | None:
    """Why the CA, certificate or key of ``broker`` is unusable, in one line; None if they are usable."""
    try:
        if broker.encrypted:
            broker.tls(NEVER_BEFORE)
    except OSError as error:
        return describe_error(error)
    return None


async def messages_on(
    connection: Connection,
    topics: Sequence[str],
    within_s: float,
    *,
    send: Callable[[], object] = lambda: None,
    then_s: float | None = None,
) -> AsyncIterator[tuple[str, bytes]]:
    """Subscribes to ``topics`` (``+`` stands for one level), calls ``send``, yields topic and payload.

    Ends after ``within_s`` without a message; after the first message, ``then_s`` applies instead.
    OSError: the connection is lost, or the broker refuses the subscription or a publication.
    """
    number = connection.subscribe(topics)
    send()
    loop = asyncio.get_running_loop()
    last_s = loop.time()
    while loop.time() - last_s < within_s:
        match await connection.event(0.5):
            case ("lost", reason):
                raise OSError(f"connection lost: {reason}")
            case ("subscribed", mid, codes) if mid == number:
                check_subscribed(topics, codes)
            case ("published", _, code) if code.value >= FIRST_FAILURE_CODE:
                raise OSError(f"refused: {str(code).lower()}: the broker's ACL does not allow it")
            case ("message", message):
                connection.acknowledge(message)
                if any(topic_matches(message.topic, topic) for topic in topics):
                    last_s, within_s = loop.time(), then_s or within_s
                    yield message.topic, message.payload


def topic_matches(topic: str, topic_filter: str) -> bool:
    """Whether a topic fits a filter, in which ``+`` stands for any one level."""
    levels, wanted = topic.split("/"), topic_filter.split("/")
    return len(levels) == len(wanted) and all(
        want in ("+", level) and level for level, want in zip(levels, wanted, strict=True)
    )


def check_subscribed(topics: Sequence[str], codes: Sequence[Any]) -> None:
    """OSError where the broker refuses one of ``topics``."""
    refused = [topic for topic, code in zip(topics, codes, strict=False) if code.value >= FIRST_FAILURE_CODE]
    if refused:
        raise OSError(f"not allowed to subscribe to {refused[0]}: see the broker's ACL")
