"""Options of the technician's commands at the device: ``doctor``, ``init``."""

from pathlib import Path

import click

from agent.cli.options import DEVICE, finish, json_option

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


@click.command()
@click.option(
    "--kind",
    type=click.Choice(
        ["checkpoint_camera", "patrol_boat", "drone_ground_station", "metro_post", "watch_point"]
    ),
    help="Kind of device. Default: by what is plugged in.",
)
@click.option("--device", type=DEVICE, help="Name of the device. Default: the name of this machine.")
@click.option(
    "-o",
    "--output",
    type=FILE,
    default="device.yaml",
    show_default=True,
    metavar="FILE",
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@click.option(
    "--listen",
    "listen_s",
    type=click.FloatRange(0.5, 60),
    default=6.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to listen on each free serial port. Opening a port may reset a microcontroller.",
)
def init(kind: str | None, device: str | None, output: Path, force: bool, listen_s: float) -> None:
    """Write a commented configuration from what is plugged in: serial ports, GNSS receivers, cameras.

    It asks only at a terminal, and ends with the next commands.
    """
    from agent.cli.init import init_command

    finish(init_command(kind, device, output, force, listen_s))
