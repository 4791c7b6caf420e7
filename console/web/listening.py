"""The listening socket and its TLS."""

import os
import socket
import ssl

from console.web.options import ServeOptions, certificate_names


def listen(options: ServeOptions) -> socket.socket:
    """A listening socket. OSError: one line that says what to do."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=256)
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
