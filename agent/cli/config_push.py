"""``ringpost config get`` and ``ringpost config push``."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.config.loader import digest, parse
from agent.domain.durations import parse_duration
from agent.domain.message import encode
from agent.domain.yaml_loader import BadConfig, read_text
from agent.mqtt.connection import Connection
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_UNAVAILABLE, EX_USAGE
from agent.runtime.sanitize import as_dict, as_list, printable, readable

if TYPE_CHECKING:
    pass
from agent.cli.broker_session import answers_on, at_broker

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
