"""``ringpost keys push``: a roles document to devices."""

import asyncio
import json
from pathlib import Path

import click

from agent.cli.broker_session import run_at_broker
from agent.cli.command_request import ANSWER_TIMEOUT_S, describe
from agent.cli.config_state import known_devices
from agent.cli.device_selection import TOPICS, Selection
from agent.cli.fleet_link import fleet_link
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE
from agent.runtime.sanitize import json_object
from agent.trust.dsse import MAX_BYTES
from agent.trust.refusal import OrderRefused
from agent.trust.roles import open_roles
from firmware_bridge.regular_files import read_regular

RESULT = "command/result"


def push_roles(file: Path, selection: Selection, url: str, root: str, as_json: bool) -> int:
    """Sends the document to each device, retained. 69 without an answer, 77 where a device refuses it."""
    try:
        document = read_regular(file, MAX_BYTES)
        version = open_roles(document).version
    except (OSError, ValueError, OrderRefused) as error:
        click.echo(f"keys: {describe_error(error)}", err=True)
        return EX_CONFIG

    async def session() -> int:
        async with fleet_link(url, root, selection.filters(root, (*TOPICS, RESULT))) as link:
            names = await known_devices(selection, link)
            states: dict[str, int] = {}

            def observe(device: str, topic: str, payload: bytes) -> None:
                result = json_object(payload) or {}
                if topic != RESULT or result.get("command") != "roles":
                    return
                good = result.get("command_id") == f"roles-{version}" and result.get("state") == "succeeded"
                if good or result.get("state") == "rejected":
                    states[device] = 0 if good else EX_NOPERM
                    line = (
                        f"{device}: roles version {version} in force"
                        if good
                        else f"{device}: {describe(result)}"
                    )
                    click.echo(json.dumps({"device": device, **result}) if as_json else line, err=not good)

            link.observers.append(observe)
            await asyncio.gather(
                *(link.publish(f"{root}/{name}/roles/desired", document, retain=True) for name in names)
            )
            await link.until(lambda: set(names) <= set(states), ANSWER_TIMEOUT_S)
            for name in names:
                if link.report(name, "birth").get("roles_version") == version:
                    states.setdefault(name, 0)
                elif name not in states:
                    click.echo(f"keys: no answer from {name}; it receives them when it connects", err=True)
            return max((states.get(name, EX_UNAVAILABLE) for name in names), default=EX_UNAVAILABLE)

    return run_at_broker(url, session)
