"""The security headers of each answer, and the nonce of each page's scripts.

What NiceGUI needs of the content security policy, and why, is in docs/console.md; tests hold it.
"""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders

NONCE = "ringpost.nonce"
"""Where the ASGI scope keeps the nonce of a request."""
COMMON = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" takes the origin from our own forms, too
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
STATIC_CSP = f"{_NOTHING}; style-src 'self'; img-src 'self'"
"""Of the login page and all else that is no page of NiceGUI: no script at all."""

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def page_csp(nonce: str) -> str:
    """Of the pages. ``unsafe-eval``: NiceGUI compiles the templates of its components in the browser, and
    runs the server's JavaScript. ``style-src unsafe-inline``: its components set style attributes."""
    return (
        f"{_NOTHING}; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
        " font-src 'self'; img-src 'self' data: blob:; media-src 'self' data:; connect-src 'self';"
        " worker-src 'self' blob:"
    )


def with_headers(scope: Scope, send: Send, *, tls: bool) -> Send:
    """``send`` with the headers for the answer to ``scope``."""

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            is_page = (
                headers.get("content-type", "").startswith("text/html") and "x-nicegui-content" in headers
            )
            headers["Content-Security-Policy"] = page_csp(scope[NONCE]) if is_page else STATIC_CSP
            for name, value in COMMON.items():
                headers[name] = value
            if tls:
                headers["Strict-Transport-Security"] = "max-age=31536000"
            if "cache-control" not in headers:
                headers["Cache-Control"] = "no-store"
        await send(message)

    return send_with_headers


def new_nonce() -> str:
    """The nonce of one answer."""
    return secrets.token_urlsafe(16)


def put_nonces_into_templates(templates: Any) -> None:
    """Gives each script of NiceGUI's page template the nonce of the request.

    It is put into the template, before any value is: markup that came in with a value has none.
    """
    from jinja2 import ChoiceLoader, DictLoader

    environment = templates.env
    source = environment.loader.get_source(environment, "index.html")[0]
    if NONCE not in source:
        stamped = source.replace("<script", "<script nonce=\"{{ request.scope['" + NONCE + "'] }}\"")
        environment.loader = ChoiceLoader([DictLoader({"index.html": stamped}), environment.loader])
        environment.cache.clear()
