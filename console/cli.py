"""``ringpost console``: the page at the device."""

import asyncio
from pathlib import Path

import click

from agent.runtime.exit_codes import EX_UNAVAILABLE

NOT_INSTALLED = "the pages need the extra 'console': pip install 'ringpost[console]'"


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Data directory of the agent (data.directory).",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option("--port", default=8700, show_default=True, type=click.IntRange(1, 65535), help="Port.")
def console(data: Path, host: str, port: int) -> None:
    """Open the page of this device: what it sees, its alerts, its configuration."""
    try:
        from console.pages.site import device_site
        from console.web.server import ServeOptions, new_token, serve
    except ModuleNotFoundError:
        click.echo(f"console: {NOT_INSTALLED}", err=True)
        raise SystemExit(EX_UNAVAILABLE) from None
    options = ServeOptions(host, port, token=new_token())
    click.echo(f"ringpost console: {options.url}")
    asyncio.run(serve(device_site(data), options))
