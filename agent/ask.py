"""What the desk asks of one device: ``ringpost fetch`` a clip, ``ringpost rescue`` to show people."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from agent.desk import UNREACHABLE, USAGE, at_broker
from agent.durations import parse_duration
from agent.files import read_words, words, write_durably
from agent.topics import encode, new_id, stamp
from agent.transport import Connection
from agent.untrusted import readable, shown
from agent.vision.rescue import LEAST_KEY, MOST, Grant

ANSWER_WITHIN_S = 20.0
PICTURES_WITHIN_S = 60.0
LONGEST_KEY = 4096
DONE = frozenset({"succeeded", "failed", "rejected", "expired", "duplicate"})


def fetch_command(
    device: str, alert_id: str, pictures: int, folder: Path, url: str, root: str, as_json: bool
) -> int:
    """Saves the clip of an alert, picture by picture. 1 where there is none, 69 where nobody answers."""

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"
        command = {"id": new_id(), "alert_id": alert_id, "pictures": pictures}
        connection.subscribe([f"{prefix}/command/result", f"{prefix}/media/{alert_id}/+"])
        connection.publish(f"{prefix}/command/fetch", encode(command), 1, False)
        wanted: int | None = None
        saved = 0
        async for topic, payload in _heard(connection):
            name = topic.removeprefix(prefix + "/")
            result = readable(payload) or {}
            if name.startswith("media/"):
                number = name.rpartition("/")[2]
                if not re.fullmatch("[0-9]{1,4}", number):
                    continue
                path = folder / f"{device}-{alert_id}-{number}.jpg"
                try:
                    write_durably(path, payload)
                except OSError as error:
                    click.echo(f"fetch: {path}: {error.strerror or error}", err=True)
                    return 1
                saved += number != "1"  # the picture that came with the alert
                click.echo(json.dumps({"saved": str(path)}) if as_json else str(path))
            elif result.get("command_id") == command["id"]:
                state = shown(result.get("state"))
                if state in DONE - {"succeeded"}:
                    click.echo(f"fetch: {state}: {_why(result)}", err=True)
                    return 1
                sent = result.get("sent")
                wanted = sent if state == "succeeded" and isinstance(sent, int) else wanted
            if wanted is not None and saved >= wanted:
                return 0
        if wanted is None:
            click.echo(f"fetch: {device} does not answer; is its name right, and is it connected?", err=True)
            return UNREACHABLE
        click.echo(f"fetch: {saved} of {wanted} pictures came; the rest waits on the device", err=True)
        return 1

    return at_broker(url, work)


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
        if len(key) < LEAST_KEY:
            raise ValueError(f"--key: {key_file} holds fewer than {LEAST_KEY} characters")
        if parse_duration(lasts) > MOST:
            raise ValueError(f"--for: {lasts} is longer than 60m")
        expires = datetime.now(UTC) + parse_duration(lasts)
        grant = Grant(id=new_id(), expires=expires, role=role, reason=reason, camera=camera)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        click.echo(f"rescue: {detail['loc'][0]}: {detail['msg']}", err=True)
        return USAGE
    except (OSError, ValueError) as error:
        click.echo(f"rescue: {words(error)}", err=True)
        return USAGE

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"
        fields = grant.model_dump(exclude_none=True) | {"signature": grant.signed(device, key)}
        connection.subscribe([f"{prefix}/command/result"])
        connection.publish(f"{prefix}/command/rescue", encode(fields), 1, False)
        async for _, payload in _heard(connection):
            result = readable(payload) or {}
            if result.get("command_id") == grant.id:
                if as_json:
                    click.echo(json.dumps(result))
                elif result.get("state") == "succeeded":
                    click.echo(
                        f"{device}: people of {camera or 'every camera'} are shown until {stamp(expires)}"
                    )
                else:
                    click.echo(f"rescue: {shown(result.get('state'))}: {_why(result)}", err=True)
                return 0 if result.get("state") == "succeeded" else 1
        click.echo(f"rescue: {device} does not answer; is its name right, and is it connected?", err=True)
        return UNREACHABLE

    return at_broker(url, work)


def _why(result: dict[str, Any]) -> str:
    withheld = f"{result.get('withheld', 0)} pictures withheld, see health"
    return shown(result.get("reason") or withheld)


async def _heard(connection: Connection) -> AsyncIterator[tuple[str, bytes]]:
    """What comes, topic and payload, until nothing has come for a while. OSError: the connection is lost."""
    loop = asyncio.get_running_loop()
    last_s, wait_s = loop.time(), ANSWER_WITHIN_S
    while loop.time() - last_s < wait_s:
        event = await connection.event(0.5)
        if event is None or event[0] == "published":
            continue
        if event[0] == "lost":
            raise OSError(f"connection lost: {event[1]}")
        connection.acknowledge(event[1])
        last_s, wait_s = loop.time(), PICTURES_WITHIN_S
        yield event[1].topic, event[1].payload
