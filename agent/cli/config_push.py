"""``ringpost config get`` and ``ringpost config push``."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from agent.cli.broker_session import messages_on, run_with_broker
from agent.config.loader import digest, parse
from agent.domain.durations import parse_duration
from agent.domain.message import encode
from agent.domain.yaml_loader import BadConfig, read_text
from agent.mqtt.connection import Connection
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_UNAVAILABLE, EX_USAGE
from agent.runtime.sanitize import as_dict, as_list, json_object, printable

CONFIRM_RANGE_S = (2, 3600)
"""Allowed time for the confirmation of a push; the device rejects other values."""
ANSWER_TIMEOUT_S = 10.0
FINAL_STATES = frozenset({"applied", "rejected", "rolled_back"})


def get_command(device: str, url: str, root: str, as_json: bool) -> int:
    """Prints the configuration state that the device reports. 69 where no report arrives."""

    async def work(connection: Connection) -> int:
        report = await _wait_for_report(connection, f"{root}/{device}")
        if report is None:
            click.echo(f"config: no report from {device} on {root}; check the device name", err=True)
            return EX_UNAVAILABLE
        _print_report(device, report, as_json)
        return 0

    return run_with_broker(url, work)


def push_command(device: str, file: Path, confirm_within: str, url: str, root: str, as_json: bool) -> int:
    """Validates and pushes ``file``, waits for the result. 1 where it was not applied, 69: no answer."""
    try:
        within_s = parse_duration(confirm_within).total_seconds()
        if not CONFIRM_RANGE_S[0] <= within_s <= CONFIRM_RANGE_S[1]:
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
        before = await _wait_for_report(connection, prefix)
        if before is None:
            click.echo(f"config: no report from {device} on {root}; check the device name", err=True)
        highest = (before or {}).get("highest_revision")
        revision = 1 + (highest if isinstance(highest, int) and 0 <= highest < 2**52 else 0)
        sha256 = digest(text)
        push = {"revision": revision, "sha256": sha256, "confirm_within_s": within_s, "body": text}
        connection.publish(f"{prefix}/config/desired", encode(push), 1, True)
        click.echo(f"revision {revision} sent to {device}", err=True)
        limit_s = within_s + 2 * ANSWER_TIMEOUT_S
        answer = await _wait_for_report(
            connection,
            prefix,
            limit_s,
            lambda body: (
                (body.get("revision"), body.get("sha256")) == (revision, sha256)
                and str(body.get("state")) in FINAL_STATES
            ),
        )
        if answer is None:
            click.echo(
                f"config: no answer within {limit_s:g} s; {device} receives it when it reconnects", err=True
            )
            return EX_UNAVAILABLE
        _print_report(device, answer, as_json)
        return 0 if answer["state"] == "applied" else 1

    return run_with_broker(url, work)


async def _wait_for_report(
    connection: Connection,
    prefix: str,
    within_s: float = ANSWER_TIMEOUT_S / 2,
    matches: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any] | None:
    """The first ``config/reported`` of the device that ``matches``; None after ``within_s``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            async for _, payload in messages_on(connection, [f"{prefix}/config/reported"], within_s):
                body = json_object(payload)
                if body and matches(body):
                    return body
    return None


def _print_report(device: str, report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report))
        return
    active = as_dict(report.get("active"))
    source = f"revision {active['revision']}" if "revision" in active else f"the {active.get('source')} file"
    pushed = f"revision {report['revision']} " if "revision" in report else ""
    state = f"{pushed}{report.get('state', '')}; active: {source}"
    click.echo(printable(f"{device}: {state}, sha256 {str(active.get('sha256', ''))[:12]}…"))
    for error in map(as_dict, as_list(report.get("errors"))):
        line = f"line {error['line']}: " if "line" in error else ""
        path = f"{error['path']}: " if error.get("path") else ""
        click.echo("  " + printable(f"{line}{path}{error.get('message')}"))
    for warning in as_list(report.get("warnings")):
        click.echo("  warning: " + printable(warning))
    for key in ("reason", "trouble"):
        if key in report:
            click.echo("  " + printable(report[key]))
