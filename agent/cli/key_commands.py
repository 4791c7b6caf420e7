"""Options of ``ringpost keys``."""

from collections.abc import Callable
from pathlib import Path

import click

from agent.cli.options import (
    DEVICE,
    all_option,
    broker_option,
    finish,
    group_option,
    json_option,
    root_option,
)
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_USAGE

FILE = click.Path(path_type=Path, dir_okay=False)
passphrase_option = click.option(
    "--passphrase", is_flag=True, help="Encrypt the key file; every use asks for the passphrase."
)
signing_option = click.option(
    "--key", "keys", multiple=True, required=True, type=FILE, help="Key that signs; may be repeated."
)


@click.group()
def keys() -> None:
    """Make the keys that sign orders, and the roles document that says what each may order.

    A device takes configuration, commands and acknowledgements only with signatures that its roles document
    allows; the broker only carries them.
    """


def _finish(work: Callable[[], object]) -> None:
    """Exits with 0, or with one line and 78 for a wrong file, 2 where one must not be replaced."""
    from agent.cli.keys import FAILURES

    try:
        work()
    except FAILURES as error:
        click.echo(f"keys: {describe_error(error)}", err=True)
        finish(EX_USAGE if isinstance(error, FileExistsError) else EX_CONFIG)
    finish(0)


def _passphrase(wanted: bool) -> str | None:
    if not wanted:
        return None
    answer: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return answer


@keys.command("init")
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@passphrase_option
def keys_init(folder: Path, passphrase: bool) -> None:
    """Start a fleet: one root key with all roles, and its roles document, in FOLDER."""
    from agent.cli.keys import init_keys

    _finish(lambda: init_keys(folder, _passphrase(passphrase)))


@keys.command("new")
@click.argument("file", type=FILE)
@passphrase_option
def keys_new(file: Path, passphrase: bool) -> None:
    """Make a key for one person or one desk, and print its entry for the roles document."""
    from agent.cli.keys import new_key

    _finish(lambda: new_key(file, _passphrase(passphrase)))


@keys.command("show")
@click.argument("file", type=FILE)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the content as JSON, such as a draft of the roles."
)
def keys_show(file: Path, as_json: bool) -> None:
    """Show a key file, a roles document or a signed order."""
    from agent.cli.keys import show

    _finish(lambda: show(file, as_json))


@keys.command("roles")
@click.argument("draft", type=FILE)
@click.option("-o", "--out", required=True, type=FILE, help="File for the signed document.")
@click.option("--previous", type=FILE, help="The document before; the new one gets the next version.")
@signing_option
def keys_roles(draft: Path, out: Path, previous: Path | None, keys: tuple[Path, ...]) -> None:
    """Sign a roles document from DRAFT (JSON or YAML).

    'ringpost keys show roles.json --json' prints the draft of an existing document.
    """
    from agent.cli.keys import write_roles

    _finish(lambda: write_roles(draft, out, previous, keys))


@keys.command("push")
@click.argument("file", type=FILE)
@click.argument("devices", nargs=-1, metavar="[DEVICE]…", type=DEVICE)
@group_option
@all_option
@broker_option
@root_option
@json_option
def keys_push(
    file: Path,
    devices: tuple[str, ...],
    group: str | None,
    everything: bool,
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Send a roles document to devices; it replaces an older version."""
    from agent.cli.device_selection import Selection
    from agent.cli.roles_push import push_roles

    try:
        selection = Selection.from_options(devices, group, everything)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    finish(push_roles(file, selection, broker, root, as_json))


@keys.command("sign")
@click.argument("file", type=FILE)
@signing_option
def keys_sign(file: Path, keys: tuple[Path, ...]) -> None:
    """Add a signature to a roles document, or to an order that was written with --prepare."""
    from agent.cli.keys import sign_file

    _finish(lambda: sign_file(file, keys))
