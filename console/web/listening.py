"""The listening socket and its TLS."""

import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

from console.web.login_limits import network_of
from console.web.options import ServeOptions, certificate_names

MAX_ACCEPTED, MAX_ACCEPTED_EACH = 256, 64
"""Open connections of all addresses, and of one. They are counted from the accept on: asyncio holds 256 KiB
for each TLS handshake, for up to a minute, before any protocol hears of the connection."""


class BoundedListener(socket.socket):
    """A listening socket that drops the connections beyond the limits."""

    _open: Counter[str]

    @classmethod
    def of(cls, listening: socket.socket) -> "BoundedListener":
        """Takes over a listening socket."""
        made = cls(fileno=listening.detach())
        made._open = Counter()
        return made

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. ConnectionAbortedError where it was dropped: asyncio goes on with the next."""
        connection, address = super().accept()
        network = network_of(str(address[0]))
        if self._open.total() >= MAX_ACCEPTED or self._open[network] >= MAX_ACCEPTED_EACH:
            connection.close()
            raise ConnectionAbortedError("too many connections")
        self._open[network] += 1
        return _Connection.of(connection, lambda: self._closed_one(network)), address

    def _closed_one(self, network: str) -> None:
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]


class _Connection(socket.socket):
    """Says once that it is closed."""

    _on_close: Callable[[], None] | None = None

    @classmethod
    def of(cls, connection: socket.socket, on_close: Callable[[], None]) -> "_Connection":
        made = cls(fileno=connection.detach())
        made._on_close = on_close
        return made

    def close(self) -> None:
        super().close()
        told, self._on_close = self._on_close, None
        if told is not None:
            told()


def listen(options: ServeOptions) -> socket.socket:
    """A listening socket. OSError: one line that says what to do."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return BoundedListener.of(
            socket.create_server((options.host, options.port), family=family, backlog=256)
        )
    except OSError as error:
        where = f"{options.host}:{options.port}"
        if error.errno == 98:
            raise OSError(f"{where} is taken by another program: choose another port with --port") from None
        raise OSError(f"{where}: {os.strerror(error.errno or 0)}") from None


def tls_context(options: ServeOptions) -> ssl.SSLContext:
    """TLS 1.2 and later with the certificate of ``options``. OSError or ValueError: one line."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    assert options.certificate is not None and options.key is not None  # noqa: S101, PT018  the caller has looked
    try:
        context.load_cert_chain(options.certificate, options.key)
    except ssl.SSLError as error:
        raise ValueError(
            f"{options.certificate}, {options.key}: are no certificate with its key ({error.reason})"
        ) from None
    certificate_names(options.certificate)
    return context
