"""The options of every verb that serves pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, readable=False)


def serving_options(port: int) -> Callable[[F], F]:
    """Adds address, TLS, accounts and signing key; ``port`` is the default."""
    options = (
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on."),
        click.option("--port", default=port, show_default=True, type=click.IntRange(1, 65535), help="Port."),
        click.option(
            "--cert", type=FILE, metavar="FILE", help="Certificate for TLS, with its chain, in PEM."
        ),
        click.option("--key", type=FILE, metavar="FILE", help="Key of the certificate."),
        click.option(
            "--users",
            type=FILE,
            metavar="FILE",
            help="Accounts that may log in, made with 'ringpost console user add'. Without it the address"
            " that is printed opens a session once.",
        ),
        click.option(
            "--signing-key",
            "signing_keys",
            multiple=True,
            envvar="RINGPOST_SIGNING_KEY",
            type=FILE,
            metavar="FILE",
            help="Key that signs the orders of all sessions, as far as their roles go. Without it each"
            " session brings its own in the page. Default: RINGPOST_SIGNING_KEY.",
        ),
        click.option("--no-open", is_flag=True, help="Do not open a browser."),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add
