"""``ringpost rescue``: a signed, time-limited grant to send pictures without redaction."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from agent.cli.broker_session import messages_on, run_with_broker
from agent.cli.fetch import ANSWER_TIMEOUT_S, describe_result
from agent.domain.durations import parse_duration
from agent.domain.message import encode, new_id, stamp
from agent.mqtt.connection import Connection
from agent.privacy.rescue_grant import MAX_DURATION, MIN_KEY_LENGTH, Grant
from agent.runtime.atomic_files import read_utf8
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_UNAVAILABLE, EX_USAGE
from agent.runtime.sanitize import json_object, printable

MAX_KEY_BYTES = 4096


def rescue_command(
    device: str,
    role: str,
    reason: str,
    duration: str,
    key_file: Path,
    camera: str | None,
    url: str,
    root: str,
    as_json: bool,
) -> int:
    """Sends a grant. 1 where the device rejects it, 2 for invalid options, 69 without an answer."""
    try:
        key = read_utf8(key_file, MAX_KEY_BYTES).rstrip("\r\n")
        if len(key) < MIN_KEY_LENGTH:
            raise ValueError(f"--key: {key_file} is shorter than {MIN_KEY_LENGTH} characters")
        if parse_duration(duration) > MAX_DURATION:
            raise ValueError(f"--for: {duration} is longer than 60m")
        expires = datetime.now(UTC) + parse_duration(duration)
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

        def send() -> None:
            connection.publish(f"{prefix}/command/rescue", encode(fields), 1, False)

        async for _, payload in messages_on(
            connection, [f"{prefix}/command/result"], ANSWER_TIMEOUT_S, send=send
        ):
            result = json_object(payload) or {}
            if result.get("command_id") == grant.id:
                if as_json:
                    click.echo(json.dumps(result))
                elif result.get("state") == "succeeded":
                    click.echo(
                        f"{device}: people on {camera or 'all cameras'} are unmasked until {stamp(expires)}"
                    )
                else:
                    click.echo(
                        f"rescue: {printable(result.get('state'))}: {describe_result(result)}", err=True
                    )
                return 0 if result.get("state") == "succeeded" else 1
        click.echo(f"rescue: no answer from {device}; check its name and its connection", err=True)
        return EX_UNAVAILABLE

    return run_with_broker(url, work)
