"""``ringpost ack``, ``close`` and ``reject``: a person's answer to an alert."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from agent.cli.broker_session import messages_on, run_with_broker
from agent.cli.command_request import ANSWER_TIMEOUT_S, describe
from agent.cli.orders import load_signer, local_exit_code
from agent.commands.requests import NOT_ACTIVE, Ack
from agent.mqtt.connection import Connection
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_NOPERM, EX_UNAVAILABLE, EX_USAGE
from agent.runtime.sanitize import as_dict, as_list, json_object, printable

LIST_TIMEOUT_S = 3.0


def ack_command(
    device: str,
    alert_id: str,
    role: str,
    action: str,
    reason: str | None,
    keys: Sequence[Path],
    url: str,
    root: str,
    as_json: bool,
) -> int:
    """Sends a person's answer, once the device lists the alert as active.

    0 once the device confirms; 1 where the alert is not active, 69 without an answer, 77: not permitted.
    """
    verb = action
    try:
        signer = load_signer(keys)
        ack = Ack.model_validate({"alert_id": alert_id, "role": role, "action": action, "reason": reason})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        click.echo(f"{verb}: {detail['loc'][0]}: {detail['msg']}", err=True)
        return EX_USAGE
    except (OSError, ValueError) as error:
        click.echo(f"{verb}: {describe_error(error)}", err=True)
        return local_exit_code(error)

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"

        def send() -> None:
            order = signer.ack(device, ack.model_dump(exclude_none=True))
            connection.publish(f"{prefix}/alert/ack", order, 1, False)

        async for _, payload in messages_on(connection, [f"{prefix}/alerts/active"], LIST_TIMEOUT_S):
            body = json_object(payload) or {}
            active = _active_alert(body, alert_id)
            if active is None:
                click.echo(
                    f"{verb}: {device} has no active alert {alert_id}; active: {_listed(body)}", err=True
                )
                return 1
            if ack.action == "ack" and active.get("acknowledged") is not None:
                return _print_alert(device, active, as_json)
            break
        topics = [f"{prefix}/alert", f"{prefix}/command/result"]
        async for _, payload in messages_on(connection, topics, ANSWER_TIMEOUT_S, send=send):
            body = json_object(payload) or {}
            if body.get("command") == "ack" and body.get("state") == "rejected":
                if body.get("command_id") == alert_id:
                    click.echo(f"{verb}: {device}: {describe(body)}", err=True)
                    return 1 if body.get("reason") == NOT_ACTIVE else EX_NOPERM
                continue
            alert = as_dict(body.get("alert"))
            answer = as_dict(alert.get("acknowledged"))
            ours = (answer.get("role"), answer.get("action")) == (ack.role, ack.action)
            if alert.get("alert_id") == alert_id and (ours or alert.get("phase") == "end"):
                return _print_alert(device, alert, as_json)
        click.echo(f"{verb}: no answer from {device}; check its name and its connection", err=True)
        return EX_UNAVAILABLE

    return run_with_broker(url, work)


def _print_alert(device: str, alert: dict[str, Any], as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps(alert))
        return 0
    answer = as_dict(alert.get("acknowledged"))
    by = f"acknowledged by {printable(answer.get('role'))}" if answer else ""
    state = ", ".join(filter(None, ("ended" if alert.get("phase") == "end" else "", by)))
    click.echo(f"{device}: {printable(alert.get('text', alert.get('alert_id')))}: {state}")
    return 0


def _active_alert(body: dict[str, Any], alert_id: str) -> dict[str, Any] | None:
    """The entry of an alert in ``alerts/active``: None if not listed, empty if the list is truncated."""
    alerts = list(map(as_dict, as_list(body.get("alerts"))))
    found = next((alert for alert in alerts if alert.get("alert_id") == alert_id), None)
    return {} if found is None and body.get("count") != len(alerts) else found


def _listed(body: dict[str, Any]) -> str:
    """The ids and texts of the active alerts, for the person who mistyped one."""
    alerts = map(as_dict, as_list(body.get("alerts")))
    named = [f"{printable(alert.get('alert_id'))} ({printable(alert.get('text'))})" for alert in alerts]
    return ", ".join(named[:5]) or "none"
