"""The part of the server that lets people in: login, log out and settings, behind the gate; no NiceGUI."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi import FastAPI, Response

from console.web.access import LOGIN, AccessGate
from console.web.access_record import AccessRecord
from console.web.login import Login
from console.web.options import ServeOptions
from console.web.session import Session, Sessions
from console.web.site import Site

SWEEP_S = 5.0
"""How often sessions are looked through for those whose time is over, or whose account is gone."""


class Access:
    """``app`` has the routes of the login; the pages are added to it, and `gate` is what is served."""

    def __init__(
        self,
        site: Site,
        options: ServeOptions,
        sessions: Sessions | None = None,
        on_token: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        own = Sessions(clock, idle_s=options.idle_s, absolute_s=options.absolute_s)
        self.sessions = own if sessions is None else sessions
        self._site, self._options = site, options
        self._tls = options.certificate is not None
        self._record = AccessRecord(options.access_log)
        self.login = Login(
            self.sessions, self._record, title=site.heading_now, cookie=options.cookie, tls=self._tls,
            users=options.accounts, token=options.token, on_token=on_token, prepare=self._prepare,
            paths=[page.path for page in site.pages], clock=clock,
        )  # fmt: skip
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.app.add_api_route(LOGIN, self.login.show, methods=["GET"])
        self.app.add_api_route(LOGIN, self.login.log_in, methods=["POST"])
        self.app.add_api_route("/logout", self.login.log_out, methods=["POST"])
        self.app.add_api_route("/settings", self.login.set_settings, methods=["POST"])
        self.app.add_api_route("/session", lambda: Response(status_code=204), methods=["GET"])
        self._sweeper: asyncio.Task[None] | None = None

    def gate(self, owner: Callable[[str], Session | None] = lambda _: None) -> Any:
        """The application behind its gate; ``owner`` as for `AccessGate`."""
        options = self._options
        return AccessGate(
            self.app, self.sessions, options.hosts(), options.cookie, tls=self._tls, owner=owner
        )

    async def start(self) -> None:
        """Begins to look for sessions that are over."""
        self._sweeper = asyncio.create_task(self._sweep(), name="sessions")

    async def stop(self) -> None:
        """Ends that, and writes the access log."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        await asyncio.to_thread(self._record.close)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sessions.end_old()
            await self.login.end_removed()
            self._record.tick()

    def _prepare(self, session: Session) -> None:
        session.note = partial(self._record.note, session=session.id)
        session.signer = self._options.signer
        session.units = self._options.units
        self._site.prepare(session)
