"""``ringpost check --env``: is what the configuration names there, just now, and does it work?

Each finding is one line with its place in the configuration and what would be right; what works is a fact.
Nothing is changed: no port is opened (that may reset a microcontroller), and the running agent keeps its
session with the broker.
"""

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.config.model import Config
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection, UnsupportedProtocolError
from agent.mqtt.dialing import open_either
from agent.mqtt.envelope import Envelope
from agent.mqtt.link import DOWN
from agent.mqtt.tls import expiry
from agent.privacy.rescue_grant import LEAST_KEY
from agent.runtime.error_text import describe_error
from agent.runtime.kernel_clock import NEVER_BEFORE
from agent.runtime.sanitize import printable, readable
from agent.vision.camera import Camera
from firmware_bridge.secret import Secret
from firmware_bridge.source import SourcePart

RENEW = timedelta(days=30)
"""A certificate that expires sooner is a finding."""
MEMORY_DEVICES = 1
"""The major number of /dev/null, /dev/zero and their kin."""
ANSWER_S = 5.0
CENTRE_S = 1.0
"""The centre's retained status comes with the subscription."""
SESSION_S = 60
REFUSED = 0x80


@dataclass(frozen=True, slots=True)
class Found:
    """One result: ``wrong``, or a fact."""

    wrong: bool
    text: str


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


# What is on this machine.


def _ports(config: Config) -> Iterator[str]:
    for name, source in config.sources.items():
        serial = source.serial_port()
        if serial is None or "://" in serial.address:
            continue
        place, port = f"sources.{name}.{serial.key}", serial.address
        try:
            status = Path(port).stat()
        except OSError:
            yield f"{place}: {port} is not there: plug it in, or find its name with `ringpost devices`"
            continue
        if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) == MEMORY_DEVICES:
            yield f"{place}: {port} is no serial port; `ringpost devices` lists those that are here"
        elif not os.access(port, os.R_OK | os.W_OK):
            yield f"{place}: no right to open {port}; add this user to its group (dialout)"


def _room(config: Config) -> Iterator[str]:
    folder = config.data.directory
    near = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=near) as file:
            file.write(b"x")
    except OSError as error:
        yield f"data.directory: can't write in {near}: {error.strerror}; make it writable for this user"
    free_mb = shutil.disk_usage(near).free // 1_000_000
    if free_mb < config.data.max_mb:
        yield f"data.directory: {free_mb} MB free at {near}, fewer than data.max_mb ({config.data.max_mb})"
    cameras = sum(isinstance(source, Camera) for source in config.sources.values())
    wanted_mb = config.evidence.least_free_mb + cameras * config.evidence.max_mb
    if cameras and config.evidence.record and free_mb < wanted_mb:
        yield f"evidence: {free_mb} MB free at {near}; {wanted_mb} are wanted for {cameras} cameras"


def _agent_runs(folder: Path) -> bool:
    """Whether an agent holds the data folder."""
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


def _secrets(config: Config) -> Iterator[str]:
    for place, secret in _all_secrets(config, ""):
        if place == "broker.key":
            continue  # OpenSSL reads it
        try:
            text = secret.read()
        except (OSError, ValueError) as error:
            yield f"{place}: {describe_error(error)}"
            continue
        if not text:
            yield f"{place}: is empty"
        elif place == "privacy.rescue_key" and len(text) < LEAST_KEY:
            yield f"{place}: shorter than {LEAST_KEY} characters: it will not be used"


