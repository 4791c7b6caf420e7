"""A key, a request for a certificate, and the checks that a certificate must pass before it is tried. Pure.

`cryptography` is imported where it is used: the command line waits for it only where it needs it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

MAX_BYTES = 8 * 1024
"""The most of a certificate with its intermediate certificates, in PEM."""
MAX_CHAIN = 5


def make_key() -> bytes:
    """A new P-256 key: PKCS8 in PEM, not encrypted."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())


def make_request(key_pem: bytes, device: str) -> str:
    """A request (PKCS10 in PEM) for a certificate in the name of ``device``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, device)])
    names = x509.SubjectAlternativeName([x509.DNSName(device)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, critical=False)
    return builder.sign(_key(key_pem), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def check_certificate(
    pem: bytes, key_pem: bytes, device: str, authorities: bytes | None, *, now: datetime, trusted: bool
) -> datetime:
    """Until when the certificate is valid. ValueError says what is wrong with it.

    ``authorities`` is the CA of the configuration in PEM; None for those of the system: then no issuer is
    checked. ``now`` is the present, where the clock is ``trusted``; else an instant that is certainly past.
    """
    from cryptography import x509

    if len(pem) > MAX_BYTES:
        raise ValueError(f"certificate: larger than {MAX_BYTES} bytes")
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError("certificate: no certificate in PEM") from error
    if len(chain) > MAX_CHAIN:
        raise ValueError(f"certificate: more than {MAX_CHAIN} certificates")
    leaf = chain[0]
    if leaf.public_key() != _key(key_pem).public_key():
        raise ValueError("certificate: it is for another key than the one last requested")
    names = [str(one.value) for one in leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if names != [device]:
        raise ValueError(f"certificate: it is for {', '.join(names)[:80] or 'nobody'}, not for {device}")
    if leaf.not_valid_after_utc <= now:
        raise ValueError(f"certificate: it has expired, on {leaf.not_valid_after_utc:%Y-%m-%d}")
    if trusted and leaf.not_valid_before_utc > now:
        raise ValueError(f"certificate: it is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M}")
    _check_usage(leaf)
    if authorities is not None:
        _check_issuers(chain, authorities)
    return leaf.not_valid_after_utc


def _check_usage(leaf: "Certificate") -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
        raise ValueError("certificate: its extended key usage does not allow clientAuth")


def _check_issuers(chain: "Sequence[Certificate]", authorities: bytes) -> None:
    """The certificate, by way of the others in its file, is signed by one of ``authorities``."""
    from cryptography import x509

    trusted = x509.load_pem_x509_certificates(authorities)
    last = chain[0]
    for above in chain[1:]:
        if not _issued(last, above):
            raise ValueError("certificate: its intermediate certificates are not in order")
        last = above
    if not any(_issued(last, authority) or last == authority for authority in trusted):
        raise ValueError("certificate: it is not signed by the CA of the configuration (broker.ca)")


def _issued(one: "Certificate", issuer: "Certificate") -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return bool(constraints.ca)


def _key(pem: bytes) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem, None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError("the key of the device is no P-256 key")
    return key
