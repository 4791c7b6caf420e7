"""``ringpost console``: the page at the device."""

from pathlib import Path
from typing import Any

import click

from agent.cli.options import finish
from console.user_commands import user

FILE = click.Path(path_type=Path, readable=False)


class ConfigOrVerb(click.Group):
    """``ringpost console [CONFIG]`` opens the page; ``ringpost console user …`` is the only verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] == ["user"] else ["open", *args])


class Opening(click.Command):
    """The verb that is not written."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        path = ctx.command_path.removesuffix(" open")
        formatter.write_usage(path, " ".join(self.collect_usage_pieces(ctx)))


@click.group(cls=ConfigOrVerb)
def console() -> None:
    """Open the page of this device in a browser."""


console.add_command(user)


@console.command("open", cls=Opening, hidden=True)
@click.argument("config", type=FILE, required=False)
@click.option(
    "--data",
    type=FILE,
    metavar="DIRECTORY",
    help="Directory of the agent's data. Default: data.directory of the configuration.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option("--port", default=8700, show_default=True, type=click.IntRange(1, 65535), help="Port.")
@click.option("--cert", type=FILE, metavar="FILE", help="Certificate for TLS, with its chain, in PEM.")
@click.option("--key", type=FILE, metavar="FILE", help="Key of the certificate.")
@click.option(
    "--users",
    type=FILE,
    metavar="FILE",
    help="Accounts that may log in, made with 'ringpost console user add'. Without it the address that is"
    " printed opens a session once.",
)
@click.option(
    "--signing-key",
    "signing_keys",
    multiple=True,
    envvar="RINGPOST_SIGNING_KEY",
    type=FILE,
    metavar="FILE",
    help="Key that signs the orders of all sessions, as far as their roles go. Without it each session brings"
    " its own in the page. Default: RINGPOST_SIGNING_KEY.",
)
@click.option(
    "--units",
    type=click.Choice(["metric", "nautical", "imperial"]),
    default="metric",
    show_default=True,
    help="Units to begin with.",
)
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def open_(**options: Any) -> None:
    """Open the page of this device: what it sees, its alerts, its configuration.

    CONFIG defaults to /etc/ringpost/device.yaml. The page is on this machine's loopback; elsewhere, use
    ssh -L 8700:localhost:8700 DEVICE, or --host with --cert, --key and --users. Orders are signed with your
    key, and the device checks them. `ringpost console user --help`: the accounts for --users.
    """
    from console.open_page import open_command

    finish(open_command(**options))
