"""TLS settings of the agent: 1.2 or newer, host name checked, client certificate; each error in words.

Certificate ::= SEQUENCE { SEQUENCE { [0] version, serial, algorithm, issuer, SEQUENCE { from, to }, … } … }
"""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agent.runtime.error_text import error_reason
from firmware_bridge.regular_files import KIB, read_regular

MOST_BYTES = 1024 * KIB
"""The limit of a file of certificates or keys; a system's whole CA bundle has about 220 KiB."""
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL; the ssl module has no name for it."""

_REFUSED = {
    9: "its certificate is not valid yet; this device's clock says {now}",
    10: "its certificate has expired, if this device's clock is right: it says {now}",
    18: "its certificate is self-signed, not signed by {ca}",
    19: "its certificate is not signed by {ca}",
    20: "its certificate is not signed by {ca}",
    21: "its certificate is not signed by {ca}",
    62: "its certificate is for another name than {host}",
    64: "its certificate is for another name than {host}",
}
"""By the verify codes of OpenSSL (x509_vfy.h)."""
_ALERTS = {
    "CERTIFICATE_REQUIRED": "the broker wants a certificate of this device: set broker.cert and broker.key",
    "HANDSHAKE_FAILURE": "the broker wants a certificate of this device: set broker.cert and broker.key",
    "CERTIFICATE_EXPIRED": "the broker says that this device's certificate has expired",
    "CERTIFICATE_REVOKED": "the broker says that this device's certificate was revoked",
    "UNKNOWN_CA": "the broker does not know who signed this device's certificate",
    "BAD_CERTIFICATE": "the broker does not accept this device's certificate",
    "UNEXPECTED_EOF": "the connection was closed before TLS: is it the port of mqtt://?",
    "WRONG_VERSION_NUMBER": "no TLS is spoken there: is it the port of mqtt://?",
}


def tls_context(
    ca: Path | None, cert: Path | None, key: Path | None, *, check_time: bool = True
) -> ssl.SSLContext:
    """A context that trusts ``ca``, or the system's CAs. OSError names the file that cannot be used."""
    context = ssl.create_default_context() if ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        _load([ca], lambda: context.load_verify_locations(ca))
    if cert is not None:
        _load([cert, key] if key else [cert], lambda: context.load_cert_chain(cert, key))
    if not check_time:
        context.verify_flags |= NO_CHECK_TIME
    return context


def _load(paths: list[Path], load: Callable[[], None]) -> None:
    """Calls ``load``, which reads ``paths`` without a limit, after each was read within one."""
    path = paths[0]
    try:
        for one in paths:
            read_regular(one, MOST_BYTES)
        load()
    except ssl.SSLError as error:
        raise OSError(f"{path}: no usable certificate or key ({error.reason or error})") from error
    except OSError as error:
        raise OSError(f"{error.filename or path}: {error_reason(error)}") from error


def describe_tls_error(error: ssl.SSLError, host: str, ca: Path | None, now: datetime) -> str:
    """Why TLS failed, in one line for a technician."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = _REFUSED.get(error.verify_code, "its certificate is not accepted: " + error.verify_message)
        return said.format(
            ca=ca or "an authority that this system trusts", host=host, now=f"{now:%Y-%m-%d %H:%M} UTC"
        )
    return (
        alert_text(error.reason or str(error)) or f"no TLS: {(error.reason or str(error)).replace('_', ' ')}"
    )


def alert_text(text: str) -> str | None:
    """The broker's TLS alert that is named in ``text``, in words."""
    shout = text.upper().replace(" ", "_")
    return next((said for name, said in _ALERTS.items() if name in shout), None)


def validity(der: bytes) -> tuple[datetime, datetime]:
    """From when to when a certificate (DER) is valid. ValueError where it is none."""
    inner, _ = _enter(der, 0)
    at, _ = _enter(der, inner)
    fields: list[tuple[int, int]] = []
    while len(fields) < 5:
        start, end = _enter(der, at)
        if der[at] != 0xA0:  # the version, which old certificates leave out
            fields.append((start, end))
        at = end
    start, _ = fields[3]
    times = []
    for _ in range(2):
        begin, end = _enter(der, start)
        text = der[begin:end].decode("ascii")
        if der[start] == 0x17:  # UTCTime: two digits of the year, 50 and more are of the last century
            text = ("19" if text[:2] >= "50" else "20") + text
        times.append(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC))
        start = end
    return times[0], times[1]


def _enter(der: bytes, at: int) -> tuple[int, int]:
    """The start and end of the content of the DER element at ``at``."""
    if at + 2 > len(der):
        raise ValueError("no certificate: it ends too early")
    size, begin = der[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        size, begin = int.from_bytes(der[begin : begin + width]), begin + width
    if begin + size > len(der):
        raise ValueError("no certificate: it ends too early")
    return begin, begin + size


def validity_of(path: Path) -> tuple[datetime, datetime]:
    """From when to when the first certificate in a PEM file is valid. OSError; ValueError: there is none."""
    text = read_regular(path, MOST_BYTES).decode(errors="replace")
    _, _, rest = text.partition("-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition("-----END CERTIFICATE-----")
    if not end:
        raise ValueError(f"{path}: no certificate in it")
    pem = f"-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----"
    return validity(ssl.PEM_cert_to_DER_cert(pem))


def expiry(path: Path) -> datetime:
    """Until when the first certificate in a PEM file is valid. OSError; ValueError where there is none."""
    return validity_of(path)[1]
