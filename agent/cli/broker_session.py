"""A connection of its own to the broker, for one command."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_either
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_INTERRUPTED, EX_UNAVAILABLE, EX_USAGE
from agent.runtime.kernel_clock import NEVER_BEFORE

if TYPE_CHECKING:
    pass

REFUSED = 0x80
"""Reason codes from here on are failures."""


def at_broker(url: str, work: Callable[[Connection], Awaitable[int]]) -> int:
    """Does ``work`` on a connection of its own. 69 where the broker is not reached."""

    async def visit() -> int:
        connection = await _visit(url)
        try:
            return await work(connection)
        finally:
            connection.close()

    try:
        if (trouble := unusable_files(broker_at(url))) is not None:
            click.echo(f"broker: {trouble}", err=True)
            return EX_CONFIG
        return asyncio.run(visit())
    except ValidationError as error:
        click.echo(bad_broker(error), err=True)
        return EX_USAGE
    except BrokenPipeError:  # whoever listened has gone, as `| head` does
        raise
    except OSError as error:
        click.echo(f"broker: {error}", err=True)
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return EX_INTERRUPTED


def broker_at(url: str) -> Broker:
    """The broker at ``url``, with what RINGPOST_CA, _CERT, _KEY, _PROTOCOL and _INSECURE say of it."""
    found = {name: os.environ.get(f"RINGPOST_{name.upper()}") for name in ("ca", "cert", "key", "protocol")}
    fields: dict[str, Any] = {name: value for name, value in found.items() if value and name != "key"}
    if found["key"]:
        fields["key"] = {"file": found["key"]}
    return Broker(url=url, insecure=os.environ.get("RINGPOST_INSECURE") == "1", **fields)


def bad_broker(error: ValidationError) -> str:
    """What is wrong with the broker's address or with the environment, in one line."""
    detail = error.errors(include_url=False)[0]
    where = f"RINGPOST_{str(detail['loc'][0]).upper()}" if detail["loc"] else "--broker"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"


async def _visit(url: str) -> Connection:
    """A connection whose session ends with it, under a client id of its own. OSError as `open_either`."""
    client_id = f"ringpost-desk-{secrets.token_hex(8)}"
    return await open_either(broker_at(url), client_id, None, session_expiry_s=0, fall_back=falls_back())


def falls_back() -> bool:
    """Whether a broker that refuses MQTT 5 is asked in 3.1.1: unless RINGPOST_PROTOCOL names a version."""
    return not os.environ.get("RINGPOST_PROTOCOL")


def unusable_files(broker: Broker) -> str | None:
    """What is wrong with the authority, certificate or key that the environment names, in one line."""
    try:
        if broker.encrypted:
            broker.tls(NEVER_BEFORE)
    except OSError as error:
        return describe_error(error)
    return None


async def answers_on(
    connection: Connection,
    topics: Sequence[str],
    within_s: float,
    *,
    ask: Callable[[], object] = lambda: None,
    then_s: float | None = None,
) -> AsyncIterator[tuple[str, bytes]]:
    """Topic and payload of what comes on ``topics`` (exactly, or ending in ``/+``), once ``ask`` was called.

    Ends where nothing came for ``within_s``, or for ``then_s`` after the first. OSError: the connection is
    lost, or the broker refuses what was asked.
    """
    number = connection.subscribe(topics)
    ask()
    loop = asyncio.get_running_loop()
    last_s = loop.time()
    while loop.time() - last_s < within_s:
        match await connection.event(0.5):
            case ("lost", reason):
                raise OSError(f"connection lost: {reason}")
            case ("subscribed", mid, codes) if mid == number:
                _check_subscribed(topics, codes)
            case ("published", _, code) if code.value >= REFUSED:
                raise OSError(f"refused: {str(code).lower()}: the broker's access rights do not allow this")
            case ("message", message):
                connection.acknowledge(message)
                if any(_is_on(message.topic, topic) for topic in topics):
                    last_s, within_s = loop.time(), then_s or within_s
                    yield message.topic, message.payload


def _is_on(topic: str, wanted: str) -> bool:
    if not wanted.endswith("/+"):
        return topic == wanted
    head, _, tail = topic.rpartition("/")
    return head == wanted[:-2] and bool(tail)


def _check_subscribed(topics: Sequence[str], codes: Sequence[Any]) -> None:
    refused = [topic for topic, code in zip(topics, codes, strict=False) if code.value >= REFUSED]
    if refused:
        raise OSError(f"not allowed to subscribe to {refused[0]}: see the broker's access rights")
