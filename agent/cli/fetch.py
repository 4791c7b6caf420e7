"""``ringpost fetch``: pictures from around the time of an alert."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from agent.cli.broker_session import messages_on, run_with_broker
from agent.cli.command_request import ANSWER_TIMEOUT_S, FINAL_STATES, PICTURE_TIMEOUT_S, exit_code
from agent.cli.orders import load_signer, local_exit_code
from agent.domain.message import new_id
from agent.mqtt.connection import Connection
from agent.runtime.atomic_files import write_beside
from agent.runtime.error_text import describe_error, error_reason
from agent.runtime.exit_codes import EX_UNAVAILABLE
from agent.runtime.sanitize import json_object, printable


def fetch_command(
    device: str,
    alert_id: str,
    pictures: int,
    folder: Path,
    keys: Sequence[Path],
    url: str,
    root: str,
    as_json: bool,
) -> int:
    """Saves the pictures of an alert to ``folder``.

    1 where some are missing, 69 without an answer, 77: not permitted.
    """
    try:
        signer = load_signer(keys)
    except (OSError, ValueError) as error:
        click.echo(f"fetch: {describe_error(error)}", err=True)
        return local_exit_code(error)

    async def work(connection: Connection) -> int:
        prefix = f"{root}/{device}"
        command = {"id": new_id(), "alert_id": alert_id, "pictures": pictures}
        topics = [f"{prefix}/command/result", f"{prefix}/media/{alert_id}/+"]

        def send() -> None:
            order = signer.command(device, "fetch", command)
            connection.publish(f"{prefix}/command/fetch", order, 1, False)

        expected: int | None = None
        saved: set[str] = set()
        async for topic, payload in messages_on(
            connection, topics, ANSWER_TIMEOUT_S, send=send, then_s=PICTURE_TIMEOUT_S
        ):
            name = topic.removeprefix(prefix + "/")
            result = json_object(payload) or {}
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
                if number != "1":  # number 1 was sent with the alert
                    saved.add(number)
                click.echo(json.dumps({"saved": str(path)}) if as_json else str(path))
            elif result.get("command_id") == command["id"]:
                state = printable(result.get("state"))
                if state in FINAL_STATES - {"succeeded"}:
                    click.echo(f"fetch: {state}: {describe_result(result)}", err=True)
                    return exit_code(result)
                sent = result.get("sent")
                expected = sent if state == "succeeded" and isinstance(sent, int) else expected
            if expected is not None and len(saved) >= expected:
                return 0
        if expected is None:
            click.echo(f"fetch: no answer from {device}; check its name and its connection", err=True)
            return EX_UNAVAILABLE
        click.echo(
            f"fetch: received {len(saved)} of {expected} pictures; the rest remains on the device", err=True
        )
        return 1

    return run_with_broker(url, work)


def describe_result(result: dict[str, Any]) -> str:
    fallback = f"{result.get('withheld', 0)} pictures withheld, see health"
    return printable(result.get("reason") or fallback)
