"""Checks this machine: serial ports, disk, secrets and models."""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.config.model import Config
from agent.privacy.rescue_grant import MIN_KEY_LENGTH
from agent.runtime.error_text import describe_error
from agent.vision.camera import Camera
from firmware_bridge.secret import Secret

MEMORY_DEVICES = 1
"""Major number of /dev/null, /dev/zero and similar devices."""


def check_ports(config: Config) -> Iterator[str]:
    for name, source in config.sources.items():
        serial = source.serial_port()
        if serial is None or "://" in serial.address:
            continue
        place, port = f"sources.{name}.{serial.key}", serial.address
        try:
            status = Path(port).stat()
        except OSError:
            yield f"{place}: {port} not found: unplugged or renamed; `ringpost devices` lists the ports"
            continue
        if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) == MEMORY_DEVICES:
            yield f"{place}: {port} is not a serial port; `ringpost devices` lists the ports"
        elif not os.access(port, os.R_OK | os.W_OK):
            yield f"{place}: no permission to open {port}; add this user to its group (dialout)"


def check_disk(config: Config) -> Iterator[str]:
    folder = config.data.directory
    existing = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x")
    except OSError as error:
        yield f"data.directory: can't write to {existing}: {error.strerror}; make it writable for this user"
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    if free_mb < config.data.max_mb:
        yield f"data.directory: {free_mb} MB free at {existing}, less than data.max_mb ({config.data.max_mb})"
    cameras = sum(isinstance(source, Camera) for source in config.sources.values())
    wanted_mb = config.evidence.least_free_mb + cameras * config.evidence.max_mb
    if cameras and config.evidence.record and free_mb < wanted_mb:
        yield f"evidence: {free_mb} MB free at {existing}; {wanted_mb} MB required for {cameras} cameras"


def agent_is_running(folder: Path) -> bool:
    """Whether an agent holds the lock of the data directory."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def check_secrets(config: Config) -> Iterator[str]:
    for place, secret in _secrets_of(config, ""):
        if place == "broker.key":
            continue  # OpenSSL reads it
        try:
            text = secret.read()
        except (OSError, ValueError) as error:
            yield f"{place}: {describe_error(error)}"
            continue
        if not text:
            yield f"{place}: is empty"
        elif place == "privacy.rescue_key" and len(text) < MIN_KEY_LENGTH:
            yield f"{place}: shorter than {MIN_KEY_LENGTH} characters, so it is ignored"


def _secrets_of(value: Any, place: str) -> Iterator[tuple[str, Secret]]:
    """Each secret in ``value``, with its path in the configuration."""
    if isinstance(value, Secret):
        yield place, value
    elif isinstance(value, BaseModel):
        for name, field in value:
            yield from _secrets_of(field, f"{place}.{name}" if place else name)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _secrets_of(item, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _secrets_of(item, f"{place}[{number}]")


def check_models(config: Config) -> Iterator[str]:
    checked: set[str] = set()
    for name, source in config.sources.items():
        if not isinstance(source, Camera) or source.detector.model in checked:
            continue
        checked.add(source.detector.model)
        place = f"sources.{name}.detector.model"
        try:
            card = source.detector.card()
            with card.weights.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            yield f"{place}: {describe_error(error)}"
            continue
        if sha256 != card.sha256:
            yield f"{place}: the SHA-256 of {card.weights} differs from that in its card; download it again"
