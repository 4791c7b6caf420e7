"""The commands ``demo`` and ``simulate``; they join the command line by an entry point."""

import asyncio
import json
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_INTERRUPTED, EX_UNAVAILABLE, EX_USAGE
from centre.cli import refuse_bad_broker

if TYPE_CHECKING:
    from simulators.scenario import ReceivedMessages, Scenario


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
    raise SystemExit(_play("bridge_rescue", duration, broker, as_json=False))


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


@click.command()
@click.argument("scenario")
@click.option("--broker", help="URL of a running broker. Default: start one.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print every message that reaches the broker, one JSON object per line.",
)
def simulate(scenario: str, broker: str | None, as_json: bool) -> None:
    """Run a scenario and check its expectations; exit code 1 if one is not met."""
    raise SystemExit(_play(scenario, None, broker, as_json))


def _play(name: str, duration: str | None, broker_url: str | None, as_json: bool) -> int:
    from agent.domain.durations import parse_duration
    from agent.runtime.logging_setup import set_up_log
    from centre.message_line import line
    from simulators.broker import LocalBroker
    from simulators.scenario import find_scenario
    from simulators.scenario_player import play

    set_up_log("error")
    if broker_url:
        refuse_bad_broker(broker_url)
    try:
        scenario = find_scenario(name)
        if duration is not None:
            scenario = scenario.model_copy(update={"duration": parse_duration(duration)})
    except (OSError, ValueError) as error:
        click.echo(f"simulate: {error}", err=True)
        return EX_USAGE
    shown: dict[str, int] = {}

    def show(device: str, topic: str, body: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"device": device, "topic": topic, "message": body}))
            return
        shown[topic] = shown.get(topic, 0) + 1
        often = {"alert": 1000, "status": 1000, "position": 2}
        if shown[topic] <= often.get(topic, 1 if topic in ("birth", "health") else 0):
            click.echo(line(device, topic, body))

    with tempfile.TemporaryDirectory(prefix="ringpost-") as folder:
        local = None if broker_url else LocalBroker()
        try:
            if local is not None:
                local.start()
            url = broker_url or (local.url if local else "")
            announce = (lambda _: None) if as_json else (lambda text: click.echo(f"-> {text}"))
            received = asyncio.run(play(scenario, url, Path(folder), show, announce))
        except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
            raise
        except (OSError, ValueError) as error:
            click.echo(f"simulate: {error}", err=True)
            return EX_UNAVAILABLE
        except KeyboardInterrupt:
            return EX_INTERRUPTED
        finally:
            if local is not None:
                local.stop()
    return _report(scenario, received, None if as_json else shown)


def _report(scenario: "Scenario", received: "ReceivedMessages", shown: Mapping[str, int] | None) -> int:
    """Prints what came back and whether it is what the scenario expects; ``shown`` counts by topic, None:
    only what was missed. Returns the exit code."""
    from simulators.scenario import unmet_expectations

    failures = unmet_expectations(scenario, received)
    if shown is not None:
        counts = ", ".join(f"{count} {topic}" for topic, count in sorted(shown.items()))
        click.echo(f"\n{len(received.messages)} messages came back: {counts}")
        if received.proof is not None:
            click.echo(f"alert messages, counted on both disks: {received.proof}")
    for failure in failures:
        click.echo(f"MISSED {failure}", err=True)
    if not failures and shown is not None:
        click.echo(f"{scenario.name}: all {len(scenario.expect) + len(scenario.never)} expectations were met")
    return 1 if failures or (received.proof is not None and received.proof.lost) else 0
