"""Forms that browsers send: their fields, and the token that says that a form is ours."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

MAX_FORM = 4096
VALID_S = 3600
_KEPT = "ringpost.form"


class FormTokens:
    """Tokens of forms that are shown before there is a session: each is for one browser, for an hour."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def new(self) -> tuple[str, str]:
        """The value of a cookie, and of the hidden field that goes with it."""
        browser, until = secrets.token_urlsafe(16), int(self._clock()) + VALID_S
        return browser, f"{until}.{self._sign(browser, until)}"

    def is_ours(self, browser: str | None, token: str) -> bool:
        """Whether the field goes with the cookie."""
        until, _, signature = token.partition(".")
        if browser is None or not (until.isascii() and until.isdigit() and len(until) < 16):
            return False
        wanted = self._sign(browser, int(until)).encode()
        return hmac.compare_digest(signature.encode(errors="replace"), wanted) and int(until) > self._clock()

    def _sign(self, browser: str, until: int) -> str:
        return hmac.new(self._secret, f"{browser} {until}".encode(), hashlib.sha256).hexdigest()


async def form_of(request: Request) -> dict[str, str] | None:
    """The fields of a form that was sent; None where there is none, or it is too large."""
    known: Any = request.scope.get(_KEPT)
    if known is not None:
        return dict(known)
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            return None
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return None
    found = {name: values[0] for name, values in fields.items() if len(values) == 1}
    request.scope[_KEPT] = found
    return found