def _all_secrets(value: Any, place: str) -> Iterator[tuple[str, Secret]]:
    """Each secret of the configuration, and where it stands."""
    if isinstance(value, Secret):
        yield place, value
    elif isinstance(value, BaseModel):
        for name, field in value:
            yield from _all_secrets(field, f"{place}.{name}" if place else name)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _all_secrets(one, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _all_secrets(one, f"{place}[{number}]")


def _models(config: Config) -> Iterator[str]:
    judged: set[str] = set()
    for name, source in config.sources.items():
        if not isinstance(source, Camera) or source.detector.model in judged:
            continue
        judged.add(source.detector.model)
        place = f"sources.{name}.detector.model"
        try:
            card = source.detector.card()
            with card.weights.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            yield f"{place}: {describe_error(error)}"
            continue
        if sha256 != card.sha256:
            yield f"{place}: {card.weights} is not the file that its card names (sha256); fetch it again"


# What is elsewhere.


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


async def _brokers(config: Config) -> list[Found]:
    found = list(_certificates(config.broker))
    if any(one.wrong for one in found):
        return found
    places = [
        "broker.url",
        *(f"broker.fallbacks[{number}]" for number in range(len(config.broker.fallbacks))),
    ]
    for place, broker in zip(places, config.broker.in_order, strict=True):
        try:
            connection = await _connected(broker, f"{config.device[:14]}-{secrets.token_hex(4)}")
        except OSError as error:
            found.append(Found(True, f"{place}: {describe_error(error)}"))
        else:
            found += [one async for one in _talk(place, connection, Envelope(device=config.device))]
    return found


def _certificates(broker: Broker) -> Iterator[Found]:
    """Whether CA, certificate and key can be read and belong together, and how long they are valid."""
    if not broker.encrypted:
        yield Found(False, "broker.url: mqtt:// is not encrypted")
        return
    try:
        broker.tls(NEVER_BEFORE)
    except OSError as error:
        text = describe_error(error)
        if "KEY_VALUES_MISMATCH" in text:
            text = f"{broker.cert} and the key do not belong together"
        yield Found(True, f"broker: {text}")
        return
    now = datetime.now(UTC)
    for place, path in broker.certificates().items():
        try:
            until = expiry(path)
        except (OSError, ValueError) as error:
            yield Found(True, f"{place}: {describe_error(error)}")
            continue
        days = (until - now).days
        if until < now:
            yield Found(True, f"{place}: {path} has expired, on {until:%Y-%m-%d}; renew it")
        elif until < now + RENEW:
            yield Found(True, f"{place}: {path} expires in {days} days, on {until:%Y-%m-%d}; renew it")
        else:
            yield Found(False, f"{place}: valid for {days} days, until {until:%Y-%m-%d}")


async def _talk(place: str, connection: Connection, speaker: Envelope) -> AsyncIterator[Found]:
    """What a connection may do: SUBSCRIBE, under a client id of its own and without a last will.

    Where the broker goes by the certificate and not by the client id, this is the running agent's session: it
    is taken up as it stands and left as it is, and the agent connects again.
    """
    try:
        if connection.resumed:
            yield Found(False, f"{place}: goes by the certificate: a running agent had to connect again")
        topics = [*(f"{speaker.prefix}/{topic}" for topic in DOWN), speaker.host_status]
        number = connection.subscribe(topics)
        centre = ""
        answered = False
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while not (answered and centre):
                    event = await connection.event(CENTRE_S)
                    if event is None and answered:
                        break
                    match event:
                        case ("lost", reason):
                            raise OSError(f"connection lost: {reason}")
                        case ("subscribed", mid, codes) if mid == number:
                            answered = True
                            for topic, code in zip(topics, codes, strict=False):
                                if code.value >= REFUSED:
                                    text = f"{place}: not allowed to subscribe to {topic}"
                                    yield Found(True, f"{text}: see the broker's access rights")
                        case ("message", message) if message.topic == speaker.host_status:
                            if message.retain:  # ours; all else stays for the agent
                                connection.acknowledge(message)
                            centre = printable((readable(message.payload) or {}).get("state"))
        if not answered:
            yield Found(True, f"{place}: no answer to SUBSCRIBE within {ANSWER_S:g} s")
        yield Found(False, f"{place}: connected; centre: {centre or 'has never been here'}")
    except OSError as error:
        yield Found(True, f"{place}: {describe_error(error)}")
    finally:
        connection.close()


async def _connected(broker: Broker, client_id: str) -> Connection:
    """With MQTT 5, or 3.1.1 where the broker refuses that, as the agent does; OSError: neither."""
    older = broker.model_copy(update={"protocol": "3.1.1"})
    if broker.protocol == "3.1.1":
        return await open_either(older, client_id, None, session_expiry_s=0)
    try:
        return await open_either(broker, client_id, None, session_expiry_s=SESSION_S, fall_back=False)
    except UnsupportedProtocolError as refusal:
        try:
            return await open_either(older, client_id, None, session_expiry_s=0)
        except OSError as error:
            raise OSError(f"{refusal}; {error}") from error
