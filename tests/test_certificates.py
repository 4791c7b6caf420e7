"""A new certificate for the broker: what is refused before it is tried, and what a power cut leaves behind."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import ValidationError

from agent.commands.requests import RotateCertificate
from agent.control.certificate_checks import MAX_BYTES, check_certificate, make_key, make_request
from agent.control.certificate_store import CERT, FILE, KEY, CertificateStore
from agent.mqtt.broker import Broker

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Authority:
    """A CA, or one below ``above``."""

    def __init__(self, name: str, above: "Authority | None" = None, ca: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = above or self
        self.certificate = self._build(self.name, self.key.public_key(), signer, ca)

    def _build(
        self, subject: x509.Name, public: Any, signer: "Authority", ca: bool, **more: Any
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(more.get("since", NOW - DAY))
            .not_valid_after(more.get("until", NOW + 365 * DAY))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if usage := more.get("usage"):
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(signer.key, hashes.SHA256())

    def sign(self, csr_pem: str, **more: Any) -> bytes:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        subject = csr.subject
        if name := more.get("name"):
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._build(subject, csr.public_key(), self, False, **more).public_bytes(Encoding.PEM)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


CA, STRANGER = Authority("ours"), Authority("another")
BELOW = Authority("below", CA)
NO_CA = Authority("a device", CA, ca=False)
DEVICE_KEY = make_key()
CSR = make_request(DEVICE_KEY, "bridge-07")


def check(
    pem: bytes, *, authorities: bytes | None = CA.pem, now: datetime = NOW, trusted: bool = True
) -> Any:
    return check_certificate(pem, DEVICE_KEY, "bridge-07", authorities, now=now, trusted=trusted)


def test_the_request_names_the_device_and_holds_no_private_key() -> None:
    csr = x509.load_pem_x509_csr(CSR.encode())
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == "CN=bridge-07"
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["bridge-07"]
    assert "PRIVATE" not in CSR
    assert len(CSR) < 1024


@pytest.mark.parametrize(
    ("pem", "how"),
    [
        (CA.sign(CSR), {}),
        (CA.sign(CSR, usage=ExtendedKeyUsageOID.CLIENT_AUTH), {}),
        (BELOW.sign(CSR) + BELOW.pem, {}),
        (BELOW.sign(CSR), {"authorities": CA.pem + BELOW.pem}),
        (BELOW.sign(CSR) + BELOW.pem + CA.pem, {}),
        (STRANGER.sign(CSR), {"authorities": None}),
        (CA.sign(CSR, since=NOW + DAY), {"trusted": False}),
        (CA.sign(CSR, until=NOW - DAY / 2), {"trusted": False, "now": NOW - DAY}),
    ],
)
def test_a_certificate_that_fits_is_taken(pem: bytes, how: dict[str, Any]) -> None:
    assert check(pem, **how) > NOW - DAY


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "no certificate in PEM"),
        (b"\xff" * 100, "no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate in PEM"),
        (b" " * (MAX_BYTES + 1), "larger than 8192 bytes"),
        (CA.sign(make_request(make_key(), "bridge-07")), "for another key than the one last requested"),
        (CA.sign(CSR, name="bridge-08"), "it is for bridge-08, not for bridge-07"),
        (CA.sign(CSR, until=NOW - DAY / 2), "it has expired, on 2026-11-30"),
        (CA.sign(CSR, since=NOW + DAY), "it is not valid before 2026-12-01 12:00"),
        (CA.sign(CSR, usage=ExtendedKeyUsageOID.SERVER_AUTH), "does not allow clientAuth"),
        (STRANGER.sign(CSR), "not signed by the CA of the configuration"),
        (BELOW.sign(CSR), "not signed by the CA of the configuration"),
        (STRANGER.sign(CSR) + CA.pem, "intermediate certificates are not in order"),
        (NO_CA.sign(CSR) + NO_CA.pem, "intermediate certificates are not in order"),
        (CA.sign(CSR) * 6, "more than 5 certificates"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_tried(pem: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"certificate: .*{reason}"):
        check(pem)


def test_an_expired_one_is_refused_also_by_a_clock_that_is_not_trusted() -> None:
    """By the latest instant that is certainly past."""
    with pytest.raises(ValueError, match="it has expired"):
        check(CA.sign(CSR, until=NOW - DAY / 2), trusted=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"step": "install"},
        {"step": "request", "certificate": "x"},
        {"step": "install", "certificate": "x" * 8193},
        {},
    ],
)
def test_the_command_is_one_of_two(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RotateCertificate.model_validate({"id": "1", **fields})


LOCAL = Path("/etc/ringpost/own.pem")


def broker(folder: Path, **fields: Any) -> Broker:
    given = {"url": "mqtts://a", "fallbacks": ("mqtts://b",), "ca": folder / "ca.pem"}
    return Broker.model_validate(given | {"cert": LOCAL, "key": {"file": folder / "own.key"}} | fields)


def tried(store: CertificateStore, folder: Path, **fields: Any) -> list[tuple[str, str]]:
    return [
        (one.url[-1], "local" if one.cert == LOCAL else one.cert.parent.name if one.cert else "none")
        for one in store.pairs(broker(folder, **fields))
    ]


def opened(folder: Path) -> tuple[CertificateStore, Any]:
    """After a restart: the store, and the result that it owes."""
    store = CertificateStore(folder)
    return store, store.load()


FIRST = [("a", "local"), ("b", "local")]
TRIAL = [("a", "tls-1"), ("b", "tls-1"), *FIRST]


def test_a_power_cut_at_each_step_leaves_a_pair_that_works(tmp_path: Path) -> None:
    store, owed = opened(tmp_path)
    assert (owed, tried(store, tmp_path)) == (None, FIRST)

    store.request(DEVICE_KEY)
    store, owed = opened(tmp_path)
    assert (owed, tried(store, tmp_path), store.requested_key()) == (None, FIRST, DEVICE_KEY)

    path = store.path(1, CERT)
    path.write_bytes(b"half a certif")  # cut off before the state was written
    store, owed = opened(tmp_path)
    assert (owed, tried(store, tmp_path)) == (None, FIRST)

    store.begin_trial(CA.sign(CSR), {"command_id": "c1"})
    assert tried(store, tmp_path) == TRIAL
    store, owed = opened(tmp_path)
    assert (owed, tried(store, tmp_path)) == ({"command_id": "c1"}, FIRST)
    store, owed = opened(tmp_path)
    assert owed is None

    store.begin_trial(CA.sign(CSR), {"command_id": "c2"})  # the same key may get another certificate
    store.end_trial(keep=True)
    store, owed = opened(tmp_path)
    assert (owed, tried(store, tmp_path), store.requested_key()) == (None, TRIAL, None)

    store.request(make_key())
    store.begin_trial(CA.sign(CSR), {})
    assert tried(store, tmp_path) == [("a", "tls-2"), ("b", "tls-2"), *TRIAL]
    store.end_trial(keep=False)
    assert tried(store, tmp_path) == TRIAL
    store.begin_trial(CA.sign(CSR), {})
    store.end_trial(keep=True)
    assert {one.name for one in (tmp_path / "identity").iterdir()} == {"tls-2", FILE}


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    store.request(DEVICE_KEY)
    for path, mode in ((store.path(1, KEY), 0o600), (store.path(1, KEY).parent, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_certificate_that_was_put_into_the_configuration_later_goes_first(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    store.request(DEVICE_KEY)
    store.begin_trial(CA.sign(CSR), {})
    store.end_trial(keep=True)
    newer = tmp_path / "newer.pem"
    newer.write_bytes(CA.sign(CSR, since=NOW))
    assert [one.cert for one in store.pairs(broker(tmp_path, cert=newer))][:2] == [newer, newer]


def test_without_tls_there_are_no_pairs(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    store.request(DEVICE_KEY)
    store.begin_trial(CA.sign(CSR), {})
    plain = Broker(url="mqtt://127.0.0.1")
    assert store.pairs(plain) == plain.in_order


@pytest.mark.parametrize("data", [b"", b"{", b'{"active": "x"}', b"[]"])
def test_a_damaged_state_means_the_pair_of_the_configuration(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / FILE).write_bytes(data)
    store, owed = opened(tmp_path)
    assert (owed, tried(store, tmp_path)) == (None, FIRST)
