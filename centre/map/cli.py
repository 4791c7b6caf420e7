"""The command ``map``; it joins the command line by an entry point."""

from pathlib import Path
from typing import Any

import click

from agent.cli.options import BROKER_HELP, finish, root_option
from centre.map.report_cli import report
from console.serving_options import serving_options

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("map", invoke_without_command=True)
@click.option("--db", type=FILE, metavar="FILE", help="Database of 'ringpost centre'; the map only reads it.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Pictures of 'ringpost centre'. Default: none are shown.",
)
@click.option(
    "--broker",
    envvar="RINGPOST_BROKER",
    metavar="URL",
    help=f"{BROKER_HELP} Orders go there; without it the map shows, and gives none.",
)
@root_option
@click.option(
    "--settings",
    type=FILE,
    metavar="FILE",
    help="map.yaml: title, middle, base map, rivers and roads, speeds. Default: a grid.",
)
@serving_options(8701)
@click.pass_context
def map_group(context: click.Context, /, db: Path | None, **options: Any) -> None:
    """Open the one map of all forces: alerts, the nearest, call-out, the last 24 hours.

    It reads what 'ringpost centre' stores, on the same machine. Several maps may run on one database.
    """
    if context.invoked_subcommand is not None:
        return
    if db is None:
        raise click.UsageError("Missing option '--db'.")
    from centre.map.open_map import open_command

    finish(open_command(db, **options))


map_group.add_command(report)
