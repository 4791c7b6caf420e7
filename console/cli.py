"""``ringpost console``: the page at the device."""

from typing import Any

import click

from agent.cli.options import finish
from console.serving_options import FILE, serving_options
from console.user_commands import user


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
@serving_options(8700)
@click.option(
    "--units",
    type=click.Choice(["metric", "nautical", "imperial"]),
    default="metric",
    show_default=True,
    help="Units to begin with.",
)
def open_(**options: Any) -> None:
    """Open the page of this device: what it sees, its alerts, its configuration.

    CONFIG defaults to /etc/ringpost/device.yaml. The page is on this machine's loopback; elsewhere, use
    ssh -L 8700:localhost:8700 DEVICE, or --host with --cert, --key and --users. Orders are signed with your
    key, and the device checks them. `ringpost console user --help`: the accounts for --users.
    """
    from console.open_page import open_command

    finish(open_command(**options))
