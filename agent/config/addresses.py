"""Addresses and files that a configuration names, written in one way so that they can be compared."""

import os.path
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel

import models
from agent.config.hosts import is_this_machine, normalized_host
from agent.config.model import Config
from agent.vision.camera import Camera
from agent.vision.camera_url import SCHEMES, device_path, source_kind
from agent.vision.detector import DetectorSettings
from firmware_bridge.source import Server, SourcePart


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


Address: TypeAlias = tuple[str, int | None]
"""A normalised host, and a port where one is given."""


def services(config: Config) -> Iterator[tuple[str, Address]]:
    """(path, address) of each service that a source connects to, except gpsd at its usual port here."""
    for name, source in config.sources.items():
        for server in source.servers():
            if (address := _address(server)) is not None:
                yield f"sources.{name}.{server.key}", address


def service(source: SourcePart) -> Address | None:
    """The service that a source connects to; None without one, and for gpsd at its usual port here."""
    server = source.server()
    return None if server is None else _address(server)


def _address(server: Server) -> Address | None:
    host = normalized_host(server.host)
    return None if server.usual and is_this_machine(host) else (host, server.port)


def camera_address(url: str) -> str:
    """The address of a camera: its normalised host, its device, or its file."""
    kind = source_kind(url)
    if kind == "stream":
        parts = urlsplit(url)
        return normalized_host(parts.hostname or parts.netloc)
    return os.path.realpath(device_path(url) if kind == "device" else url)


def camera_view(url: str) -> tuple[str | int | None, ...]:
    """The address of a camera, and which of its streams: port, path and query. With TLS it is the same."""
    if source_kind(url) != "stream":
        return (camera_address(url),)
    parts = urlsplit(url)
    port = None if parts.port == SCHEMES[parts.scheme] else parts.port
    return camera_address(url), parts.scheme.removesuffix("s"), port, parts.path or "/", parts.query


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
