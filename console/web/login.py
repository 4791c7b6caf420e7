"""Logging in and out: forms of plain HTML, without any script.

On the network an account and its passphrase open a session; on the loopback an address with a token, which is
good once. Every login, refusal and end is written to the access log.
"""

import asyncio
import hmac
import math
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.web.access import LOGIN, SESSION, cookie_of
from console.web.access_record import AccessRecord
from console.web.forms import FormTokens, form_of
from console.web.login_limits import LoginLimits
from console.web.login_page import login_page, opening_page
from console.web.rights import ROLES, VIEWER
from console.web.session import EndReason, Session, Sessions
from console.web.texts import LANGUAGES, Language
from console.web.units import UNITS
from console.web.users import Account, Users

LANGUAGE_COOKIE = "ringpost_language"
THEMES = {"auto": None, "light": False, "dark": True}
YEAR_S = 365 * 24 * 3600


class Login:
    """The routes of `console.web.access.LOGIN`, ``/logout`` and ``/settings``.

    ``tls`` decides on the flags of cookies. ``users`` is None where only a token opens a session; it is
    called for each attempt, so that an account that was removed is gone at once. ``on_token`` hears of each
    new token, for the terminal.
    """

    def __init__(
        self,
        sessions: Sessions,
        record: AccessRecord,
        *,
        title: Callable[[], str],
        cookie: str,
        tls: bool,
        users: Callable[[], Users] | None = None,
        token: str | None = None,
        on_token: Callable[[str], None] = lambda _: None,
        prepare: Callable[[Session], None] = lambda _: None,
        paths: Collection[str] = ("/",),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``paths``: those of the pages. ``prepare`` completes a new session, such as with its time zone."""
        self._sessions, self._record, self._title, self._cookie = sessions, record, title, cookie
        self._tls, self._users, self._token, self._on_token = tls, users, token, on_token
        self._prepare, self._paths, self._clock = prepare, frozenset(paths), clock
        self._limits = LoginLimits(clock)
        self._forms = FormTokens(clock)
        self._form_cookie = f"{cookie}_form"
        self._one_at_a_time = asyncio.Lock()
        self._accounts: dict[Session, Account] = {}
        """As they were when their sessions began."""
        sessions.on_end = self._on_end

    async def show(self, request: Request) -> Response:
        """GET /login: the form, or with ``?token=`` a session."""
        if (token := request.query_params.get("token")) is not None:
            return self._by_token(request, token)
        return self._form(request, 200)

    async def log_in(self, request: Request) -> Response:
        """POST /login."""
        form = await form_of(request)
        if form is None or not self._is_our_form(request, form):
            return self._form(request, 403, "The form is too old: try again")
        address, user = _address(request), form.get("user", "").strip().lower()[:64]
        if self._users is None:
            return self._form(request, 403, "Open the address that the terminal shows")
        account: Account | None = None
        async with self._one_at_a_time:
            if (wait_s := self._limits.wait_s(address, user)) == 0:
                try:
                    users = await asyncio.to_thread(self._users)
                    account = await asyncio.to_thread(users.check, user, form.get("passphrase", ""))
                except (OSError, ValueError):
                    self._record.note("refused", order="login", outcome="no_accounts", address=address)
                    return self._form(request, 503, "The accounts can't be read: see the terminal")
                if account is None:
                    self._limits.failed(address, user)
        if wait_s > 0:
            self._record.note("refused", order="login", outcome="too_often", address=address)
            answer = self._form(
                request, 429, "Too many attempts: wait {seconds} s", seconds=math.ceil(wait_s)
            )
            answer.headers["Retry-After"] = str(math.ceil(wait_s))
            return answer
        if account is None:
            self._record.note("refused", order="login", outcome="refused", address=address)
            return self._form(request, 401, "Name or passphrase is wrong")
        self._limits.succeeded(address, user)
        answer = RedirectResponse("/", 303)
        self._accounts[self._begin(request, account.roles, answer, account.name)] = account
        return answer

    async def log_out(self, request: Request) -> Response:
        """POST /logout."""
        session = await self._own_form(request)
        if session is None:
            return Response("Log out with the button of the page", 403)
        self._sessions.end(session.token)
        answer = RedirectResponse(LOGIN, 303)
        self._delete(answer, self._cookie)
        return answer

    async def set_settings(self, request: Request) -> Response:
        """POST /settings: language, theme, units and zone of the session; the language is kept for the next
        login in this browser."""
        session = await self._own_form(request)
        form = await form_of(request) or {}
        if session is None:
            return Response("Use the settings of the page", 403)
        back = form.get("back", "/")
        answer = RedirectResponse(back if back in self._paths else "/", 303)
        if (language := form.get("language")) in LANGUAGES:
            session.language = language
            self._set(answer, LANGUAGE_COOKIE, language, YEAR_S)
        if (theme := form.get("theme")) in THEMES:
            session.dark = THEMES[theme]
        if (wanted := form.get("units")) in UNITS:
            session.units = wanted
        if (zone := form.get("zone")) in ("place", "utc"):
            session.zone = session.place_zone if zone == "place" else UTC
        return answer

    async def end_removed(self) -> None:
        """Ends the sessions of accounts that were removed or changed since they logged in."""
        if self._users is None or not self._accounts:
            return
        try:
            users = await asyncio.to_thread(self._users)
        except (OSError, ValueError):
            return  # nobody logs in meanwhile; whoever is in stays in
        for session, account in list(self._accounts.items()):
            if users.accounts.get(account.name) != account:
                self._sessions.end(session.token, "removed")

    def _by_token(self, request: Request, token: str) -> Response:
        if "prefetch" in request.headers.get("sec-purpose", "") + request.headers.get("purpose", ""):
            return Response("Open the page itself", 503)
        address = _address(request)
        if self._token is None or self._limits.wait_s(address, "") > 0:
            return self._form(request, 401, "Open the address that the terminal shows")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            self._limits.failed(address, "")
            self._record.note("refused", order="login", outcome="wrong_token", address=address)
            return self._form(request, 401, "This address was used, or is not the newest: see the terminal")
        self._token = secrets.token_urlsafe(24)
        self._on_token(self._token)
        roles = tuple(role for role in ROLES if role != VIEWER)
        # Not a redirect: the cookie is not sent to one that another program's link led to (SameSite).
        answer = HTMLResponse(opening_page(self._language(request)))
        self._begin(request, roles, answer, None)
        return answer

    def _begin(self, request: Request, roles: tuple[str, ...], answer: Response, user: str | None) -> Session:
        """Gives the browser a new session, whatever cookie it had."""
        if isinstance(before := request.scope.get(SESSION), Session):
            self._sessions.end(before.token)
        session = self._sessions.begin(roles[0], self._language(request), roles, user)
        self._prepare(session)
        how = {"user": user} if user is not None else {"by": "token"}
        self._record.note(
            "login", outcome="ok", address=_address(request), session=session.id, roles=sorted(roles), **how
        )
        self._set(answer, self._cookie, session.token)
        self._delete(answer, self._form_cookie)
        return session

    def _form(self, request: Request, status: int, problem: str = "", **values: object) -> Response:
        chosen = request.query_params.get("language", "")
        language: Language = chosen if chosen in LANGUAGES else self._language(request)
        browser, token = self._forms.new()
        page = login_page(
            self._title(), language, token, problem, values, with_accounts=self._users is not None
        )
        answer = HTMLResponse(page, status)
        self._set(answer, self._form_cookie, browser)
        if chosen in LANGUAGES:
            self._set(answer, LANGUAGE_COOKIE, chosen, YEAR_S)
        return answer

    def _is_our_form(self, request: Request, form: Mapping[str, str]) -> bool:
        """Whether the form was given to this browser, within the last hour."""
        browser = cookie_of(request.headers, self._form_cookie)
        return self._forms.is_ours(browser, form.get("form", ""))

    async def _own_form(self, request: Request) -> Session | None:
        """The session, where the form that was sent is one of its pages."""
        session, form = request.scope.get(SESSION), await form_of(request)
        if not isinstance(session, Session) or form is None:
            return None
        right = hmac.compare_digest(form.get("form", "").encode(), session.form_token.encode())
        return session if right else None

    def _language(self, request: Request) -> Language:
        kept = cookie_of(request.headers, LANGUAGE_COOKIE)
        if kept in LANGUAGES:
            return kept
        return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"

    def _set(self, answer: Response, name: str, value: str, age_s: int | None = None) -> None:
        answer.set_cookie(
            name, value, max_age=age_s, path="/", httponly=True, samesite="strict", secure=self._tls
        )

    def _delete(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=self._tls)

    def _on_end(self, session: Session, reason: EndReason) -> None:
        self._accounts.pop(session, None)
        self._record.note("logout", session=session.id, reason=reason, user=session.user)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""
