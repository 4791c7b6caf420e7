"""The MQTT connection, and nothing above it: the only file with paho.

paho is used as a packet pipe (docs/decisions/0003): a fresh client for each connection, on the agent's own
loop; it neither queues nor reconnects, and its callbacks only append.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.durations import Duration
from agent.paths import NearPath, Secret

CONNECT_WITHIN_S = 10.0
USER_TIMEOUT_S = 20.0
"""A dead link is noticed by the kernel after this long with bytes unacknowledged (TCP_USER_TIMEOUT)."""
SESSION_EXPIRY_S = 7 * 24 * 3600


class Broker(BaseModel):
    """Where the centre's broker is, and how this device proves who it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_wait_s: ClassVar[float] = 30.0

    url: str
    delivery: Literal["receipt", "puback"] = "receipt"
    ca: NearPath | None = None
    cert: NearPath | None = None
    key: Secret | None = None
    username: str | None = None
    password: Secret | None = None
    keepalive: Duration = Field(default="30s", validate_default=True)
    resend_after: Duration = Field(default="60s", validate_default=True)
    """An alert without the centre's receipt is sent again after this."""
    protocol: Literal["5", "3.1.1"] = "5"
    insecure: bool = False

    @model_validator(mode="after")
    def _reachable_and_safe(self) -> Self:
        url = urlsplit(self.url)
        if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
            raise ValueError(f"url {self.url!r} is no broker's address; write mqtts://host:8883")
        if url.username or url.password:
            raise ValueError("url carries a password; use username and password: {file: …}")
        try:
            _ = url.port
        except ValueError:
            raise ValueError(f"url {self.url!r}: the port is a number from 1 to 65535") from None
        loopback = url.hostname in ("localhost", "127.0.0.1", "::1")
        if url.scheme == "mqtt" and not loopback and not self.insecure:
            raise ValueError(
                f"mqtt:// to {url.hostname} is not encrypted; use mqtts://, or say insecure: true aloud"
                " (RINGPOST_INSECURE=1 on the command line)"
            )
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        if url.scheme == "mqtt" and (self.ca or self.cert):
            raise ValueError("ca, cert and key need mqtts://")
        return self

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(self.url)
        return url.hostname or "", url.port or (8883 if url.scheme == "mqtts" else 1883)

    @property
    def encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"


