"""The commands ``audit list`` and ``audit verify``."""

from pathlib import Path

import click

from agent.cli.options import DEVICE, finish, json_option

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Data directory of a device (also while its agent runs), or the directory of an audit log.",
)
db_option = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Database of the centre: the checkpoints that devices have sent.",
)
device_option = click.option("--device", type=DEVICE, help="Only this device of the database.")


@click.group()
def audit() -> None:
    """List and verify the audit log: orders, pictures that left, logins, starts and stops."""


@audit.command("list")
@data_option
@db_option
@device_option
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only this kind of entry; repeatable.")
@json_option
def list_(
    data: Path | None, db: Path | None, device: str | None, kinds: tuple[str, ...], as_json: bool
) -> None:
    """Print the entries, oldest first. It does not check them: see verify."""
    from agent.cli.audit import list_command

    finish(list_command(data, db, device, frozenset(kinds), as_json))


@audit.command()
@data_option
@db_option
@device_option
@click.option(
    "--roles",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Roles document with the key of the centre. Default: config/roles.json in the data directory.",
)
@json_option
def verify(data: Path | None, db: Path | None, device: str | None, roles: Path | None, as_json: bool) -> None:
    """Check each signature, the order, and both ends of an audit log.

    With --data and --db together, the device's log is also held against what the centre has received: only
    that shows a tail that was cut, or a log that was deleted, by somebody who has the whole device.
    Exit code 0: intact. 1: broken; what, where and since when is printed.
    """
    from agent.cli.audit import verify_command

    finish(verify_command(data, db, device, roles, as_json))
