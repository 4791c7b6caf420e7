"""How a site is served: address, TLS, accounts, limits."""

import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.cli.orders import OrderSigner
from console.web.session import ABSOLUTE_S, IDLE_S
from console.web.units import Units
from console.web.users import Users

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """``token`` opens one session by the address alone, on the loopback; ``certificate`` and ``key`` are for
    TLS, without which nothing but the loopback is served; ``users`` is the file of the accounts."""

    host: str = "127.0.0.1"
    port: int = 8700
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    users: Path | None = None
    access_log: Path | None = None
    """The folder of the log of logins; None: nothing is written."""
    signer: OrderSigner | None = None
    """Signs the orders of all sessions, where a key was named at the start."""
    units: Units = "metric"
    idle_s: float = IDLE_S
    absolute_s: float = ABSOLUTE_S

    @property
    def url(self) -> str:
        """The address for the browser of this machine."""
        return self.url_with(self.token)

    def url_with(self, token: str | None) -> str:
        """The address that opens a session with ``token``."""
        scheme = "http" if self.certificate is None else "https"
        name = f"[{self.host}]" if ":" in self.host else self.host
        if self.host in ("0.0.0.0", "::") and self.certificate is not None:  # noqa: S104  what it listens on
            name = next((one for one in certificate_names(self.certificate) if "*" not in one), name)
        return f"{scheme}://{name}:{self.port}/" + (f"login?token={token}" if token else "")

    @property
    def cookie(self) -> str:
        """The cookie of the session; two pages of one machine have different ones."""
        name = f"ringpost_{self.port}"
        return f"__Host-{name}" if self.certificate is not None else name

    @property
    def accounts(self) -> Callable[[], Users] | None:
        """Reads the accounts, for each attempt anew; None where only the token opens a session."""
        path = self.users
        return None if path is None else lambda: Users.load(path)

    def hosts(self) -> frozenset[str]:
        """The names under which the pages may be asked for."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        named = certificate_names(self.certificate) if self.certificate is not None else ()
        return LOOPBACK_NAMES | {own} | set(named)

    def check(self) -> None:
        """ValueError where it would be open to others: one line that says what is right."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("--cert and --key go together")
        if is_loopback(self.host):
            return
        if self.certificate is None or self.users is None:
            raise ValueError(
                f"--host {self.host} is on the network, which takes TLS and a login: give --cert, --key and"
                " --users (ringpost console user add), or reach the loopback with:"
                " ssh -L 8700:localhost:8700 DEVICE"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def certificate_names(certificate: Path) -> tuple[str, ...]:
    """The host names and addresses that a certificate is for. OSError, or ValueError: one line."""
    from cryptography import x509

    data = certificate.read_bytes()
    try:
        parsed = x509.load_pem_x509_certificate(data)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError(f"{certificate}: names no host (subjectAltName)") from None
    except ValueError:
        raise ValueError(f"{certificate}: is no certificate in PEM") from None
    addresses = [
        f"[{one}]" if one.version == 6 else str(one) for one in names.get_values_for_type(x509.IPAddress)
    ]
    return (*(name.lower() for name in names.get_values_for_type(x509.DNSName)), *addresses)


def new_token() -> str:
    """A token for `ServeOptions`."""
    return secrets.token_urlsafe(24)
