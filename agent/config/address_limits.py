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
    lines = {port for config in (running, local) for _, port in _serial_ports(config)}
    for path, serial in _serial_ports(pushed):
        if serial not in lines and (error := pushed_port_error(serial)) is not None:
            yield path, f"{error}; {EDIT}"
    own_lines = {port for _, port in _serial_ports(local)}
    for path, serial in _serial_ports(pushed):
        if serial not in own_lines and not local.allow.has_serial_port(os.path.normpath(serial)):
            bounds = listed(local.allow.serial_ports or ())
            yield path, f"the port {serial} is not in allow.serial_ports ({bounds}); {EDIT}"


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
        if (server := source.server()) is not None:
            yield f"sources.{name}.{server.key}", (normalized_host(server.host), server.port)


def _serial_ports(config: Config) -> Iterator[tuple[str, str]]:
    for name, source in config.sources.items():
        port = source.serial_port()
        if port is not None and source.server() is None:
            yield f"sources.{name}.{port.key}", port.address
