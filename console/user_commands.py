"""``ringpost console user``: the accounts that may log in to a page on the network."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from agent.cli.options import json_option
from agent.runtime.exit_codes import EX_CONFIG
from console.web.rights import ROLES

if TYPE_CHECKING:
    from console.web.users import Users

users_option = click.option(
    "--users",
    type=click.Path(path_type=Path, readable=False),
    default="console-users.json",
    show_default=True,
    metavar="FILE",
    help="The file of the accounts.",
)


@click.group()
def user() -> None:
    """Add, remove and list the accounts of --users."""


@user.command()
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(ROLES),
    help="What its pages offer; repeat it for several. Alerts are acknowledged under the first. The device"
    " checks the signatures besides.",
)
@users_option
def add(name: str, roles: tuple[str, ...], users: Path) -> None:
    """Add an account, or give it a new passphrase and roles. NAME is a desk or a function, never a person.

    The passphrase is asked for, or read from standard input where that is no terminal.
    """
    from console.web.users import check_account

    try:
        accounts = _load(users, new=True)
        check_account(name, roles)
        asked = sys.stdin.isatty()
        passphrase = (
            click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
            if asked
            else sys.stdin.readline().rstrip("\n")
        )
        accounts.add(name, roles, passphrase)
        accounts.save(users)
    except (OSError, ValueError) as error:
        _fail(error)
    click.echo(f"{name}: {', '.join(roles)} in {users}")


@user.command()
@click.argument("name")
@users_option
def remove(name: str, users: Path) -> None:
    """Remove an account: it can't log in any more. Its open sessions end within seconds."""
    try:
        accounts = _load(users)
        if accounts.accounts.pop(name, None) is None:
            raise ValueError(f"{users}: has no account {name[:40]!r}")
        accounts.save(users)
    except (OSError, ValueError) as error:
        _fail(error)
    click.echo(f"{name}: removed from {users}")


@user.command("list")
@users_option
@json_option
def list_(users: Path, as_json: bool) -> None:
    """List the accounts and their roles."""
    try:
        accounts = _load(users)
    except (OSError, ValueError) as error:
        _fail(error)
    for account in accounts.accounts.values():
        if as_json:
            click.echo(json.dumps({"name": account.name, "roles": account.roles}))
        else:
            click.echo(f"{account.name}: {', '.join(account.roles)}")


def _load(path: Path, *, new: bool = False) -> "Users":
    from console.web.users import Users

    if new and not path.exists():
        return Users()
    return Users.load(path)


def _fail(error: Exception) -> NoReturn:
    from agent.runtime.error_text import describe_error

    click.echo(f"console: {describe_error(error)}", err=True)
    raise SystemExit(EX_CONFIG)
