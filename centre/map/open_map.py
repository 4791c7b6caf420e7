"""Opens the map of a city: which files, which broker, which address, what to tell in the terminal."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.runtime.exit_codes import EX_CONFIG, EX_INTERRUPTED
from console.open_page import Refused, check_options, serve_page, signer_of
from console.web.options import ServeOptions, new_token

if TYPE_CHECKING:
    from console.web.site import Site

NO_BROKER = "no --broker: the map shows, and gives no orders"


def open_command(
    db: Path,
    pictures: Path | None,
    broker: str | None,
    root: str,
    settings: Path | None,
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
    users: Path | None,
    signing_keys: Sequence[Path],
    no_open: bool,
) -> int:
    """Serves until Ctrl-C (130) or SIGTERM (0). 2: wrong use; 69: no extra, or the port is taken; 78: a file
    is wrong."""
    from centre.cli import refuse_bad_broker

    if broker is not None:
        refuse_bad_broker(broker)

    def make_site() -> "Site":
        from centre.map.city import open_city
        from centre.map.server import city_site

        try:
            city = asyncio.run(open_city(db, settings, broker, root, pictures))
            return city_site(city)
        except (OSError, ValueError) as error:
            raise Refused(error, EX_CONFIG) from None

    try:
        if pictures is not None and not pictures.is_dir():
            raise Refused(f"--pictures {pictures}: no such directory", EX_CONFIG)
        token = None if users else new_token()
        options = ServeOptions(
            host, port, token, cert, key, users, logins_folder(db), signer_of(signing_keys)
        )
        check_options(options)
        if broker is None:
            click.echo(f"map: {NO_BROKER}", err=True)
        serve_page("map", options, make_site, open_it=not no_open)
    except Refused as refused:
        click.echo(f"map: {refused}", err=True)
        return refused.code
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    return 0


def logins_folder(db: Path) -> Path:
    """The access log of the pages: its chain has one writer, unlike that of the pictures."""
    return db.with_name(f"{db.name}-map-logins")
