"""Which hosts, network ports and serial ports a push may name."""

import os.path
from collections.abc import Iterator

from agent.config.addresses import services
from agent.config.allow import Allow, listed
from agent.config.hosts import is_this_machine, normalized_host
from agent.config.model import Config
from firmware_bridge.serial.devices import pushed_port_error

EDIT = "edit the file at the device"


def address_violations(pushed: Config, running: Config, local: Config) -> Iterator[tuple[str, str]]:
    """(path, error) of each address that ``pushed`` may not name; those of ``local`` are allowed."""
    known = {address for config in (running, local) for _, address in services(config)}
    for path, (host, port) in services(pushed):
        if (host, port) not in known and is_this_machine(host):
            yield path, f"a push can't name {host}, a service of this machine; {EDIT}"
    own = {address for _, address in _addresses(local)}
    for path, (host, port) in _addresses(pushed):
        if (host, port) not in own and (error := _refused(local.allow, host, port)) is not None:
            yield path, f"{error}; {EDIT}"
    yield from _other_servers(pushed, {host for host, _ in own}, local.allow)
    lines = {port for config in (running, local) for _, port in _serial_ports(config)}
    for path, serial in _serial_ports(pushed):
        if serial not in lines and (error := pushed_port_error(serial)) is not None:
            yield path, f"{error}; {EDIT}"
    own_lines = {port for _, port in _serial_ports(local)}
    for path, serial in _serial_ports(pushed):
        if serial not in own_lines and not local.allow.has_serial_port(os.path.normpath(serial)):
            bounds = listed(local.allow.serial_ports or ())
            yield path, f"the port {serial} is not in allow.serial_ports ({bounds}); {EDIT}"


def _other_servers(pushed: Config, own: set[str], allow: Allow) -> Iterator[tuple[str, str]]:
    """The second stream of a camera is on the server of the first, unless the local file says else."""
    for name, source in pushed.sources.items():
        hosts = [normalized_host(server.host) for server in source.servers()]
        for host in hosts[1:]:
            if host != hosts[0] and host not in own and (allow.hosts is None or not allow.has_host(host)):
                yield f"sources.{name}.evidence_url", f"a push can name it on the server of url only; {EDIT}"


def _refused(allow: Allow, host: str, port: int | None) -> str | None:
    if not allow.has_host(host):
        return f"the host {host} is not in allow.hosts ({listed(allow.hosts or ())})"
    if port is not None and not allow.has_network_port(port):
        return f"the port {port} is not in allow.network_ports ({listed(allow.network_ports or ())})"
    return None


def _addresses(config: Config) -> Iterator[tuple[str, tuple[str, int | None]]]:
    """(path, (host, port)) of each broker, and of each service that a source connects to."""
    for number, broker in enumerate(config.broker.in_order):
        host, port = broker.address
        path = "broker.url" if number == 0 else f"broker.fallbacks.{number - 1}"
        yield path, (normalized_host(host), port)
    for name, source in config.sources.items():
        for server in source.servers():
            yield f"sources.{name}.{server.key}", (normalized_host(server.host), server.port)


def _serial_ports(config: Config) -> Iterator[tuple[str, str]]:
    for name, source in config.sources.items():
        port = source.serial_port()
        if port is not None and source.server() is None:
            yield f"sources.{name}.{port.key}", port.address
