"""``ringpost check --env``: checks that devices, disk, models and brokers are present and work.

Each finding is one line: its place in the configuration and the remedy. The check changes nothing: it opens
no serial port (that may reset a microcontroller), and the running agent keeps its session with the broker.
"""

import asyncio
import socket

from agent.cli.check_broker import check_brokers
from agent.cli.check_finding import EnvironmentFinding
from agent.cli.check_local import agent_is_running, check_disk, check_models, check_ports, check_secrets
from agent.config.model import Config
from agent.runtime.error_text import describe_error
from agent.vision.camera import Camera
from firmware_bridge.source import SourcePart

ANSWER_TIMEOUT_S = 5.0


def check_environment(config: Config) -> list[EnvironmentFinding]:
    """All findings. Blocks until cameras and brokers have answered or timed out."""
    running = agent_is_running(config.data.directory)
    findings = [
        EnvironmentFinding(True, text)
        for text in (*check_ports(config), *check_disk(config), *check_secrets(config), *check_models(config))
    ]
    if running:
        findings.append(
            EnvironmentFinding(False, "the agent is running: cameras that it uses can't be opened")
        )
    return findings + asyncio.run(_check_network(config))


async def _check_network(config: Config) -> list[EnvironmentFinding]:
    """Checks servers, cameras and brokers concurrently."""
    servers = {name: _server_address(source) for name, source in config.sources.items()}
    cameras = {name: source for name, source in config.sources.items() if isinstance(source, Camera)}
    jobs = [
        *(
            _check_server(f"sources.{name}", *server)
            for name, server in servers.items()
            if server is not None
        ),
        *(_check_camera(f"sources.{name}", camera) for name, camera in cameras.items()),
        check_brokers(config),
    ]
    return [finding for findings in await asyncio.gather(*jobs) for finding in findings]


def _server_address(source: SourcePart) -> tuple[str, int] | None:
    """Host and port of a serial server or gpsd; None for other sources."""
    server = None if isinstance(source, Camera) else source.server()
    return None if server is None or server.port is None else (server.host, server.port)


async def _check_server(place: str, host: str, port: int) -> list[EnvironmentFinding]:
    def connect() -> None:
        socket.create_connection((host, port), timeout=ANSWER_TIMEOUT_S).close()

    try:
        await asyncio.to_thread(connect)
    except OSError as error:
        return [EnvironmentFinding(True, f"{place}: {host}:{port} does not answer: {describe_error(error)}")]
    return []


async def _check_camera(place: str, camera: Camera) -> list[EnvironmentFinding]:
    """Opens a camera as the agent does, and decodes one frame."""
    began_s = asyncio.get_running_loop().time()
    try:
        width, height = await camera.first_frame()
    except ImportError as error:
        return [EnvironmentFinding(True, f"{place}: {error}; install ringpost[vision]")]
    except (OSError, ValueError) as error:
        return [EnvironmentFinding(True, f"{place}: {describe_error(error)}")]
    took_s = asyncio.get_running_loop().time() - began_s
    return [
        EnvironmentFinding(
            False, f"{place}: delivers frames of {width}x{height}, the first after {took_s:.1f} s"
        )
    ]
