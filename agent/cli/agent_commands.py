"""Declares ``run``, ``check``, ``schema``, ``record`` and ``replay``: options only."""

import json
from pathlib import Path

import click

from agent.cli.options import as_json, finish


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path, readable=False),
    help="Keep what is owed here, not in data.directory.",
)
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
def run(config: Path, data: Path | None, log_level: str) -> None:
    """Run the agent until SIGTERM. Exit code 75: ended on purpose, start it again."""
    from agent.cli.run import run_command

    run_command(config, data, log_level)


@click.command()
@click.argument("config", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option("--env", is_flag=True, help="Also look whether devices, disk and broker are there.")
@as_json
def check(config: tuple[Path, ...], env: bool, as_json: bool) -> None:
    """Validate configurations without hardware; all errors at once, as FILE:LINE: path: message."""
    from agent.cli.check import check_command

    finish(check_command(list(config), env, as_json))


@click.command()
@click.option("--mqtt", is_flag=True, help="The AsyncAPI document of the MQTT interface instead.")
def schema(mqtt: bool) -> None:
    """Print the JSON Schema of the configuration."""
    if mqtt:
        from agent.cli.asyncapi import asyncapi

        click.echo(json.dumps(asyncapi(), indent=2))
        return
    from agent.config.loader import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--to",
    type=click.Path(path_type=Path, readable=False),
    help="Write here; a new file named after the device.",
)
@click.option("--for", "lasts", help="Stop by itself after this long, such as 10m.")
def record(config: Path, to: Path | None, lasts: str | None) -> None:
    """Write what the sources of CONFIG say to a file, for `replay`: no pictures.

    It is not the agent, which must not run meanwhile: nobody is alerted.
    """
    from agent.replay.record import record_command
    from agent.runtime.logging_setup import set_up_log

    set_up_log("warning")
    finish(record_command(config, to, lasts))


@click.command()
@click.argument("recording", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--config", type=click.Path(path_type=Path, readable=False), help="Other rules than those it was made by."
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path, readable=False),
    help="Only what differs from what another configuration (.yaml) makes of it, or an earlier --json.",
)
@as_json
def replay(recording: Path, config: Path | None, compare: Path | None, as_json: bool) -> None:
    """Put a recording through today's rules, and print the alerts that they make of it."""
    from agent.replay.replay import replay_command

    finish(replay_command(recording, config, compare, as_json))
