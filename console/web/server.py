"""Serves a site: NiceGUI below our own FastAPI application, behind the access gate."""

import asyncio
import copy
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console.web.access import SESSION
from console.web.access_app import Access
from console.web.headers import put_nonces_into_templates
from console.web.http_protocol import MAX_HEAD, BoundedProtocol
from console.web.listening import listen, tls_context
from console.web.login_page import HTML_LANG
from console.web.options import ServeOptions, new_token
from console.web.session import Session, Sessions
from console.web.site import Page, Site

__all__ = ["ServeOptions", "listen", "make_app", "new_token", "serve"]

STATIC = Path(__file__).parent / "static"
BRAND = {
    "primary": "#005a8f", "secondary": "#31506e", "accent": "#7a3e77", "positive": "#00694d",
    "negative": "#a02c00", "warning": "#8a5a00", "info": "#005a8f",
}  # fmt: skip
"""Quasar's colours, each with a contrast of 4.5 at least to white."""


def make_app(
    site: Site,
    options: ServeOptions,
    sessions: Sessions | None = None,
    on_token: Callable[[str], None] = lambda _: None,
) -> Any:
    """The ASGI application of ``site``. ``on_token`` hears of the token that replaces a used one."""
    from fastapi import Request
    from nicegui import app as nicegui_app
    from nicegui import client, core, ui

    from console.web.marks import show_marks
    from console.web.process_log import bound_logs
    from console.web.shell import draw_shell
    from console.web.socket_guard import guard_sockets, owner_of

    access = Access(site, options, sessions, on_token)
    app = access.app
    nicegui_app.add_static_files("/static", STATIC)

    def add(page: Page) -> None:
        @ui.page(page.path, title=site.title)
        def show(request: Request) -> None:
            session = request.scope.get(SESSION)
            if isinstance(session, Session):
                here = ui.context.client
                here.page = copy.copy(here.page)  # NiceGUI's page has one language for all its visitors
                here.page.language = "zh-CN" if HTML_LANG[session.language] == "zh-CN" else "en-US"
                here.page.title = f"{session.t(page.name)} · {site.heading_now()}"
                draw_shell(site, page, session)

    for page in site.pages:
        add(page)
    for path, handler in site.routes.items():
        app.add_api_route(path, handler, include_in_schema=False)

    for start in (access.start, *site.on_start):
        nicegui_app.on_startup(start)
    for stop in (*site.on_stop, access.stop):
        nicegui_app.on_shutdown(stop)
    core.app.config.quasar_config["brand"] = BRAND
    core.app.config.socket_io_js_transports = ["websocket"]
    put_nonces_into_templates(client.templates)
    guard_sockets(core.sio)
    show_marks()
    bound_logs()
    ui.run_with(
        app, title=site.title, dark=None, tailwind=False, show_welcome_message=False, reconnect_timeout=30
    )
    return access.gate(owner_of)


async def serve(
    site: Site,
    options: ServeOptions,
    sessions: Sessions | None = None,
    *,
    listening: socket.socket | None = None,
    on_token: Callable[[str], None] = lambda _: None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serves ``site`` until it is cancelled or the process is told to stop. OSError where it can't listen."""
    import uvicorn

    listening = listening or listen(options)
    config = uvicorn.Config(
        make_app(site, options, sessions, on_token), host=options.host, port=options.port,
        http=BoundedProtocol, ws="websockets-sansio", ws_max_size=1 << 20, ws_per_message_deflate=False,
        h11_max_incomplete_event_size=MAX_HEAD, timeout_keep_alive=5, timeout_graceful_shutdown=2,
        proxy_headers=False, log_level="critical", access_log=False, server_header=False, date_header=False,
        ssl_context_factory=None if options.certificate is None else lambda *_: tls_context(options),
    )  # fmt: skip
    on_ready()  # whoever comes now waits in the queue of the socket
    server = uvicorn.Server(config)
    loop, told = asyncio.get_running_loop(), list[signal.Signals]()

    def stop(number: signal.Signals) -> None:
        told.append(number)
        server.handle_exit(number, None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await server._serve(sockets=[listening])  # `serve` would raise the signal once more at its end
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if signal.SIGINT in told:
        raise KeyboardInterrupt
