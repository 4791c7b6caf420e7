"""Serves a site: NiceGUI below our own FastAPI application, behind the access gate."""

import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.web.access import COOKIE, LOGIN, AccessGate, session_of
from console.web.rights import ROLES
from console.web.session import Session, Sessions
from console.web.site import Page, Site

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """``token`` opens a session by the address alone, on the loopback; ``certificate`` and ``key`` are for
    TLS, without which nothing but the loopback is served."""

    host: str = "127.0.0.1"
    port: int = 8700
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """The address for the browser of this machine."""
        scheme = "http" if self.certificate is None else "https"
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{name}:{self.port}/" + (f"login?token={self.token}" if self.token else "")


def new_token() -> str:
    """A token for `ServeOptions`."""
    return secrets.token_urlsafe(24)


def make_app(site: Site, options: ServeOptions, sessions: Sessions) -> Any:
    """The ASGI application of ``site``."""
    os.environ.setdefault("NICEGUI_STORAGE_PATH", tempfile.mkdtemp(prefix="ringpost-console-"))
    from fastapi import FastAPI, Request
    from fastapi.responses import RedirectResponse, Response
    from nicegui import app as nicegui_app
    from nicegui import ui

    from console.web.shell import draw_shell

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(LOGIN)
    def login(token: str = "") -> Response:
        if options.token is None or not secrets.compare_digest(token, options.token):
            return Response("The address needs its token: see the terminal.", 401)
        answer = RedirectResponse("/", 303)
        session = sessions.begin("operator", roles=ROLES)
        answer.set_cookie(
            COOKIE, session.token, httponly=True, samesite="strict", secure=options.certificate is not None
        )
        return answer

    @app.get("/logout")
    def logout(request: Request) -> Response:
        if (session := session_of(request.headers, sessions)) is not None:
            sessions.end(session.token)
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(COOKIE)
        return answer

    nicegui_app.add_static_files("/static", STATIC)

    def add(page: Page) -> None:
        @ui.page(page.path, title=site.title)
        def show(request: Request) -> None:
            session: Session | None = session_of(request.headers, sessions)
            if session is not None:
                for style in ("console", "picture"):
                    ui.add_head_html(f'<link rel="stylesheet" href="/static/{style}.css">')
                draw_shell(site, page, session)

    for page in site.pages:
        add(page)
    for path, handler in site.routes.items():
        app.add_api_route(path, handler, include_in_schema=False)
    for start in site.on_start:
        nicegui_app.on_startup(start)
    for stop in site.on_stop:
        nicegui_app.on_shutdown(stop)
    ui.run_with(
        app, title=site.title, dark=None, tailwind=False, show_welcome_message=False, reconnect_timeout=30
    )
    names = {options.host, "localhost", "127.0.0.1", "[::1]"}
    return AccessGate(app, sessions, frozenset(names))


async def serve(site: Site, options: ServeOptions, sessions: Sessions | None = None) -> None:
    """Serves ``site`` until it is cancelled or the process is told to stop."""
    import uvicorn

    tls: dict[str, Any] = {}
    if options.certificate is not None:
        tls = {
            "ssl_certfile": options.certificate,
            "ssl_keyfile": options.key,
            "ssl_version": ssl.PROTOCOL_TLS_SERVER,
        }
    config = uvicorn.Config(
        make_app(site, options, sessions or Sessions()), host=options.host, port=options.port,
        log_level="warning", access_log=False, server_header=False, date_header=False, **tls,
    )  # fmt: skip
    await uvicorn.Server(config).serve()
