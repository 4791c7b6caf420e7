"""What a device reports about its configuration, as text for a technician."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from agent.cli.pushed_change import PushedChange
from agent.runtime.sanitize import as_dict, as_list, printable


def print_report(
    device: str, report: dict[str, Any], as_json: bool, change: PushedChange | None = None
) -> None:
    """Prints ``config/reported``; errors point into the file of ``change``."""
    if as_json:
        click.echo(json.dumps(report))
        return
    active = as_dict(report.get("active"))
    pushed = f"revision {report['revision']} " if "revision" in report else ""
    state = f"{pushed}{report.get('state', '')}; active: {describe_active(active)}"
    click.echo(printable(f"{device}: {state}, sha256 {str(active.get('sha256', ''))[:12]}…"))
    for line in change.error_lines(report) if change else _error_lines(report):
        click.echo("  " + line)
    for warning in as_list(report.get("warnings")):
        click.echo("  warning: " + printable(warning))
    for line in layer_lines(report):
        click.echo("  " + line)
    for key in ("reason", "trouble"):
        if key in report:
            click.echo("  " + printable(report[key]))


def describe_active(active: Mapping[str, Any]) -> str:
    """The configuration in force, in two words."""
    return f"revision {active['revision']}" if "revision" in active else f"the {active.get('source')} file"


def _error_lines(report: Mapping[str, Any]) -> Iterator[str]:
    for error in map(as_dict, as_list(report.get("errors"))):
        line = f"line {error['line']}: " if "line" in error else ""
        path = f"{error['path']}: " if error.get("path") else ""
        yield printable(f"{line}{path}{error.get('message')}")


def layer_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The layers in force and what of the local file was edited since, where the device says so."""
    for layer in map(as_dict, as_list(report.get("layers"))):
        if layer.get("target") != "device":  # that revision is named above
            yield printable(f"layer {layer.get('target')}: revision {layer.get('revision')}")
    if paths := drift_paths(report):
        yield printable(f"local file edited since: {', '.join(paths)}")


def drift_paths(report: Mapping[str, Any]) -> list[str]:
    """Paths that differ since the local file was edited; empty where there is no drift."""
    drift = report.get("drift")
    paths = drift.get("paths") if isinstance(drift, dict) else drift
    return [printable(path) for path in as_list(paths)]
