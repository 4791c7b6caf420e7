"""Options of the commands that reach a device over the broker: ``watch``, ``ack``, ``fetch`` …"""

from pathlib import Path

import click

from agent.cli.options import ALERT, DEVICE, broker_option, finish, json_option, key_option, root_option


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("alert_id", type=ALERT)
@click.option(
    "--to",
    "folder",
    default=".",
    show_default=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="DIRECTORY",
    help="Directory for the pictures.",
)
@click.option(
    "--pictures",
    default=20,
    show_default=True,
    type=click.IntRange(1, 40),
    help="Number of pictures to fetch.",
)
@key_option
@broker_option
@root_option
@json_option
def fetch(
    device: str,
    alert_id: str,
    folder: Path,
    pictures: int,
    keys: tuple[Path, ...],
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Fetch camera pictures from around the time of an alert; people are redacted."""
    from agent.cli.fetch import fetch_command

    finish(fetch_command(device, alert_id, pictures, folder, keys, broker, root, as_json))


@click.command()
@click.argument("device", type=DEVICE)
@click.option("--role", required=True, help="Role of the requester, never a name.")
@click.option("--reason", required=True, help="Reason; it is logged with each picture.")
@click.option(
    "--for",
    "duration",
    default="15m",
    show_default=True,
    metavar="DURATION",
    help="Duration, 60m at most; 1s ends a grant.",
)
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="File with the rescue key of the device (privacy.rescue_key).",
)
@click.option("--camera", help="Only this camera. Default: all cameras.")
@click.option(
    "--signing-key",
    "keys",
    multiple=True,
    envvar="RINGPOST_SIGNING_KEY",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="File of a key that signs, as --key of the other commands.",
)
@broker_option
@root_option
@json_option
def rescue(
    device: str,
    role: str,
    reason: str,
    duration: str,
    key: Path,
    camera: str | None,
    keys: tuple[Path, ...],
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Temporarily unmask people in a device's pictures, for a rescue."""
    from agent.cli.rescue import rescue_command

    finish(rescue_command(device, role, reason, duration, key, camera, keys, broker, root, as_json))


role_option = click.option(
    "--role", default="technician", show_default=True, help="Role of the person who answers, never a name."
)


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("alert_id", type=ALERT)
@role_option
@click.option("--close", "action", flag_value="close", help="End the alert now: as ringpost close.")
@click.option("--reject", "action", flag_value="reject", help="End it as a false alert: as ringpost reject.")
@click.option("--reason", help="Reason for --close or --reject.")
@key_option
@broker_option
@root_option
@json_option
def ack(
    device: str,
    alert_id: str,
    role: str,
    action: str | None,
    reason: str | None,
    keys: tuple[Path, ...],
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Acknowledge an alert as being handled.

    `ringpost watch --json` and the centre show the ids of alerts.
    """
    from agent.cli.ack import ack_command

    finish(ack_command(device, alert_id, role, action or "ack", reason, keys, broker, root, as_json))


def _ending(name: str, summary: str) -> click.Command:
    """A verb that ends an alert."""

    @click.command(name, help=summary)
    @click.argument("device", type=DEVICE)
    @click.argument("alert_id", type=ALERT)
    @role_option
    @click.option("--reason", help="Reason, up to 200 characters.")
    @key_option
    @broker_option
    @root_option
    @json_option
    def verb(
        device: str,
        alert_id: str,
        role: str,
        reason: str | None,
        keys: tuple[Path, ...],
        broker: str,
        root: str,
        as_json: bool,
    ) -> None:
        from agent.cli.ack import ack_command

        finish(ack_command(device, alert_id, role, name, reason, keys, broker, root, as_json))

    return verb


close = _ending("close", "End an alert now: it was handled.")
reject = _ending("reject", "End an alert now: it was a false alert.")


@click.command()
@click.argument("devices", nargs=-1, metavar="[DEVICE]…", type=DEVICE)
@broker_option
@root_option
@click.option(
    "--for", "duration", metavar="DURATION", help="Stop after this time, such as 30s. Default: at Ctrl-C."
)
@json_option
def watch(devices: tuple[str, ...], broker: str, root: str, duration: str | None, as_json: bool) -> None:
    """Show the state, health and alerts of devices live; by default of all devices."""
    from agent.cli.watch import watch_command

    finish(watch_command(list(devices), broker, root, duration, as_json))
