"""What the desk asks of one device: ``ringpost ack`` an alert, ``fetch`` a clip, ``rescue``."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from agent.cli.config_push import answers_on, at_broker
from agent.commands.commands import Ack
from agent.domain.durations import parse_duration
from agent.domain.message import encode, new_id, stamp
from agent.mqtt.connection import Connection
from agent.privacy.rescue_grant import LEAST_KEY, MOST, Grant
from agent.runtime.atomic_files import read_words, write_beside
from agent.runtime.error_text import describe_error, error_reason
from agent.runtime.exit_codes import EX_UNAVAILABLE, EX_USAGE
from agent.runtime.sanitize import as_dict, as_list, printable, readable

ANSWER_WITHIN_S = 20.0
PICTURES_WITHIN_S = 60.0
LIST_WITHIN_S = 3.0
LONGEST_KEY = 4096
DONE = frozenset({"succeeded", "failed", "rejected", "expired", "duplicate"})


def fetch_command(
    device: str, alert_id: str, pictures: int, folder: Path, url: str, root: str, as_json: bool
) -> int:
    """Saves the clip of an alert, picture by picture. 1 where there is none, 69 where nobody answers."""

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"
        command = {"id": new_id(), "alert_id": alert_id, "pictures": pictures}
        topics = [f"{prefix}/command/result", f"{prefix}/media/{alert_id}/+"]

        def ask() -> None:
            connection.publish(f"{prefix}/command/fetch", encode(command), 1, False)

        wanted: int | None = None
        saved: set[str] = set()
        async for topic, payload in answers_on(
            connection, topics, ANSWER_WITHIN_S, ask=ask, then_s=PICTURES_WITHIN_S
        ):
            name = topic.removeprefix(prefix + "/")
            result = readable(payload) or {}
            if name.startswith("media/"):
                number = name.rpartition("/")[2]
                if not re.fullmatch("[0-9]{1,4}", number):
                    continue
                path = folder / device / f"{alert_id}-{number}.jpg"
                try:
                    path = write_beside(path, payload)
                except OSError as error:
                    click.echo(f"fetch: {path}: {error_reason(error)}", err=True)
                    return 1
                if number != "1":  # that came with the alert
                    saved.add(number)
                click.echo(json.dumps({"saved": str(path)}) if as_json else str(path))
            elif result.get("command_id") == command["id"]:
                state = printable(result.get("state"))
                if state in DONE - {"succeeded"}:
                    click.echo(f"fetch: {state}: {_why(result)}", err=True)
                    return 1
                sent = result.get("sent")
                wanted = sent if state == "succeeded" and isinstance(sent, int) else wanted
            if wanted is not None and len(saved) >= wanted:
                return 0
        if wanted is None:
            click.echo(f"fetch: {device} does not answer; is its name right, and is it connected?", err=True)
            return EX_UNAVAILABLE
        click.echo(f"fetch: {len(saved)} of {wanted} pictures came; the rest waits on the device", err=True)
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
        return EX_USAGE
    except (OSError, ValueError) as error:
        click.echo(f"rescue: {describe_error(error)}", err=True)
        return EX_USAGE

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"
        fields = grant.model_dump(exclude_none=True) | {"signature": grant.signed(device, key)}

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


def ack_command(
    device: str,
    alert_id: str,
    role: str,
    action: str,
    reason: str | None,
    url: str,
    root: str,
    as_json: bool,
) -> int:
    """Answers an alert for a person. 0 once the device confirms, 1 where it is not active, 69: no answer."""
    try:
        ack = Ack.model_validate({"alert_id": alert_id, "role": role, "action": action, "reason": reason})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        click.echo(f"ack: {detail['loc'][0]}: {detail['msg']}", err=True)
        return EX_USAGE

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"

        def ask() -> None:
            connection.publish(f"{prefix}/alert/ack", encode(ack.model_dump(exclude_none=True)), 1, False)

        async for _, payload in answers_on(connection, [f"{prefix}/alerts/active"], LIST_WITHIN_S):
            active = _active(readable(payload) or {}, alert_id)
            if active is None:
                click.echo(f"ack: {device} has no active alert {alert_id}", err=True)
                return 1
            if ack.action == "ack" and active.get("acknowledged") is not None:
                return _say_answer(device, active, as_json)
            break
        async for _, payload in answers_on(connection, [f"{prefix}/alert"], ANSWER_WITHIN_S, ask=ask):
            alert = as_dict((readable(payload) or {}).get("alert"))
            answer = as_dict(alert.get("acknowledged"))
            ours = (answer.get("role"), answer.get("action")) == (ack.role, ack.action)
            if alert.get("alert_id") == alert_id and (ours or alert.get("phase") == "end"):
                return _say_answer(device, alert, as_json)
        click.echo(f"ack: {device} does not answer; is its name right, and is it connected?", err=True)
        return EX_UNAVAILABLE

    return at_broker(url, work)


def _say_answer(device: str, alert: dict[str, Any], as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps(alert))
        return 0
    answer = as_dict(alert.get("acknowledged"))
    by = f"answered by {printable(answer.get('role'))}" if answer else ""
    words = ", ".join(filter(None, ("ended" if alert.get("phase") == "end" else "", by)))
    click.echo(f"{device}: {printable(alert.get('text', alert.get('alert_id')))}: {words}")
    return 0


def _active(body: dict[str, Any], alert_id: str) -> dict[str, Any] | None:
    """The entry of an alert in ``alerts/active``; empty where the list is cut and may hold it."""
    alerts = list(map(as_dict, as_list(body.get("alerts"))))
    found = next((alert for alert in alerts if alert.get("alert_id") == alert_id), None)
    return {} if found is None and body.get("count") != len(alerts) else found


def _why(result: dict[str, Any]) -> str:
    withheld = f"{result.get('withheld', 0)} pictures withheld, see health"
    return printable(result.get("reason") or withheld)
