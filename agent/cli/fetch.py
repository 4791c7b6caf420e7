"""``ringpost fetch``."""

import json
import re
from pathlib import Path
from typing import Any

import click

from agent.cli.broker_session import answers_on, at_broker
from agent.domain.message import encode, new_id
from agent.mqtt.connection import Connection
from agent.runtime.atomic_files import write_beside
from agent.runtime.error_text import error_reason
from agent.runtime.exit_codes import EX_UNAVAILABLE
from agent.runtime.sanitize import printable, readable

ANSWER_WITHIN_S = 20.0
PICTURES_WITHIN_S = 60.0
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


def _why(result: dict[str, Any]) -> str:
    withheld = f"{result.get('withheld', 0)} pictures withheld, see health"
    return printable(result.get("reason") or withheld)
