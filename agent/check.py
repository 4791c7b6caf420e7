"""``ringpost check``: is this configuration one that can run? Without hardware, cv2 or onnxruntime."""

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from agent import entrusted
from agent.config import Config, read
from agent.files import words
from agent.vision.camera import Camera
from agent.vision.rescue import LEAST_KEY, Privacy
from agent.yamlfile import BadConfig, Problem
from firmware_bridge import tcp
from firmware_bridge.gpsd import Gpsd

BAD_CONFIG = 78


def check_command(files: list[Path], env: bool, as_json: bool) -> int:
    """Prints all that is wrong with each file, or one line that says it is well. 0, 1 (``env``) or 78."""
    code = 0
    for file in files:
        problems: list[Problem] = []
        warnings: list[str] = []
        notes: list[str] = []
        try:
            config = read(file)
        except BadConfig as error:
            problems, code = error.problems, BAD_CONFIG
            lines = error.lines()
        else:
            lines = []
            notes = [*config.notes(), *entrusted.notes(config)]
            warnings = list(probe(config)) if env else []
            code = code or (1 if warnings else 0)
        if as_json:
            found = [
                {"line": problem.line, "path": problem.path, "message": problem.message}
                for problem in problems
            ]
            answer = {"file": str(file), "ok": not lines, "errors": found, "warnings": warnings}
            print(json.dumps(answer | {"notes": notes}))
            continue
        for line in lines:
            click.echo(line, err=True)
        for note in notes:
            click.echo(f"{file}: note: {note}", err=True)
        for warning in warnings:
            click.echo(f"{file}: {warning}", err=True)
        if not lines and not warnings:
            count = f"{len(config.sources)} sources, {len(config.rules)} rules"
            print(f"{file}: ok: {config.device} ({config.kind}), {count}")
    sys.stdout.flush()
    return code


def _key(privacy: Privacy) -> Iterator[str]:
    if privacy.rescue_key is not None:
        try:
            if len(privacy.rescue_key.read()) < LEAST_KEY:
                yield f"privacy.rescue_key: shorter than {LEAST_KEY} characters: it will not be used"
        except OSError as error:
            yield f"privacy.rescue_key: {error}"


def probe(config: Config) -> Iterator[str]:
    """What the environment lacks just now: devices, room on disk, a broker that answers."""
    for name, source in config.sources.items():
        port = getattr(source, "port", None)
        if isinstance(port, str) and "://" not in port:
            if not Path(port).exists():
                yield f"sources.{name}.port: {port} is not there"
            elif not os.access(port, os.R_OK | os.W_OK):
                yield f"sources.{name}.port: no right to open {port}; add this user to its group (dialout)"
        elif (server := _server(source)) is not None:
            yield from (f"sources.{name}: {trouble}" for trouble in _unreachable(*server))
        if isinstance(source, Camera) and "://" not in source.url:
            path = Path(f"/dev/video{source.url}" if source.url.isdigit() else source.url)
            if not path.exists():
                yield f"sources.{name}.url: {path} is not there"
    folder = config.data.directory
    near = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    if not os.access(near, os.W_OK):
        yield f"data.directory: no right to write in {near}"
    free_mb = shutil.disk_usage(near).free // 1_000_000
    if free_mb < config.data.max_mb:
        yield f"data.directory: {free_mb} MB free at {near}, fewer than data.max_mb ({config.data.max_mb})"
    cameras = sum(isinstance(source, Camera) for source in config.sources.values())
    wanted_mb = config.evidence.least_free_mb + cameras * config.evidence.max_mb
    if cameras and config.evidence.record and free_mb < wanted_mb:
        yield f"evidence: {free_mb} MB free at {near}; {wanted_mb} are wanted for {cameras} cameras"
    yield from _key(config.privacy)
    url = urlsplit(config.broker.url)
    port_number = url.port or (8883 if url.scheme == "mqtts" else 1883)
    yield from (f"broker.url: {trouble}" for trouble in _unreachable(url.hostname or "", port_number))


def _server(source: Any) -> tuple[str, int] | None:
    """Where a serial server or gpsd should answer."""
    if isinstance(source, Gpsd):
        return source.host, source.port
    port = getattr(source, "port", None)
    return tcp.split(port) if isinstance(port, str) and port.startswith("tcp://") else None


def _unreachable(host: str, port: int) -> Iterator[str]:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        yield f"{host}:{port} does not answer: {words(error)}"
