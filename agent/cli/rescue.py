"""``ringpost rescue``: a signed, time-limited grant to send pictures without redaction."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from pydantic import ValidationError

from agent.cli.broker_session import run_at_broker
from agent.cli.command_request import TOPICS, NoAnswerError, describe, exit_code, final_result
from agent.cli.device_selection import Selection
from agent.cli.fleet_link import fleet_link
from agent.cli.orders import load_signer, local_exit_code
from agent.domain.durations import parse_duration
from agent.domain.message import new_id, stamp
from agent.host.clock import utc_now
from agent.privacy.rescue_grant import MAX_DURATION, MIN_KEY_LENGTH, Grant
from agent.runtime.atomic_files import read_utf8
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_UNAVAILABLE, EX_USAGE

MAX_KEY_BYTES = 4096


def rescue_command(
    device: str,
    role: str,
    reason: str,
    duration: str,
    key_file: Path,
    camera: str | None,
    signing_keys: Sequence[Path],
    url: str,
    root: str,
    as_json: bool,
) -> int:
    """Sends a grant. 1 where the device rejects it, 2 for invalid options, 69 without an answer,
    77: not permitted."""
    try:
        key = read_utf8(key_file, MAX_KEY_BYTES).rstrip("\r\n")
        if len(key) < MIN_KEY_LENGTH:
            raise ValueError(f"--key: {key_file} is shorter than {MIN_KEY_LENGTH} characters")
        if parse_duration(duration) > MAX_DURATION:
            raise ValueError(f"--for: {duration} is longer than 60m")
        expires = utc_now() + parse_duration(duration)
        signer = load_signer(signing_keys)
        grant = Grant(id=new_id(), expires=expires, role=role, reason=reason, camera=camera)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        click.echo(f"rescue: {detail['loc'][0]}: {detail['msg']}", err=True)
        return EX_USAGE
    except (OSError, ValueError) as error:
        click.echo(f"rescue: {describe_error(error)}", err=True)
        return local_exit_code(error)

    fields = grant.model_dump(exclude_none=True) | {"signature": grant.expected_signature(device, key)}

    async def session() -> int:
        async with fleet_link(url, root, Selection((device,)).filters(root, TOPICS)) as link:
            try:
                result = await final_result(link, signer, device, "rescue", fields)
            except NoAnswerError as error:
                click.echo(f"rescue: {error}", err=True)
                return EX_UNAVAILABLE
        if as_json:
            click.echo(json.dumps(result))
        elif result.get("state") == "succeeded":
            click.echo(f"{device}: people on {camera or 'all cameras'} are unmasked until {stamp(expires)}")
        else:
            click.echo(f"rescue: {describe(result)}", err=True)
        return exit_code(result)

    return run_at_broker(url, session)
