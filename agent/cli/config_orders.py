"""``ringpost config confirm`` and ``ringpost config rollback``: to one device or many."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from agent.cli.broker_session import run_at_broker
from agent.cli.command_request import TOPICS as RESULTS
from agent.cli.command_request import NoAnswerError, describe, exit_code, final_result
from agent.cli.config_state import known_devices
from agent.cli.device_selection import TOPICS, Selection
from agent.cli.fleet_link import FleetLink, fleet_link
from agent.cli.orders import OrderSigner, load_signer, local_exit_code
from agent.cli.rollout_plan import load_rollout
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_UNAVAILABLE

AT_ONCE = 20
ROLLBACK_WITHIN_S = 120.0
"""A device proves the configuration that it goes back to, as it does with a push."""


def confirm_command(selection: Selection, keys: Sequence[Path], url: str, root: str, as_json: bool) -> int:
    """Confirms the push on trial at each device. 1 where none waits for it, 69 without an answer."""
    try:
        signer = load_signer(keys)
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return local_exit_code(error)

    async def session() -> int:
        async with fleet_link(url, root, selection.filters(root, (*TOPICS, *RESULTS))) as link:
            names = await known_devices(selection, link)
            wanted: dict[str, Mapping[str, Any]] = {}
            for name in names:
                report = link.report(name, "config/reported")
                if report.get("state") == "unconfirmed":
                    wanted[name] = {"revision": report.get("revision")}
                else:
                    click.echo(f"config: {name}: no push waits for a confirmation", err=True)
            if not names:
                return EX_UNAVAILABLE
            code = await send_to_all(link, signer, "config_confirm", wanted, as_json)
            return code if len(wanted) == len(names) else max(code, 1)

    return run_at_broker(url, session)


def rollback_command(
    selection: Selection, revision: int | None, keys: Sequence[Path], url: str, root: str, as_json: bool
) -> int:
    """Takes each device back to ``revision``, or to the one before. 1 where one refuses, 69: no answer."""
    try:
        signer = load_signer(keys)
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return local_exit_code(error)
    fields = {} if revision is None else {"to_revision": revision}

    async def session() -> int:
        async with fleet_link(url, root, selection.filters(root, (*TOPICS, *RESULTS))) as link:
            names = await known_devices(selection, link)
            if not names:
                return EX_UNAVAILABLE
            return await send_to_all(link, signer, "config_rollback", dict.fromkeys(names, fields), as_json)

    return run_at_broker(url, session)


def take_back_command(file: Path, keys: Sequence[Path], url: str, as_json: bool) -> int:
    """Takes each device of a roll-out that has its revision back to the one before."""
    try:
        state, signer = load_rollout(file), load_signer(keys)
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return local_exit_code(error)

    async def session() -> int:
        selection = Selection(tuple(state.devices))
        async with fleet_link(url, state.root, selection.filters(state.root, (*TOPICS, *RESULTS))) as link:
            await link.settle()
            wanted = {}
            for name, device in state.devices.items():
                active = link.report(name, "config/reported").get("active")
                if isinstance(active, dict) and active.get("revision") == device.revision:
                    # Without a revision of its own before: whatever was in force, such as layers of groups.
                    wanted[name] = {"to_revision": device.base_revision} if device.base_revision else {}
            click.echo(f"config: {len(wanted)} of {len(state.devices)} devices have this roll-out", err=True)
            return await send_to_all(link, signer, "config_rollback", wanted, as_json)

    return run_at_broker(url, session)


async def send_to_all(
    link: FleetLink, signer: OrderSigner, name: str, wanted: Mapping[str, Mapping[str, Any]], as_json: bool
) -> int:
    """Sends a command to each device, several at a time; prints each result, and returns the highest code."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def send(device: str) -> int:
        async with slots:
            try:
                result = await final_result(
                    link, signer, device, name, wanted[device], within_s=ROLLBACK_WITHIN_S
                )
            except NoAnswerError as error:
                click.echo(f"config: {error}", err=True)
                return EX_UNAVAILABLE
        code = exit_code(result)
        if as_json:
            click.echo(json.dumps({"device": device, **result}))
        else:
            click.echo(f"{device}: {describe(result)}", err=code != 0)
        return code

    return max(await asyncio.gather(*map(send, wanted)), default=0)