class Connection:
    """paho behind six methods: open, publish, subscribe, acknowledge, event, close. Once, then no more."""

    def __init__(self, broker: Broker, client_id: str, will: tuple[str, bytes] | None) -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._five = broker.protocol == "5"
        self._events: deque[tuple[Any, ...]] = deque()
        self.woken = asyncio.Event()
        self._fd: int | None = None
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self._five else False,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages_set(0)  # we count
        client.connect_timeout = CONNECT_WITHIN_S
        client.suppress_exceptions = False
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password.read() if broker.password else None)
        if broker.encrypted:
            client.tls_set_context(tls_context(broker))
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = lambda _c, _u, _f, code, _p: self._tell("connected", code)
        client.on_disconnect = lambda _c, _u, _f, code, _p: self._tell("lost", _reason(code))
        client.on_publish = lambda _c, _u, mid, code, _p: self._tell("published", mid, code)
        client.on_message = lambda _c, _u, message: self._tell("message", message)
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_close = lambda _c, _u, _s: self._unwatch()  # before the number is free for others
        self._client = client

    async def open(self) -> None:
        """Connects, up to the broker's yes. OSError says in one line why not."""
        host, port = self._broker.address
        keepalive_s = max(5, int(self._broker.keepalive.total_seconds()))
        try:
            await asyncio.to_thread(self._connect, host, port, keepalive_s)
        except (OSError, ValueError) as error:
            raise OSError(explain(error, host, port)) from error
        sock: Any = self._client.socket()
        if sock is None:
            raise OSError(f"{host}:{port} closed the connection")
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT_S * 1000))
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self._readable)
        self._write_soon()
        deadline = time.monotonic() + CONNECT_WITHIN_S
        while (event := await self.event(0.5)) is None or event[0] != "connected":
            if event is not None and event[0] == "lost":
                raise OSError(f"{host}:{port} closed the connection: {event[1]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{host}:{port} took the connection, but does not speak MQTT")
        if event[1].is_failure:
            raise OSError(f"{host}:{port} refused: {str(event[1]).lower()}")

    def publish(self, topic: str, body: bytes, qos: int, retain: bool, expires_s: float | None = None) -> int:
        """Hands one message to the wire; the number by which `event` will tell of its acknowledgement."""
        properties = None
        if self._five and expires_s is not None:
            properties = _properties("PUBLISH", MessageExpiryInterval=max(1, int(expires_s)))
        return self._client.publish(topic, body, qos, retain, properties).mid

    def subscribe(self, topics: Sequence[str]) -> None:
        self._client.subscribe([(topic, 1) for topic in topics])

    def acknowledge(self, message: Any) -> None:
        """Tells the broker that a message down was carried out."""
        self._client.ack(message.mid, message.qos)

    async def event(self, within_s: float) -> tuple[Any, ...] | None:
        """What happened: ("connected" | "lost", reason), ("published", number, reason), ("message", it)."""
        if not self._events:
            self.woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.woken.wait()
            self._misc()
        return self._events.popleft() if self._events else None

    def pending(self) -> bool:
        """Whether `event` would answer at once."""
        return bool(self._events)

    def close(self) -> None:
        """Leaves properly if that is still possible, and forgets the client."""
        with suppress(Exception):
            self._client.disconnect()
            self._client.loop_write()
        self._unwatch()
        sock = self._client.socket()
        if sock is not None:
            with suppress(OSError):
                sock.close()

    def _unwatch(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = None

    def _connect(self, host: str, port: int, keepalive_s: int) -> None:
        if self._five:
            properties = _properties("CONNECT", SessionExpiryInterval=SESSION_EXPIRY_S)
            self._client.connect(host, port, keepalive_s, clean_start=False, properties=properties)
        else:
            self._client.connect(host, port, keepalive_s)

    def _wants_to_write(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._write_soon)

    def _tell(self, *event: Any) -> None:
        self._events.append(event)
        self.woken.set()

    def _readable(self) -> None:
        sock = self._client.socket()
        while sock is not None:
            code = self._client.loop_read()
            if code:
                self._lost(code)
                return
            pending = getattr(sock, "pending", None)
            if pending is None or not pending():
                return
            sock = self._client.socket()

    def _write_soon(self) -> None:
        if self._fd is not None and self._client.want_write():
            self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        code = self._client.loop_write()
        if code:
            self._lost(code)
        elif self._fd is not None and not self._client.want_write():
            self._loop.remove_writer(self._fd)

    def _misc(self) -> None:
        if self._fd is not None and (code := self._client.loop_misc()):
            self._lost(code)

    def _lost(self, code: Any) -> None:
        import paho.mqtt.client as mqtt

        self._unwatch()
        self._tell("lost", mqtt.error_string(code))


def _reason(code: Any) -> str:
    """Why a connection ended; where the broker said nothing, that it closed it."""
    text = str(code)
    return "closed by the broker" if text == "Unspecified error" else text.lower()


def _properties(packet: str, **values: int) -> Any:
    """MQTT 5 properties of one packet."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties: Any = Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def tls_context(broker: Broker) -> ssl.SSLContext:
    """TLS 1.2 or newer, the name checked, our certificate where there is one. OSError names the bad file."""
    context = ssl.create_default_context(cafile=None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(broker.ca, lambda: context.load_verify_locations(broker.ca))
    if broker.cert is not None and broker.key is not None:
        key = broker.key.path()
        _load(broker.cert, lambda: context.load_cert_chain(broker.cert or "", key))
    return context


def _load(path: Path, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise OSError(f"{path}: no usable certificate or key ({error.reason or error})") from error
    except OSError as error:
        raise OSError(f"{error.filename or path}: {error.strerror or error}") from error


def explain(error: Exception, host: str, port: int) -> str:
    """Why a connection failed, in one line for a technician."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{where}: its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{where}: no TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return f"the name {host} is not found"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refused: no broker listens there"
    if isinstance(error, TimeoutError):
        return f"{where} does not answer"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{where}: {getattr(error, 'strerror', None) or error}"
