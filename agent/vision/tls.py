"""TLS to cameras: the verifying context, and error texts."""

import hashlib
import ssl

from agent.mqtt.tls import MOST_BYTES
from agent.runtime.error_text import error_reason
from agent.vision.camera_url import Trust
from firmware_bridge.regular_files import read_regular


def tls_context(trust: Trust) -> ssl.SSLContext:
    """A context that verifies certificate and host name. OSError: the file of the CA can't be read.

    With a fingerprint it verifies neither: `check_fingerprint` does, before anything is sent.
    """
    if trust.fingerprint is not None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    if trust.ca is None:
        return ssl.create_default_context()
    try:
        text = read_regular(trust.ca, MOST_BYTES).decode("ascii", "ignore")
        context = ssl.create_default_context(cadata=text)
        context.verify_flags |= (
            ssl.VERIFY_X509_PARTIAL_CHAIN
        )  # a self-signed camera certificate may serve as the CA
        return context
    except (ssl.SSLError, ValueError):
        raise OSError(f"ca {trust.ca}: it contains no certificate") from None
    except OSError as error:
        raise OSError(f"ca {trust.ca}: {error_reason(error)}") from None


def check_fingerprint(connection: ssl.SSLSocket | ssl.SSLObject, trust: Trust, host: str | None) -> None:
    """ValueError where ``trust`` has a fingerprint, and the certificate of ``host`` has another."""
    if trust.fingerprint is None:
        return
    found = f"sha256:{hashlib.sha256(connection.getpeercert(binary_form=True) or b'').hexdigest()}"
    if found != trust.fingerprint:
        raise ValueError(
            f"certificate of {host} refused: its fingerprint is {found}; if that is the camera's, set it"
        )


def tls_error_text(error: ssl.SSLError, host: str | None) -> str:
    """One line: why a TLS connection to ``host`` failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.verify_message or "not trusted").rstrip(".")
        return (
            f"certificate of {host} refused: {reason}; name the CA that signed it as ca: FILE,"
            " or the certificate itself as fingerprint: sha256:…"
        )
    return f"TLS with {host} failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
