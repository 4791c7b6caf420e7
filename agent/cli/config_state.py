"""``ringpost config get`` and ``ringpost config drift``: what devices report about their configuration."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from agent.cli.broker_session import run_at_broker
from agent.cli.command_request import TOPICS as RESULTS
from agent.cli.command_request import NoAnswerError, describe, exit_code, final_result
from agent.cli.config_report import drift_paths, print_report
from agent.cli.config_text import RefusedError, configuration_text
from agent.cli.device_selection import Selection
from agent.cli.fleet_link import FleetLink, fleet_link
from agent.cli.orders import load_signer, local_exit_code
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_UNAVAILABLE

REPORT_TIMEOUT_S = 5.0


def get_command(selection: Selection, url: str, root: str, as_json: bool) -> int:
    """Prints the configuration state that each device reports. 69 where a report is missing."""

    def show(device: str, report: dict[str, Any]) -> int:
        print_report(device, report, as_json)
        return 0

    return _for_reports(selection, url, root, show)


def drift_command(selection: Selection, url: str, root: str, as_json: bool) -> int:
    """Prints where the local file of each device was edited since. 1 where one was, 69 without a report."""

    def show(device: str, report: dict[str, Any]) -> int:
        paths = drift_paths(report)
        if as_json:
            click.echo(json.dumps({"device": device, "drift": paths}))
        elif paths:
            click.echo(f"{device}: local file edited since: {', '.join(paths)}")
        else:
            click.echo(f"{device}: no drift")
        return 1 if paths else 0

    return _for_reports(selection, url, root, show)


def _for_reports(
    selection: Selection, url: str, root: str, show: Callable[[str, dict[str, Any]], int]
) -> int:
    """Runs ``show`` for the report of each device; its highest exit code."""

    async def session() -> int:
        async with fleet_link(url, root, selection.filters(root)) as link:
            names = await known_devices(selection, link)
            codes = [0 if names else EX_UNAVAILABLE]
            for name in names:
                report = link.report(name, "config/reported")
                if report:
                    codes.append(show(name, report))
                else:
                    click.echo(f"config: no report from {name} on {root}; check the device name", err=True)
                    codes.append(EX_UNAVAILABLE)
            return max(codes)

    return run_at_broker(url, session)


async def known_devices(selection: Selection, link: FleetLink) -> list[str]:
    """The selected devices once their reports have arrived; says so where there are none."""
    if selection.devices:
        devices = selection.devices

        def complete() -> bool:
            return all(link.report(name, "config/reported") for name in devices)

        await link.until(complete, REPORT_TIMEOUT_S)
        return list(devices)
    await link.settle()
    names = selection.among(link.reports)
    if not names:
        click.echo(f"config: no device of {selection.group} reports on {link.root}", err=True)
    return names


def text_command(
    device: str, revision: int | None, keys: Sequence[Path], url: str, root: str, as_json: bool
) -> int:
    """Prints the text of a configuration, as the device has it: secrets stand in files of
    their own, but a password that somebody wrote into the query of a camera's url is shown.
    """
    try:
        signer = load_signer(keys)
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return local_exit_code(error)

    async def session() -> int:
        async with fleet_link(url, root, Selection((device,)).filters(root, RESULTS)) as link:
            try:
                text = await configuration_text(link, signer, device, revision)
            except NoAnswerError as error:
                click.echo(f"config: {error}", err=True)
                return EX_UNAVAILABLE
            except RefusedError as error:
                click.echo(f"config: {device}: {error}", err=True)
                return error.exit_code
        click.echo(json.dumps({"device": device, "text": text}) if as_json else text, nl=as_json)
        return 0

    return run_at_broker(url, session)


def history_command(device: str, keys: Sequence[Path], url: str, root: str, as_json: bool) -> int:
    """Prints the revisions that a device keeps, the newest first."""

    def show(result: Mapping[str, Any]) -> None:
        from agent.cli.config_history import history_lines

        for line in [json.dumps(result)] if as_json else history_lines(result):
            click.echo(line)

    return command_for_all([device], "config_history", {}, show, keys, url, root)


def command_for_all(
    devices: Sequence[str],
    name: str,
    fields: Mapping[str, Any],
    show: Callable[[Mapping[str, Any]], None],
    keys: Sequence[Path],
    url: str,
    root: str,
) -> int:
    """Sends one command to each device in turn and shows its result; the highest exit code."""
    try:
        signer = load_signer(keys)
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return local_exit_code(error)

    async def session() -> int:
        code = 0
        async with fleet_link(url, root, Selection(tuple(devices)).filters(root, RESULTS)) as link:
            for device in devices:
                try:
                    result = await final_result(link, signer, device, name, fields)
                except NoAnswerError as error:
                    click.echo(f"config: {error}", err=True)
                    code = max(code, EX_UNAVAILABLE)
                    continue
                if result.get("state") == "succeeded":
                    show(result)
                else:
                    click.echo(f"config: {device}: {describe(result)}", err=True)
                code = max(code, exit_code(result))
        return code

    return run_at_broker(url, session)
