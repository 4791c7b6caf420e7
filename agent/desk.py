"""The technician's side: ``ringpost config get|push`` and ``ringpost watch``, over the broker."""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from agent.clock import NEVER_BEFORE
from agent.config import digest, parse
from agent.durations import parse_duration
from agent.files import words
from agent.topics import encode
from agent.transport import Broker, Connection
from agent.untrusted import listed, mapped, readable, shown
from agent.yamlfile import BadConfig, read_text

UNREACHABLE, BAD_CONFIG, USAGE, INTERRUPTED = 69, 78, 2, 130
CONFIRM_S = (2, 3600)
"""How long a push may be on trial; the device refuses another."""
ANSWER_WITHIN_S = 10.0
DONE = frozenset({"applied", "rejected", "rolled_back"})


def get_command(device: str, url: str, root: str, as_json: bool) -> int:
    """Prints what the device reports of its configuration. 69 where it reports nothing."""

    async def work(connection: Connection) -> int:
        reported = await _reported(connection, f"{root}/{device}")
        if reported is None:
            click.echo(f"config: {device} has reported nothing on {root}; is its name right?", err=True)
            return UNREACHABLE
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
        return BAD_CONFIG
    except (OSError, ValueError) as error:
        click.echo(f"config: {words(error)}", err=True)
        return USAGE

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
            return UNREACHABLE
        _say(device, answer, as_json)
        return 0 if answer["state"] == "applied" else 1

    return at_broker(url, work)


def watch_command(devices: Sequence[str], url: str, root: str, duration: str | None, as_json: bool) -> int:
    """Shows each device's state, health and active alerts, live, until it is interrupted."""
    from agent.watch import Board

    try:
        limit_s = None if duration is None else parse_duration(duration).total_seconds()
    except ValueError as error:
        click.echo(f"watch: {error}", err=True)
        return USAGE

    async def work(connection: Connection) -> int:
        for device in devices or ("+",):
            connection.subscribe(
                [
                    f"{root}/{device}/{topic}"
                    for topic in ("status", "birth", "health", "position", "alert", "alerts/active")
                ]
            )
        with Board(as_json) as board:
            try:
                async with asyncio.timeout(limit_s):
                    while True:
                        event = await connection.event(0.5)
                        if event is not None and event[0] == "lost":
                            raise OSError(f"connection lost: {event[1]}")
                        if event is not None and event[0] == "message":
                            device, _, topic = event[1].topic.removeprefix(root + "/").partition("/")
                            board.hear(device, topic, readable(event[1].payload) or {})
                            connection.acknowledge(event[1])
                        board.show()
            except TimeoutError:
                return 0

    code = at_broker(url, work)
    return 0 if code == INTERRUPTED else code


def at_broker(url: str, work: Callable[[Connection], Awaitable[int]]) -> int:
    """Does ``work`` on a connection of its own. 69 where the broker is not reached."""

    async def visit() -> int:
        connection = Connection(broker_at(url), f"ringpost-desk-{secrets.token_hex(4)}", None)
        try:
            await connection.open()
            return await work(connection)
        finally:
            connection.close()

    try:
        return asyncio.run(visit())
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        click.echo(f"--broker: {message}", err=True)
        return USAGE
    except BrokenPipeError:  # whoever listened has gone, as `| head` does
        raise
    except OSError as error:
        click.echo(f"broker: {error}", err=True)
        return UNREACHABLE
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return INTERRUPTED


def broker_at(url: str) -> Broker:
    """The broker at ``url``, with what RINGPOST_CA, _CERT, _KEY, _PROTOCOL and _INSECURE say of it."""
    found = {name: os.environ.get(f"RINGPOST_{name.upper()}") for name in ("ca", "cert", "key", "protocol")}
    fields: dict[str, Any] = {name: value for name, value in found.items() if value and name != "key"}
    if found["key"]:
        fields["key"] = {"file": found["key"]}
    return Broker(url=url, insecure=os.environ.get("RINGPOST_INSECURE") == "1", **fields)


def falls_back() -> bool:
    """Whether a broker that refuses MQTT 5 is asked in 3.1.1: unless RINGPOST_PROTOCOL names a version."""
    return not os.environ.get("RINGPOST_PROTOCOL")


def unusable_files(broker: Broker) -> str | None:
    """What is wrong with the authority, certificate or key that the environment names, in one line."""
    try:
        if broker.encrypted:
            broker.tls(NEVER_BEFORE)
    except OSError as error:
        return words(error)
    return None


async def _reported(
    connection: Connection,
    prefix: str,
    within_s: float = ANSWER_WITHIN_S / 2,
    wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any] | None:
    """The device's ``config/reported`` that is ``wanted``, or None where it does not come in time."""
    connection.subscribe([f"{prefix}/config/reported"])
    loop = asyncio.get_running_loop()
    end_s = loop.time() + within_s
    while loop.time() < end_s:
        event = await connection.event(0.5)
        if event is None or event[0] == "published":
            continue
        if event[0] == "lost":
            raise OSError(f"connection lost: {event[1]}")
        connection.acknowledge(event[1])
        body = readable(event[1].payload)
        if body and wanted(body):
            return body
    return None


def _say(device: str, reported: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(reported))
        return
    active = mapped(reported.get("active"))
    force = f"revision {active['revision']}" if "revision" in active else f"the {active.get('source')} file"
    pushed = f"revision {reported['revision']} " if "revision" in reported else ""
    answer = f"{pushed}{reported.get('state', '')}; in force: {force}"
    click.echo(shown(f"{device}: {answer}, sha256 {str(active.get('sha256', ''))[:12]}…"))
    for error in map(mapped, listed(reported.get("errors"))):
        line = f"line {error['line']}: " if "line" in error else ""
        path = f"{error['path']}: " if error.get("path") else ""
        click.echo("  " + shown(f"{line}{path}{error.get('message')}"))
    for key in ("reason", "trouble"):
        if key in reported:
            click.echo("  " + shown(reported[key]))
