"""Host names and addresses, written in one way so that they can be compared."""

import ipaddress
import re
import socket
from contextlib import suppress


def normalized_host(host: str) -> str:
    """A host name or address in its one normal form: 0x7f.1 and ::ffff:127.0.0.1 are 127.0.0.1.

    A name with non-ASCII letters is taken as IDNA encodes it: ⓛocalhost is localhost.
    """
    if not host.isascii():
        with suppress(UnicodeError):
            host = host.encode("idna").decode()
    host = host.lower().rstrip(".")
    if re.fullmatch(r"[0-9a-fx.]+", host):
        with suppress(OSError):
            return socket.inet_ntoa(socket.inet_aton(host))
    with suppress(ValueError):
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return str(mapped or address)
    return host


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine, or the metadata service of its cloud."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified
