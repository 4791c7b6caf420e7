"""Declares the commands that reach a device over the broker: options only."""

from pathlib import Path

import click

from agent.cli.options import ALERT, DEVICE, as_json, broker_option, finish, root_option


@click.group()
def config() -> None:
    """Push configuration to a device and see what became of it."""


@config.command("get")
@click.argument("device", type=DEVICE)
@broker_option
@root_option
@as_json
def config_get(device: str, broker: str, root: str, as_json: bool) -> None:
    """Show what a device reports of its configuration."""
    from agent.cli.config_push import get_command

    finish(get_command(device, broker, root, as_json))


@config.command("push")
@click.argument("device", type=DEVICE)
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--confirm-within", default="60s", show_default=True, help="Back to the old one if not reached by then."
)
@broker_option
@root_option
@as_json
def config_push(device: str, file: Path, confirm_within: str, broker: str, root: str, as_json: bool) -> None:
    """Push FILE to a device, and wait for what becomes of it."""
    from agent.cli.config_push import push_command

    finish(push_command(device, file, confirm_within, broker, root, as_json))


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("alert_id", type=ALERT)
@click.option(
    "--to", "folder", default=".", show_default=True, type=click.Path(path_type=Path, readable=False)
)
@click.option("--pictures", default=20, show_default=True, type=click.IntRange(1, 40))
@broker_option
@root_option
@as_json
def fetch(
    device: str, alert_id: str, folder: Path, pictures: int, broker: str, root: str, as_json: bool
) -> None:
    """Fetch what a camera saw around an alert, as pictures; people are covered in them."""
    from agent.cli.fetch import fetch_command

    finish(fetch_command(device, alert_id, pictures, folder, broker, root, as_json))


@click.command()
@click.argument("device", type=DEVICE)
@click.option("--role", required=True, help="Who asks, as a role: never a name.")
@click.option("--reason", required=True, help="What for; it is logged with each picture.")
@click.option("--for", "lasts", default="15m", show_default=True, help="60m at most; 1s ends it.")
@click.option(
    "--key", required=True, type=click.Path(path_type=Path, readable=False), help="The device's rescue key."
)
@click.option("--camera", help="Only this one; all, if it is not given.")
@broker_option
@root_option
@as_json
def rescue(
    device: str,
    role: str,
    reason: str,
    lasts: str,
    key: Path,
    camera: str | None,
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Have people shown in a device's pictures for a while, to rescue somebody."""
    from agent.cli.rescue import rescue_command

    finish(rescue_command(device, role, reason, lasts, key, camera, broker, root, as_json))


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("alert_id", type=ALERT)
@click.option("--role", default="technician", show_default=True, help="Who answers, as a role: never a name.")
@click.option("--close", "action", flag_value="close", help="End the alert now.")
@click.option("--reject", "action", flag_value="reject", help="End it as a false alert.")
@click.option("--reason", help="Why; with --close or --reject.")
@broker_option
@root_option
@as_json
def ack(
    device: str,
    alert_id: str,
    role: str,
    action: str | None,
    reason: str | None,
    broker: str,
    root: str,
    as_json: bool,
) -> None:
    """Acknowledge an alert: somebody is on it. `watch --json` and the centre show its id."""
    from agent.cli.ack import ack_command

    finish(ack_command(device, alert_id, role, action or "ack", reason, broker, root, as_json))


@click.command()
@click.argument("devices", nargs=-1, metavar="[DEVICE]…", type=DEVICE)
@broker_option
@root_option
@click.option("--for", "duration", help="Stop by itself after this long, such as 30s.")
@as_json
def watch(devices: tuple[str, ...], broker: str, root: str, duration: str | None, as_json: bool) -> None:
    """Show devices, health and alerts live, from the broker."""
    from agent.cli.watch import watch_command

    finish(watch_command(list(devices), broker, root, duration, as_json))
