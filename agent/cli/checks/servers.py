"""Serial servers and gpsd: does the port answer?"""

import asyncio
import socket
from collections.abc import AsyncIterator

from agent.cli.checks.finding import Finding, failed, ok
from agent.config.model import Config
from agent.runtime.error_text import describe_error
from agent.runtime.native_calls import within
from agent.vision.camera import Camera
from firmware_bridge.source import SourcePart

ANSWER_TIMEOUT_S = 5.0


async def check_servers(config: Config) -> AsyncIterator[Finding]:
    """All servers concurrently; cameras have a check of their own."""
    servers = {name: _address(source) for name, source in config.sources.items()}
    jobs = (_check(f"sources.{name}", *server) for name, server in servers.items() if server is not None)
    for finding in await asyncio.gather(*jobs):
        yield finding


def _address(source: SourcePart) -> tuple[str, int] | None:
    """Host and port of a serial server or gpsd; None for other sources."""
    server = None if isinstance(source, Camera) else source.server()
    return None if server is None or server.port is None else (server.host, server.port)


async def _check(place: str, host: str, port: int) -> Finding:
    def connect() -> None:
        socket.create_connection((host, port), timeout=ANSWER_TIMEOUT_S).close()

    try:
        await within(2 * ANSWER_TIMEOUT_S, connect, f"{host}:{port}")
    except OSError as error:
        remedy = "is the server on, and is this its port?"
        return failed(f"{host}:{port} does not answer: {describe_error(error)}", remedy, place)
    return ok(f"{host}:{port} answers", place)
