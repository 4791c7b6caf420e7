"""The files of TLS: readable, a matching pair, a valid chain, the right device, and the days left."""

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.config.model import Config
from agent.host.clock import NEVER_BEFORE, utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.tls import MOST_BYTES, expiry
from agent.runtime.error_text import describe_error
from firmware_bridge.regular_files import read_regular

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

RENEWAL_PERIOD = timedelta(days=30)
"""A certificate that expires sooner is reported."""
RENEW = {"broker.cert": "renew it from a desk: ringpost command rotate_certificate DEVICE --step request"}
REPLACE = {"broker.cert": "make a new one: certificates.sh device NAME"}
"""A device whose certificate has expired reaches no broker that could bring it another one."""
ONLY_THE_SERVICE = "only the service has its key, a credential of systemd"


def check_certificates(config: Config) -> Iterator[Finding]:
    """CA, certificate and key of the broker's section."""
    broker = config.broker
    if not broker.encrypted:
        yield ok("mqtt:// is not encrypted", "broker.url")
        return
    if lacks_credential(broker):
        yield skipped(ONLY_THE_SERVICE, "start the service, then: sudo ringpost doctor", "broker.key")
    try:
        reachable(broker).tls(NEVER_BEFORE)
    except (OSError, ValueError) as error:
        text, remedy = describe_error(error), "write the file, or correct its path"
        if "KEY_VALUES_MISMATCH" in text:
            text = f"the certificate {broker.cert} and the key do not match"
            remedy = "put the key beside it that its request was made with"
        elif "Permission denied" in text:
            remedy = "make it readable for the agent's user: sudo chown ringpost FILE"
        yield failed(text, remedy, "broker")
        return
    for place, path in broker.certificates().items():
        yield _check_expiry(place, path)
    if broker.cert is not None:
        yield from _check_chain(config, broker.cert)


def lacks_credential(broker: Broker) -> bool:
    """Whether the key is a credential of systemd that this process was not given."""
    return bool(broker.key and broker.key.credential) and "CREDENTIALS_DIRECTORY" not in os.environ


def reachable(broker: Broker) -> Broker:
    """``broker`` without its certificate where `lacks_credential`: name, TCP and TLS can still be checked."""
    return broker.model_copy(update={"cert": None, "key": None}) if lacks_credential(broker) else broker


def _check_expiry(place: str, path: Path) -> Finding:
    now = utc_now()
    try:
        until = expiry(path)
    except (OSError, ValueError) as error:
        return failed(describe_error(error), "write a certificate in PEM form into it", place)
    days = (until - now).days
    if until < now:
        return failed(f"{path} expired on {until:%Y-%m-%d}", REPLACE.get(place, "renew it"), place)
    if until < now + RENEWAL_PERIOD:
        return warning(
            f"{path} expires in {days} days, on {until:%Y-%m-%d}", RENEW.get(place, "renew it"), place
        )
    return ok(f"valid for {days} days, until {until:%Y-%m-%d}", place)


def _check_chain(config: Config, path: Path) -> Iterator[Finding]:
    """Whether each certificate in the file is issued by the next, and the last by ``broker.ca``."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    place, ca = "broker.cert", config.broker.ca
    try:
        chain = x509.load_pem_x509_certificates(read_regular(path, MOST_BYTES))
        roots = x509.load_pem_x509_certificates(read_regular(ca, MOST_BYTES)) if ca else []
    except (OSError, ValueError) as error:
        yield failed(describe_error(error), "write certificates in PEM form into it", place)
        return
    for one, issuer in pairwise(chain):
        if not _issued_by(one, issuer):
            remedy = "order the file: this device's certificate, then each issuer"
            yield failed(f"{path}: its certificates are no chain", remedy, place)
    if roots and not any(_issued_by(chain[-1], root) or chain[-1] == root for root in roots):
        issuer_name = chain[-1].issuer.rfc4514_string()
        yield warning(
            f"issued by {issuer_name!r}, not by {ca}; right only if the broker knows that authority",
            "compare with the broker's cafile",
            place,
        )
    names = [str(one.value) for one in chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if config.device not in names:
        yield warning(
            f"the certificate is for {', '.join(names) or 'no name'}, this device is {config.device}",
            f"certificates.sh device {config.device}: the rights at the broker go by this name",
            place,
        )


def _issued_by(one: "Certificate", issuer: "Certificate") -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        one.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
