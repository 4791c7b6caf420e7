"""Options of the commands for a configuration: ``run``, ``check``, ``schema``, ``record``, ``replay``."""

import json
from pathlib import Path

import click

from agent.cli.options import finish, json_option

FILE = click.Path(path_type=Path, readable=False)


@click.command()
@click.argument("config", type=FILE)
@click.option(
    "--data",
    type=FILE,
    metavar="DIRECTORY",
    help="Directory for the outbox (undelivered data). Default: data.directory of the configuration.",
)
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Lowest level that is logged.",
)
def run(config: Path, data: Path | None, log_level: str) -> None:
    """Run the agent until SIGTERM.

    Exit code 75 means: temporary failure, restart requested.
    """
    from agent.cli.run import run_command

    finish(run_command(config, data, log_level))


@click.command()
@click.argument("config", nargs=-1, required=True, type=FILE)
@click.option("--env", is_flag=True, help="Also check that devices, disk and broker are present and work.")
@json_option
def check(config: tuple[Path, ...], env: bool, as_json: bool) -> None:
    """Validate configuration files; no hardware needed.

    Reports all errors of a file at once, as FILE:LINE: path: message.
    """
    from agent.cli.check import check_command

    finish(check_command(list(config), env, as_json))


@click.command()
@click.option("--mqtt", is_flag=True, help="Print the AsyncAPI document of the MQTT interface instead.")
@click.option(
    "--scenario", is_flag=True, help="Print the JSON Schema of the scenarios of 'simulate' instead."
)
@click.pass_context
def schema(ctx: click.Context, mqtt: bool, scenario: bool) -> None:
    """Print the JSON Schema of the configuration."""
    if mqtt and scenario:
        raise click.UsageError("--mqtt and --scenario exclude each other")
    if scenario:
        group = ctx.find_root().command
        simulate = group.get_command(ctx, "simulate") if isinstance(group, click.Group) else None
        if simulate is None:
            raise click.UsageError("--scenario needs the simulators, which are not installed")
        ctx.invoke(simulate, schema=True)
        return
    if mqtt:
        from agent.cli.asyncapi import asyncapi

        click.echo(json.dumps(asyncapi(), indent=2))
        return
    from agent.config.loader import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@click.command()
@click.argument("config", type=FILE)
@click.option(
    "--to", type=FILE, metavar="FILE", help="Output file. Default: a new file named after the device."
)
@click.option(
    "--for", "duration", metavar="DURATION", help="Stop after this time, such as 10m. Default: at Ctrl-C."
)
@click.option(
    "--max-mb",
    type=click.IntRange(1, 100_000),
    default=64,
    show_default=True,
    help="Size of a file; then the next one begins, numbered: day.2.jsonl.",
)
@click.option(
    "--keep",
    type=click.IntRange(1, 10_000),
    default=16,
    show_default=True,
    help="Number of files; the oldest is deleted.",
)
def record(config: Path, to: Path | None, duration: str | None, max_mb: int, keep: int) -> None:
    """Record the sources of CONFIG to a file for `replay`, without pictures.

    Stop the agent first. No rules run and no alerts are raised while recording.
    """
    from agent.replay.record import record_command
    from agent.runtime.logging_setup import set_up_log

    set_up_log("warning")
    finish(record_command(config, to, duration, max_mb, keep))


@click.command()
@click.argument("recording", nargs=-1, required=True, type=FILE)
@click.option(
    "--config",
    type=FILE,
    metavar="FILE",
    help="Configuration to apply. Default: config.yaml beside the recording, or the recorded one.",
)
@click.option(
    "--compare",
    type=FILE,
    metavar="FILE",
    help="Show only differences against another configuration (.yaml) or the output of an earlier --json.",
)
@click.option("--since", metavar="TIME", help="Only from here on, such as 2026-11-28T14:35:00+08:00.")
@click.option("--until", metavar="TIME", help="Only what was before.")
@click.option(
    "--keep-as",
    metavar="NAME",
    help="Make a test case of a field report: a folder tests/replay/NAME, or the folder of a path.",
)
@json_option
def replay(
    recording: tuple[Path, ...],
    config: Path | None,
    compare: Path | None,
    since: str | None,
    until: str | None,
    keep_as: str | None,
    as_json: bool,
) -> None:
    """Replay a recording through the rules and print the resulting alerts.

    RECORDING is a file of `record`, several of one recording in their order, or the folder `history` in the
    data of an agent. With --keep-as, --config may also be the zip file of `doctor --bundle`.
    """
    from agent.replay.playable import play_of
    from agent.runtime.error_text import describe_error

    try:
        played = play_of(recording, since, until)
    except (OSError, ValueError) as error:
        click.echo(f"replay: {describe_error(error)}", err=True)
        finish(1)
    if keep_as is not None:
        if compare is not None:
            raise click.UsageError("--keep-as and --compare exclude each other")
        from agent.replay.field_case import keep_command

        finish(keep_command(played, config, keep_as, as_json))
    from agent.replay.replay import replay_command

    finish(replay_command(played, config, compare, as_json))
