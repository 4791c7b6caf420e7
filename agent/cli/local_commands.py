"""Options of the technician's commands at the device: ``doctor``, ``init``."""

from pathlib import Path

import click

from agent.cli.options import finish, json_option

FILE = click.Path(path_type=Path, readable=False)


@click.command()
@click.argument("config", type=FILE, required=False)
@click.option(
    "--data",
    type=FILE,
    metavar="DIRECTORY",
    help="Directory of the agent's data. Default: data.directory of the configuration.",
)
@click.option(
    "--bundle",
    type=FILE,
    metavar="FILE.zip",
    help="Also write results, configuration, versions, health and log for support; no secrets, no pictures.",
)
@json_option
def doctor(config: Path | None, data: Path | None, bundle: Path | None, as_json: bool) -> None:
    """Check this device: each finding with its remedy, in a minute at most.

    CONFIG defaults to /etc/ringpost/device.yaml. Nothing is changed, and a running agent is not disturbed:
    what it holds is not opened. Exit code 0: nothing failed, 1: something failed, 78: CONFIG is wrong.
    """
    from agent.cli.doctor import doctor_command

    finish(doctor_command(config, data, as_json, bundle))
