"""Runs the stage of ``ringpost demo`` or ``ringpost try`` and serves its page, until Ctrl-C."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from agent.cli.orders import OrderSigner
from console.pages.device import Device
from console.pages.site import device_site
from console.web.server import ServeOptions, new_token, serve
from console.web.session import Session
from console.web.site import Page, Site
from simulators.broker import free_port
from simulators.first_minute import demo_page
from simulators.first_minute.demo_board import DemoBoard
from simulators.first_minute.demo_stage import DemoStage, demo_stage
from simulators.first_minute.stage import stage
from simulators.first_minute.try_stage import try_config
from simulators.scenario.delivery import delivery_proof

OnServing = Callable[[str], None]
"""Takes the address, once the page can be opened, and the next one where it was used."""


async def show_demo(port: int | None, on_serving: OnServing) -> int:
    """The device of the demo and its page. Returns 1 where an alert was lost. OSError: no broker."""
    board = DemoBoard()
    with tempfile.TemporaryDirectory(prefix="ringpost-demo-") as name:
        folder = Path(name)
        async with demo_stage(folder, board.take) as demo:
            await _serve(demo_site(demo, board), demo.stage.signer, port, on_serving)
        proof = await delivery_proof(demo.stage.device, demo.stage.data, folder / "centre.db")
        click.echo(f"alert messages, counted on both disks: {proof}")
    return 1 if proof.lost else 0


async def show_try(source: str, port: int | None, on_serving: OnServing) -> int:
    """An agent with the one camera ``source``, and its pages; nothing of it stays on the disk."""
    config = try_config(source)
    with tempfile.TemporaryDirectory(prefix="ringpost-try-") as name:
        folder = Path(name)
        async with stage(folder, config, lambda *_: None) as on:
            await _serve(try_site(on.data), on.signer, port, on_serving)
    return 0


def demo_site(demo: DemoStage, board: DemoBoard) -> Site:
    """The page of the demo first, then those of its device."""
    device = Device(demo.stage.data)
    site = device_site(demo.stage.data, device=device)
    first = Page("/", "Demo", "play_circle", partial(demo_page.build, demo, board, device))
    pages = [replace(page, path="/now") if page.path == "/" else page for page in site.pages]
    return replace(site, pages=(first, *pages))


def try_site(data: Path) -> Site:
    """The pages of the device, *Cameras* first, with the alerts below."""
    site = device_site(data)
    paths = {"/": "/now", "/cameras": "/"}
    pages = [replace(page, path=paths.get(page.path, page.path)) for page in site.pages]
    pages.sort(key=lambda page: page.path != "/")
    alerts = next(page for page in pages if page.path == "/alerts")
    pages[0] = replace(pages[0], build=partial(_draw_both, pages[0], alerts))
    return replace(site, pages=tuple(pages))


def _draw_both(first: Page, second: Page, session: Session) -> None:
    first.build(session)
    second.build(session)


async def _serve(site: Site, signer: OrderSigner, port: int | None, on_serving: OnServing) -> None:
    """Serves until Ctrl-C or SIGTERM. OSError where the port is taken."""
    options = ServeOptions(port=port or free_port(), token=new_token(), signer=signer)
    with suppress(KeyboardInterrupt):
        await serve(
            site, options,
            on_ready=lambda: on_serving(options.url),
            on_token=lambda token: on_serving(options.url_with(token)),
        )  # fmt: skip
