"""Hosts, addresses and files that a configuration names, written in one way so that they can be compared."""

import ipaddress
import os.path
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

import models
from agent.config.model import Config
from agent.vision.camera import Camera
from agent.vision.camera_url import device_path, source_kind
from agent.vision.detector import DetectorSettings


def same_cameras(name: str, camera: Camera, config: Config) -> list[Camera]:
    """The cameras of ``config`` that may be ``camera``: same name and url, same url, or same address."""
    cameras = config.cameras()
    own = cameras.get(name)
    if own is not None and own.url == camera.url:
        return [own]
    exact = [known for known in cameras.values() if known.url == camera.url]
    near = exact or [
        known for known in cameras.values() if camera_address(known.url) == camera_address(camera.url)
    ]
    return near if own is None else [own, *near]


def services(config: Config) -> Iterator[tuple[str, tuple[str, int | None]]]:
    """(path, (host, port)) of each service that a source connects to, except gpsd at its usual port."""
    for name, source in config.sources.items():
        server = source.server()
        if server is not None and not server.usual:
            yield f"sources.{name}.{server.key}", (normalized_host(server.host), server.port)


def camera_address(url: str) -> str:
    """The address of a camera: its normalised host, its device, or its file."""
    kind = source_kind(url)
    if kind == "stream":
        parts = urlsplit(url)
        return normalized_host(parts.hostname or parts.netloc)
    return os.path.realpath(device_path(url) if kind == "device" else url)


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


def named_files(config: BaseModel) -> Iterator[Path]:
    """The files that a configuration names, the models of its detectors among them."""
    for value in dict(config).values():
        yield from _files(value)


def _files(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, DetectorSettings):
        if models.is_path(value.model):
            yield Path(value.model)
    elif isinstance(value, BaseModel):
        yield from named_files(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _files(item)
