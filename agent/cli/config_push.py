"""The technician's side: ``ringpost config get|push`` and ``ringpost watch``, over the broker."""

import asyncio
import json
import os
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from agent.config.loader import digest, parse
from agent.domain.durations import parse_duration
from agent.domain.message import encode
from agent.domain.yaml_loader import BadConfig, read_text
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_either
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_INTERRUPTED, EX_UNAVAILABLE, EX_USAGE
from agent.runtime.kernel_clock import NEVER_BEFORE
from agent.runtime.sanitize import as_dict, as_list, printable, readable

if TYPE_CHECKING:
    from agent.cli.watch import Board

CONFIRM_S = (2, 3600)
"""How long a push may be on trial; the device refuses another."""
ANSWER_WITHIN_S = 10.0
DONE = frozenset({"applied", "rejected", "rolled_back"})
REFUSED = 0x80
"""Reason codes from here on are failures."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""`watch` connects again after this, doubled each time."""


def get_command(device: str, url: str, root: str, as_json: bool) -> int:
    """Prints what the device reports of its configuration. 69 where it reports nothing."""

    async def work(connection: Connection) -> int:
        reported = await _reported(connection, f"{root}/{device}")
        if reported is None:
            click.echo(f"config: {device} has reported nothing on {root}; is its name right?", err=True)
            return EX_UNAVAILABLE
        _say(device, reported, as_json)
        return 0

    return at_broker(url, work)


def push_command(device: str, file: Path, confirm_within: str, url: str, root: str, as_json: bool) -> int:
    """Checks ``file`` here, pushes it, and waits for what becomes of it. 1 where it was not applied."""
    try:
        within_s = parse_duration(confirm_within).total_seconds()
        if not CONFIRM_S[0] <= within_s <= CONFIRM_S[1]:
            raise ValueError(f"--confirm-within: {confirm_within} is not between 2s and 1h")
        text = read_text(file)
        parse(text, name=str(file), base=file.resolve().parent)
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return EX_USAGE

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"
        before = await _reported(connection, prefix)
        if before is None:
            click.echo(f"config: {device} has reported nothing on {root}; is its name right?", err=True)
        highest = (before or {}).get("highest_revision")
        revision = 1 + (highest if isinstance(highest, int) and 0 <= highest < 2**52 else 0)
        sha256 = digest(text)
        push = {"revision": revision, "sha256": sha256, "confirm_within_s": within_s, "body": text}
        connection.publish(f"{prefix}/config/desired", encode(push), 1, True)
        click.echo(f"revision {revision} is on its way to {device}", err=True)
        limit_s = within_s + 2 * ANSWER_WITHIN_S
        answer = await _reported(
            connection,
            prefix,
            limit_s,
            lambda body: (
                (body.get("revision"), body.get("sha256")) == (revision, sha256)
                and str(body.get("state")) in DONE
            ),
        )
        if answer is None:
            click.echo(
                f"config: no answer within {limit_s:g} s; {device} gets it when it connects again", err=True
            )
            return EX_UNAVAILABLE
        _say(device, answer, as_json)
        return 0 if answer["state"] == "applied" else 1

    return at_broker(url, work)


def watch_command(devices: Sequence[str], url: str, root: str, duration: str | None, as_json: bool) -> int:
    """Shows each device's state, health and active alerts, live, until it is interrupted."""
    from agent.cli.watch import Board

    try:
        limit_s = None if duration is None else parse_duration(duration).total_seconds()
    except ValueError as error:
        click.echo(f"watch: {error}", err=True)
        return EX_USAGE

    topics = [
        f"{root}/{device}/{topic}"
        for device in devices or ("+",)
        for topic in ("status", "birth", "health", "position", "alert", "alerts/active")
    ]

    async def work(connection: Connection) -> int:
        with Board(as_json) as board:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await _watch(connection, board, topics, url, root)
            return 0

    code = at_broker(url, work)
    return 0 if code == EX_INTERRUPTED else code


async def _watch(first: Connection, board: "Board", topics: Sequence[str], url: str, root: str) -> None:
    """Shows what comes, for ever: a connection that is lost is made anew. OSError: not allowed to listen."""
    connection, wait_s = first, FIRST_WAIT_S
    loop = asyncio.get_running_loop()
    while True:
        opened_s = loop.time()
        try:
            await _show(connection, board, topics, root)
        except ConnectionError as error:
            trouble = str(error)
        finally:
            if connection is not first:
                connection.close()
        if loop.time() - opened_s > LONGEST_WAIT_S:
            wait_s = FIRST_WAIT_S
        while True:
            board.link(f"{trouble}; trying again")
            await _wait(board, wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            try:
                connection = await _visit(url)
                break
            except OSError as error:
                trouble = str(error)


async def _show(connection: Connection, board: "Board", topics: Sequence[str], root: str) -> None:
    """Until the connection is lost (ConnectionError). OSError where the broker refuses to show it."""
    number = connection.subscribe(topics)
    while True:
        event = await connection.event(0.5)
        match event:
            case ("lost", reason):
                raise ConnectionError(f"connection lost: {reason}")
            case ("subscribed", mid, codes) if mid == number:
                _check_subscribed(topics, codes)
                board.link("")
            case ("message", message):
                device, _, topic = message.topic.removeprefix(root + "/").partition("/")
                board.hear(device, topic, readable(message.payload) or {}, bool(message.retain))
                connection.acknowledge(message)
        board.show()


async def _wait(board: "Board", seconds: float) -> None:
    """Ages go on meanwhile."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        board.show()
        await asyncio.sleep(min(0.5, end_s - loop.time()))


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


async def _reported(
    connection: Connection,
    prefix: str,
    within_s: float = ANSWER_WITHIN_S / 2,
    wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any] | None:
    """The device's ``config/reported`` that is ``wanted``, or None where it does not come in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            async for _, payload in answers_on(connection, [f"{prefix}/config/reported"], within_s):
                body = readable(payload)
                if body and wanted(body):
                    return body
    return None


def _say(device: str, reported: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(reported))
        return
    active = as_dict(reported.get("active"))
    force = f"revision {active['revision']}" if "revision" in active else f"the {active.get('source')} file"
    pushed = f"revision {reported['revision']} " if "revision" in reported else ""
    answer = f"{pushed}{reported.get('state', '')}; in force: {force}"
    click.echo(printable(f"{device}: {answer}, sha256 {str(active.get('sha256', ''))[:12]}…"))
    for error in map(as_dict, as_list(reported.get("errors"))):
        line = f"line {error['line']}: " if "line" in error else ""
        path = f"{error['path']}: " if error.get("path") else ""
        click.echo("  " + printable(f"{line}{path}{error.get('message')}"))
    for warning in as_list(reported.get("warnings")):
        click.echo("  warning: " + printable(warning))
    for key in ("reason", "trouble"):
        if key in reported:
            click.echo("  " + printable(reported[key]))
