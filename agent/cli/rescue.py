"""``ringpost rescue``."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from agent.cli.broker_session import answers_on, at_broker
from agent.cli.fetch import ANSWER_WITHIN_S, _why
from agent.domain.durations import parse_duration
from agent.domain.message import encode, new_id, stamp
from agent.mqtt.connection import Connection
from agent.privacy.rescue_grant import MAX_DURATION, MIN_KEY_LENGTH, Grant
from agent.runtime.atomic_files import read_words
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_UNAVAILABLE, EX_USAGE
from agent.runtime.sanitize import printable, readable

LONGEST_KEY = 4096


def rescue_command(
    device: str,
    role: str,
    reason: str,
    lasts: str,
    key_file: Path,
    camera: str | None,
    url: str,
    root: str,
    as_json: bool,
) -> int:
    """Has people shown for a while. 1 where the device refuses, 2 for wrong use, 69 for no answer."""
    try:
        key = read_words(key_file, LONGEST_KEY).rstrip("\r\n")
        if len(key) < MIN_KEY_LENGTH:
            raise ValueError(f"--key: {key_file} holds fewer than {MIN_KEY_LENGTH} characters")
        if parse_duration(lasts) > MAX_DURATION:
            raise ValueError(f"--for: {lasts} is longer than 60m")
        expires = datetime.now(UTC) + parse_duration(lasts)
        grant = Grant(id=new_id(), expires=expires, role=role, reason=reason, camera=camera)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        click.echo(f"rescue: {detail['loc'][0]}: {detail['msg']}", err=True)
        return EX_USAGE
    except (OSError, ValueError) as error:
        click.echo(f"rescue: {describe_error(error)}", err=True)
        return EX_USAGE

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"
        fields = grant.model_dump(exclude_none=True) | {"signature": grant.expected_signature(device, key)}

        def ask() -> None:
            connection.publish(f"{prefix}/command/rescue", encode(fields), 1, False)

        async for _, payload in answers_on(
            connection, [f"{prefix}/command/result"], ANSWER_WITHIN_S, ask=ask
        ):
            result = readable(payload) or {}
            if result.get("command_id") == grant.id:
                if as_json:
                    click.echo(json.dumps(result))
                elif result.get("state") == "succeeded":
                    click.echo(
                        f"{device}: people of {camera or 'every camera'} are shown until {stamp(expires)}"
                    )
                else:
                    click.echo(f"rescue: {printable(result.get('state'))}: {_why(result)}", err=True)
                return 0 if result.get("state") == "succeeded" else 1
        click.echo(f"rescue: {device} does not answer; is its name right, and is it connected?", err=True)
        return EX_UNAVAILABLE

    return at_broker(url, work)
