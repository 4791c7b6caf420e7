"""The configuration section ``allow``: what a push may name. Only the file at the device has it."""

import ipaddress
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent.config.hosts import normalized_host


def _host_pattern(pattern: str) -> str:
    if "/" in pattern:
        try:
            ipaddress.ip_network(pattern)
        except ValueError as error:
            raise ValueError(f"{error}; write a network such as 192.0.2.0/24") from None
    elif not pattern or (any(letter in pattern for letter in " :@") and "::" not in pattern):
        raise ValueError(f"{pattern!r} is no host; write a name, *.example.org, an address or a network")
    return pattern.lower()


HostPattern = Annotated[str, AfterValidator(_host_pattern)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Allow(BaseModel):
    """Bounds of every push; None: no bound. What the local file names itself is allowed, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: tuple[HostPattern, ...] | None = Field(default=None, max_length=256)
    """Hosts of brokers, cameras, serial servers and gpsd: names, ``*.example.org``, addresses, networks."""
    network_ports: tuple[Port, ...] | None = Field(default=None, max_length=256)
    """Their TCP and UDP ports."""
    serial_ports: tuple[str, ...] | None = Field(default=None, max_length=256)
    """Paths of serial devices, such as ``/dev/serial/by-id/*``."""

    def has_host(self, host: str) -> bool:
        """Whether ``host``, in normal form, is allowed."""
        return self.hosts is None or any(_matches(host, pattern) for pattern in self.hosts)

    def has_network_port(self, port: int) -> bool:
        return self.network_ports is None or port in self.network_ports

    def has_serial_port(self, path: str) -> bool:
        return self.serial_ports is None or any(fnmatchcase(path, one) for one in self.serial_ports)


def _matches(host: str, pattern: str) -> bool:
    if "/" in pattern:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(pattern)
        except ValueError:
            return False
    return fnmatchcase(host, pattern if "*" in pattern else normalized_host(pattern))


def listed(names: Iterable[object]) -> str:
    """The bounds in an error text."""
    return ", ".join(map(str, names)) or "none"
