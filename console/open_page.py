"""Opens the page of a device: which folder, which address, what to tell in the terminal."""

import asyncio
import html
import os
import pwd
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.checks.configuration import load
from agent.cli.orders import OrderSigner, load_signer, local_exit_code
from agent.local_api.frames import SOCKET
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_INTERRUPTED, EX_NOPERM, EX_UNAVAILABLE, EX_USAGE
from console.web.access_record import FOLDER
from console.web.listening import listen, tls_context
from console.web.options import ServeOptions, new_token
from console.web.units import Units
from console.web.users import Users

if TYPE_CHECKING:
    from console.web.site import Site

USUAL_FILE = Path("/etc/ringpost/device.yaml")
NOT_INSTALLED = "the pages need the extra 'console': pip install 'ringpost[console]'"
EXTRA = frozenset({"nicegui", "fastapi", "starlette", "uvicorn", "socketio", "engineio"})


class Refused(Exception):  # noqa: N818  it is no error of ours
    """The page is not opened; one line for the terminal, and the exit code."""

    def __init__(self, line: object, code: int) -> None:
        super().__init__(describe_error(line) if isinstance(line, Exception) else line)
        self.code = code


def open_command(
    config: Path | None,
    data: Path | None,
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
    users: Path | None,
    signing_keys: Sequence[Path],
    units: Units,
    no_open: bool,
) -> int:
    """Serves until Ctrl-C (130) or SIGTERM (0). 2: wrong use; 69: no extra, or the port is taken; 77: another
    user's agent; 78: a file is wrong."""
    try:
        folder, roles_file = find_folder(config, data)
        if (reason := other_user(folder)) is not None:
            raise Refused(reason, EX_NOPERM)
        token = None if users else new_token()
        options = ServeOptions(
            host, port, token, cert, key, users, folder / FOLDER, signer_of(signing_keys), units
        )
        check_options(options)
        serve_page("console", options, lambda: _site(folder, roles_file), open_it=not no_open)
    except Refused as refused:
        click.echo(f"console: {refused}", err=True)
        return refused.code
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    return 0


def signer_of(keys: Sequence[Path]) -> OrderSigner | None:
    """The signer of all sessions; None without ``keys``. `Refused`."""
    try:
        return load_signer(keys) if keys else None
    except ValueError as error:
        raise Refused(error, local_exit_code(error)) from None


def check_options(options: ServeOptions) -> None:
    """The options and the files that they name. `Refused`."""
    try:
        options.check()
    except ValueError as error:
        raise Refused(error, EX_USAGE) from None
    try:
        if options.users is not None:
            Users.load(options.users)
        if options.certificate is not None:
            tls_context(options)
    except (OSError, ValueError) as error:
        raise Refused(error, EX_CONFIG) from None


def _site(folder: Path, roles_file: Path | None) -> "Site":
    from console.pages.site import device_site

    if not (folder / SOCKET).exists():
        click.echo(f"console: no agent runs on {folder}; the page says so, and goes on trying", err=True)
    return device_site(folder, roles_file)


def serve_page(verb: str, options: ServeOptions, make_site: Callable[[], "Site"], *, open_it: bool) -> None:
    """Serves the site of a verb until it is told to stop; ``open_it``: where a person sees a browser, in one.
    `Refused`; whatever ``make_site`` raises."""
    try:
        listening = listen(options)
    except OSError as error:
        raise Refused(str(error), EX_UNAVAILABLE) from None
    try:
        from console.web.server import serve

        site = make_site()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        raise Refused(NOT_INSTALLED, EX_UNAVAILABLE) from None
    click.echo(f"ringpost {verb}: {options.url}")
    if open_it and has_display():
        threading.Thread(target=open_browser, args=(options.url,), daemon=True).start()

    def on_token(token: str) -> None:
        click.echo(f"the address was used; the next session: {options.url_with(token)}")

    asyncio.run(serve(site, options, listening=listening, on_token=on_token))


def find_folder(config: Path | None, data: Path | None) -> tuple[Path, Path | None]:
    """The data folder, and the roles document that the configuration names. `Refused`.

    A configuration that is wrong has a folder, too: what it says, or the usual one.
    """
    file = config or USUAL_FILE
    if config is None and data is None and not file.exists():
        raise Refused(f"which device? Give CONFIG or --data: {USUAL_FILE} is not there", EX_USAGE)
    if config is not None and not config.exists():
        raise Refused(f"{config}: no such file", EX_CONFIG)
    roles = None
    folder = data
    if config is not None or folder is None:
        loaded = load(file, data)
        folder = loaded.folder
        roles = loaded.in_force.roles if loaded.in_force is not None else None
        if loaded.problems:
            click.echo(f"console: {loaded.problems[0]}; the data folder is {folder}", err=True)
    assert folder is not None  # noqa: S101
    try:
        if not folder.is_dir():
            raise Refused(f"{folder}: no such directory: is this the agent's data directory?", EX_CONFIG)
    except PermissionError:
        pass  # `other_user` says whose it is
    return folder, roles


def other_user(folder: Path) -> str | None:
    """Why the agent's socket is not for this user; None where it is, or where there is none."""
    if os.geteuid() == 0:
        return None
    found = folder
    try:
        owner = (folder / SOCKET).stat().st_uid
    except FileNotFoundError:
        return None
    except PermissionError:
        while not os.access(found.parent, os.X_OK):
            found = found.parent
        owner = found.stat().st_uid
    if owner == os.geteuid():
        return None
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    return f"{folder}: the agent runs as user {name}, and answers no other: sudo -u {name} ringpost console …"


def has_display() -> bool:
    """Whether a browser can be opened for the person at this terminal."""
    here = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(here) and not os.environ.get("SSH_CONNECTION")


def open_browser(url: str) -> None:
    """Opens the browser by a file that only this user reads: the arguments of a process are seen by all."""
    import time
    import webbrowser

    with tempfile.TemporaryDirectory(prefix="ringpost-") as folder:  # mode 0700
        page = Path(folder) / "open.html"
        target = html.escape(url)
        page.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={target}"><a href="{target}">'
        )
        try:
            if webbrowser.open(page.as_uri()):
                time.sleep(20)  # the browser may still be starting
        except (webbrowser.Error, OSError):
            return
