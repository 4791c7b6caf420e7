"""Options of ``ringpost config``: show, compare, push, confirm, take back."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.options import (
    DEVICE,
    IdentifierType,
    all_option,
    broker_option,
    finish,
    group_option,
    json_option,
    key_option,
    root_option,
)

if TYPE_CHECKING:
    from agent.cli.device_selection import Selection

FILE = click.Path(path_type=Path, readable=False)
revision_type = click.IntRange(0, 2**53 - 1)


def selects(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a verb the options that select devices, for `_selection`."""
    devices = click.argument("devices", nargs=-1, metavar="[DEVICE]…", type=DEVICE)
    return devices(group_option(all_option(verb)))


def at_broker(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a verb the options of the broker, and ``--json``."""
    return broker_option(root_option(json_option(verb)))


@click.group()
def config() -> None:
    """Show, compare, push or take back the configuration of devices."""


def _selection(devices: Iterable[str], group: str | None, everything: bool) -> "Selection":
    from agent.cli.device_selection import Selection

    try:
        return Selection.from_options(devices, group, everything)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@config.command("get")
@selects
@click.option("--text", is_flag=True, help="Print the configuration in force itself; for one device.")
@click.option(
    "--revision", type=revision_type, help="Print the text of this revision instead; for one device."
)
@key_option
@at_broker
def config_get(
    text: bool,
    revision: int | None,
    keys: tuple[Path, ...],
    broker: str,
    root: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Show the configuration state that devices report, or the text of a configuration."""
    from agent.cli.config_state import get_command, text_command

    selection = _selection(**chosen)
    if not text and revision is None:
        finish(get_command(selection, broker, root, as_json))
    if len(selection.devices) != 1:
        raise click.UsageError("--text and --revision are for one device")
    finish(text_command(selection.devices[0], revision, keys, broker, root, as_json))


@config.command("diff")
@click.argument("device", type=DEVICE)
@click.argument("file", type=FILE, required=False)
@click.option("--patch", metavar="FILE|JSON", help="Compare with the result of this merge patch instead.")
@click.option("--revision", type=revision_type, help="Compare with this earlier revision instead.")
@key_option
@at_broker
def config_diff(
    device: str,
    file: Path | None,
    patch: str | None,
    revision: int | None,
    keys: tuple[Path, ...],
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Compare the configuration in force with FILE, and name what a push of FILE would restart.

    Secrets are not shown. Exit code 1 where they differ.
    """
    from agent.cli.config_diff import diff_command

    if [file, patch, revision].count(None) != 2:
        raise click.UsageError("name FILE, --patch or --revision: one of them")
    finish(diff_command(device, file, patch, revision, keys, broker, root, as_json))


@config.command("push")
@click.argument("targets", nargs=-1, metavar="[DEVICE]… [FILE]")
@group_option
@all_option
@click.option(
    "--patch", metavar="FILE|JSON", help="Push this merge patch (RFC 7396) instead of a whole FILE."
)
@click.option(
    "--layer",
    is_flag=True,
    help="Push to the group itself, all at once: the patch replaces the layer of the group, and later"
    " members get it too.",
)
@click.option(
    "--confirm-within",
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="Roll back if the device is not confirmed reachable within this time, 2s to 1h.",
)
@click.option(
    "--confirm",
    type=click.Choice(["auto", "manual"]),
    default="auto",
    show_default=True,
    help="With manual, the device goes back unless it is confirmed within --confirm-within: by ringpost"
    " config confirm; a roll-out does it by itself once the device is healthy.",
)
@click.option("--canary", type=click.IntRange(1, 10_000), help="Push to this many devices first.")
@click.option(
    "--waves",
    metavar="LIST",
    help="Totals of devices after each wave, as numbers or percentages. Default for several devices:"
    " 1,10%,50%,100%.",
)
@click.option(
    "--pause",
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="Watch the devices for this long after each wave.",
)
@click.option(
    "--healthy-within",
    metavar="DURATION",
    help="Each device must report that it is well within this time after a push. Default: 30s in a roll-out;"
    " one device alone is not waited for.",
)
@click.option("--skip-offline", is_flag=True, help="Leave out devices that are offline.")
@click.option("--state", type=FILE, help="File for the state of the roll-out. Default: a new one here.")
@click.option("--resume", type=FILE, help="Take up the roll-out of this state file; failed devices again.")
@click.option("--skip-failed", is_flag=True, help="With --resume, leave out the devices that failed.")
@click.option("--dry-run", is_flag=True, help="Have the devices check the push; nothing is changed.")
@click.option("--prepare", type=FILE, help="Write the signed push to this file, and do not send it.")
@click.option(
    "--cosigner",
    multiple=True,
    type=IdentifierType("a key id: 16 hex digits, as ringpost keys show prints it", "[0-9a-f]{16}"),
    help="With --prepare: the id of a key that will sign too; may be repeated.",
)
@click.option("--signed", type=FILE, help="Send the push of this file, signed by others.")
@key_option
@at_broker
def config_push(targets: tuple[str, ...], broker: str, root: str, as_json: bool, **options: Any) -> None:
    """Push FILE to a device, or a patch to several in waves, and wait for the results.

    Each device ends up applied, rejected with error locations, or rolled back. A roll-out stops at the first
    device that is not applied and healthy; the rest stays as it is.
    """
    from agent.cli.config_push import PushOptions, push_command

    without_file = any(options[name] is not None for name in ("patch", "resume", "signed"))
    if not targets and not without_file:
        raise click.UsageError("name a DEVICE and a FILE")
    names, file = (targets, None) if without_file else (targets[:-1], Path(targets[-1]))
    devices = tuple(DEVICE.convert(name, None, None) for name in names)
    finish(push_command(PushOptions(devices=devices, file=file, **options), broker, root, as_json))


@config.command("confirm")
@selects
@key_option
@at_broker
def config_confirm(
    keys: tuple[Path, ...],
    broker: str,
    root: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Confirm a push that waits for it, so that the device keeps it."""
    from agent.cli.config_orders import confirm_command

    finish(confirm_command(_selection(**chosen), keys, broker, root, as_json))


@config.command("rollback")
@selects
@click.option("--to", "revision", type=revision_type, help="Revision to go back to. Default: the one before.")
@click.option("--rollout", type=FILE, help="Take back the roll-out of this state file, on every device.")
@key_option
@at_broker
def config_rollback(
    revision: int | None,
    rollout: Path | None,
    keys: tuple[Path, ...],
    broker: str,
    root: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Go back to an earlier configuration, with the same proof as a push."""
    from agent.cli.config_orders import rollback_command, take_back_command

    if rollout is not None:
        if any(chosen.values()) or revision is not None:
            raise click.UsageError("--rollout names the devices and revisions itself")
        finish(take_back_command(rollout, keys, broker, as_json))
    selection = _selection(**chosen)
    finish(rollback_command(selection, revision, keys, broker, root, as_json))


@config.command("history")
@click.argument("device", type=DEVICE)
@key_option
@at_broker
def config_history(device: str, keys: tuple[Path, ...], broker: str, root: str, as_json: bool) -> None:
    """Show the revisions that a device keeps: when each came, and who signed it."""
    from agent.cli.config_state import history_command

    finish(history_command(device, keys, broker, root, as_json))


@config.command("drift")
@selects
@at_broker
def config_drift(broker: str, root: str, as_json: bool, **chosen: Any) -> None:
    """Show what was edited in the local file of devices since a push.

    Exit code 1 where something was.
    """
    from agent.cli.config_state import drift_command

    finish(drift_command(_selection(**chosen), broker, root, as_json))
