"""``ringpost check --env``: is what the configuration names there, just now, and does it work?

Each finding is one line with its place in the configuration and what would be right; what works is a fact.
Nothing is changed: no port is opened (that may reset a microcontroller), and the running agent keeps its
session with the broker.
"""

import asyncio
import socket

from agent.cli.check_broker import _brokers
from agent.cli.check_finding import Found
from agent.cli.check_local import _agent_runs, _models, _ports, _room, _secrets
from agent.config.model import Config
from agent.runtime.error_text import describe_error
from agent.vision.camera import Camera
from firmware_bridge.source import SourcePart

ANSWER_S = 5.0


def probe(config: Config) -> list[Found]:
    """All of it. Blocking, for as long as cameras and brokers may take."""
    running = _agent_runs(config.data.directory)
    found = [
        Found(True, text) for text in (*_ports(config), *_room(config), *_secrets(config), *_models(config))
    ]
    if running:
        found.append(Found(False, "the agent is running: a camera that it holds can't be opened"))
    return found + asyncio.run(_online(config))


async def _online(config: Config) -> list[Found]:
    """What takes a connection: servers, cameras and brokers, at the same time."""
    servers = {name: _server(source) for name, source in config.sources.items()}
    cameras = {name: source for name, source in config.sources.items() if isinstance(source, Camera)}
    jobs = [
        *(_reach(f"sources.{name}", *server) for name, server in servers.items() if server is not None),
        *(_look(f"sources.{name}", camera) for name, camera in cameras.items()),
        _brokers(config),
    ]
    return [one for some in await asyncio.gather(*jobs) for one in some]


def _server(source: SourcePart) -> tuple[str, int] | None:
    """Where a serial server or gpsd should answer."""
    server = None if isinstance(source, Camera) else source.server()
    return None if server is None or server.port is None else (server.host, server.port)


async def _reach(place: str, host: str, port: int) -> list[Found]:
    def connect() -> None:
        socket.create_connection((host, port), timeout=ANSWER_S).close()

    try:
        await asyncio.to_thread(connect)
    except OSError as error:
        return [Found(True, f"{place}: {host}:{port} does not answer: {describe_error(error)}")]
    return []


async def _look(place: str, camera: Camera) -> list[Found]:
    """Opens a camera as the agent does, and decodes one frame."""
    began_s = asyncio.get_running_loop().time()
    try:
        width, height = await camera.first_frame()
    except ImportError as error:
        return [Found(True, f"{place}: {error}; install ringpost[vision]")]
    except (OSError, ValueError) as error:
        return [Found(True, f"{place}: {describe_error(error)}")]
    took_s = asyncio.get_running_loop().time() - began_s
    return [Found(False, f"{place}: gives pictures of {width}x{height}, the first after {took_s:.1f} s")]
