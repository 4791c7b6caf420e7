"""The commands ``demo`` and ``simulate``; they join the command line by an entry point."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import click

from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_INTERRUPTED, EX_UNAVAILABLE, EX_USAGE
from centre.cli import refuse_bad_broker
from simulators.simulate_verb import simulate

__all__ = ["demo", "simulate", "try_"]

DEMO = "bridge_post"


@click.command()
@click.option("--duration", help="With --headless: stop after this time, such as 30s.")
@click.option("--broker", help="With --headless: URL of a running broker. Default: start one.")
@click.option("--headless", is_flag=True, help="Print what happens instead of opening a page; for CI.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page. Default: a free one.")
@click.option("--no-open", is_flag=True, help="Print the address of the page, and open no browser.")
def demo(duration: str | None, broker: str | None, headless: bool, port: int | None, no_open: bool) -> None:
    """Show the whole system on this machine: no hardware, no broker to install."""
    if broker:
        refuse_bad_broker(broker)
    if not headless and (duration or broker):
        raise click.UsageError("--duration and --broker need --headless")
    click.echo(
        "ringpost demo: a real broker, simulated hardware on ptys and a video stream, the real detector."
    )
    if not headless:
        _show(lambda show: show.show_demo(port, _announce_page(no_open)), "demo")
    click.echo("A line with -> says what happens next; each other line came back from the broker.\n")
    from simulators.scenario.simulate import RunRequest, simulate_command

    raise SystemExit(simulate_command(RunRequest(DEMO, _shortened(duration), broker)))


def _shortened(duration: str | None) -> dict[str, Any]:
    """The change of the scenario that ``--duration`` asks for: what comes later is left out."""
    from agent.domain.durations import parse_duration

    if duration is None:
        return {}
    try:
        return {"duration": parse_duration(duration)}
    except ValueError as error:
        click.echo(f"demo: {error}", err=True)
        raise SystemExit(EX_USAGE) from None


@click.command("try")
@click.argument("source", metavar="CAMERA|FILE|URL")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page. Default: a free one.")
@click.option("--no-open", is_flag=True, help="Print the address of the page, and open no browser.")
def try_(source: str, port: int | None, no_open: bool) -> None:
    """Try a camera of your own: 0 is the first webcam. Draw a zone, see its alerts; nothing is kept."""
    click.echo(f"ringpost try: {source}, the detector, and an agent in a temporary folder.")
    _show(lambda show: show.show_try(source, port, _announce_page(no_open)), "try")


def _show(run: Callable[[Any], Coroutine[Any, Any, int]], verb: str) -> NoReturn:
    """Runs a page until Ctrl-C, and exits."""
    from agent.runtime.logging_setup import set_up_log
    from console.open_page import EXTRA, NOT_INSTALLED

    set_up_log("critical")
    try:
        from simulators.first_minute import show
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        click.echo(f"{verb}: {NOT_INSTALLED}", err=True)
        raise SystemExit(EX_UNAVAILABLE) from None
    try:
        raise SystemExit(asyncio.run(run(show)))
    except (OSError, ValueError) as error:
        click.echo(f"{verb}: {describe_error(error)}", err=True)
        raise SystemExit(EX_UNAVAILABLE) from None
    except KeyboardInterrupt:
        raise SystemExit(EX_INTERRUPTED) from None


def _announce_page(no_open: bool) -> Callable[[str], None]:
    """Prints the address of the page, which opens one session, and the next one where it was used."""
    from console.open_page import has_display, open_browser

    first = True

    def announce(url: str) -> None:
        nonlocal first
        if not first:
            click.echo(f"the address was used; the next session: {url}")
            return
        first = False
        click.echo(f"The page: {url}\nCtrl-C ends it.")
        if not no_open and has_display():
            threading.Thread(target=open_browser, args=(url,), daemon=True).start()

    return announce
