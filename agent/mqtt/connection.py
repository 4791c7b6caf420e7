"""The MQTT connection, and nothing above it: the only file with paho.

paho is used as a packet pipe (docs/decisions/0003): a fresh client for each connection, on the agent's own
loop; it neither queues nor reconnects, and its callbacks only append.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from agent.mqtt.broker import Broker
from agent.mqtt.connect_threads import _aside
from agent.mqtt.paho_packets import (
    MOST_PACKET,
    _bounded,
    _properties,
    _reason_code,
)
from agent.mqtt.tls import alert, explain, validity
from agent.runtime.error_text import describe_error
from agent.runtime.kernel_clock import NEVER_BEFORE, kernel_clock

CONNECT_WITHIN_S = 10.0
USER_TIMEOUT_S = 20.0
"""A dead link is noticed by the kernel after this long with bytes unacknowledged (TCP_USER_TIMEOUT)."""
SESSION_EXPIRY_S = 7 * 24 * 3600
WILL_DELAY_S = 5
"""A connection that is back within this time was never away: the broker keeps the last will to itself."""
SESSION_TAKEN_OVER, WITH_WILL, UNSUPPORTED_PROTOCOL = 0x8E, 0x04, 0x84


class UnsupportedProtocolError(OSError):
    """The broker refused this version of MQTT."""


class Connection:
    """paho behind six methods: open, publish, subscribe, acknowledge, event, close. Once, then no more."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        will: tuple[str, bytes] | None,
        past: datetime = NEVER_BEFORE,
        *,
        session_expiry_s: int = SESSION_EXPIRY_S,
    ) -> None:
        """``session_expiry_s``: 0 for a clean start and a session that ends with the connection."""
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self._broker = broker
        self._client_id = client_id
        self._past = past
        self._session_expiry_s = session_expiry_s
        self._error = ""
        self._closed = False
        self.died = False
        """Whether nothing came any more, so that nobody closed the connection."""
        self.receive_maximum = 65_535
        """What the broker's CONNACK allows in flight; paho never looks at it."""
        self.largest: int | None = None
        """The largest packet that the broker takes, in bytes, where it says so."""
        self.too_large: int | None = None
        """The size of the packet that was too large to be taken, and ended the connection."""
        self.resumed = False
        """Whether the broker had a session under this client id."""
        self._loop = asyncio.get_running_loop()
        self._five = broker.protocol == "5"
        self._events: deque[tuple[Any, ...]] = deque()
        self.woken = asyncio.Event()
        self._fd: int | None = None
        client: mqtt.Client = _bounded(mqtt.Client, self._refuse)(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self._five else session_expiry_s == 0,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages_set(0)  # we count
        client.connect_timeout = CONNECT_WITHIN_S
        client.suppress_exceptions = False
        if will is not None:
            delay = _properties("WILLMESSAGE", WillDelayInterval=WILL_DELAY_S) if self._five else None
            client.will_set(will[0], will[1], qos=1, retain=True, properties=delay)
        client.on_connect = self._on_connect
        client.on_disconnect = lambda _c, _u, _f, code, _p: self._tell("lost", self._reason(code))
        client.on_log = self._on_log
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._tell("subscribed", mid, codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._tell("published", mid, code)
        client.on_message = lambda _c, _u, message: self._tell("message", message)
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_close = lambda _c, _u, _s: self._unwatch()  # before the number is free for others
        self._client = client

    async def open(self) -> None:
        """Connects, up to the broker's yes. OSError says in one line why not."""
        host, port = self._broker.address
        try:
            await _aside(self._read_files, f"files for {host}:{port}")
        except OSError as error:
            raise OSError(describe_error(error)) from error
        except ValueError as error:
            raise OSError(f"broker.password is no text: {error}") from error
        keepalive_s = max(5, int(self._broker.keepalive.total_seconds()))
        try:
            await _aside(lambda: self._connect(host, port, keepalive_s), f"{host}:{port}")
        except (OSError, ValueError) as error:
            raise OSError(self._explain(error)) from error
        sock: Any = self._client.socket()
        if sock is None:
            raise OSError(f"{host}:{port} closed the connection")
        if self._broker.encrypted and datetime.now(UTC) < self._past:
            self._check_time(sock)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT_S * 1000))
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self._readable)
        self._write_soon()
        deadline = time.monotonic() + CONNECT_WITHIN_S
        while (event := await self.event(0.5)) is None or event[0] != "connected":
            if event is not None and event[0] == "lost":
                raise OSError(f"{host}:{port}: {event[1]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{host}:{port} took the connection, but does not speak MQTT")
        if event[1].value == UNSUPPORTED_PROTOCOL:
            raise UnsupportedProtocolError(f"{host}:{port} does not support MQTT {self._broker.protocol}")
        if event[1].is_failure:
            raise OSError(f"{host}:{port} refused: {str(event[1]).lower()}")

    def publish(self, topic: str, body: bytes, qos: int, retain: bool, expires_s: float | None = None) -> int:
        """Hands one message to the wire; the number by which `event` will tell of its acknowledgement."""
        properties = None
        if self._five and expires_s is not None:
            properties = _properties("PUBLISH", MessageExpiryInterval=max(1, int(expires_s)))
        return self._client.publish(topic, body, qos, retain, properties).mid

    def subscribe(self, topics: Sequence[str]) -> int | None:
        """QoS 1. What we publish there ourselves does not come back, where the broker speaks MQTT 5.

        The number by which `event` will tell of its acknowledgement.
        """
        if self._five:
            from paho.mqtt.subscribeoptions import SubscribeOptions

            options = SubscribeOptions(qos=1, noLocal=True)
            return self._client.subscribe([(topic, options) for topic in topics])[1]
        return self._client.subscribe([(topic, 1) for topic in topics])[1]

    def acknowledge(self, message: Any) -> None:
        """Tells the broker that a message down was carried out."""
        self._client.ack(message.mid, message.qos)

    async def event(self, within_s: float) -> tuple[Any, ...] | None:
        """What happened: ("connected" | "lost", reason), ("published", number, reason), ("message", it),
        ("subscribed", number, reasons in the order of the topics)."""
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

    def close(self, *, for_good: bool = True) -> None:
        """Leaves, and forgets the client. Unless ``for_good`` the broker publishes the last will."""
        self._closed = True
        with suppress(Exception):
            if for_good:
                self._client.disconnect()
            elif self._five:
                self._client.disconnect(_reason_code(WITH_WILL))
            self._client.loop_write()
        self._unwatch()
        self._hang_up()

    def _hang_up(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            with suppress(OSError):
                sock.close()

    def _unwatch(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = None

    def _read_files(self) -> None:
        """Password, authorities, certificate and key: a disk may take its time, and so may reading them."""
        broker = self._broker
        if broker.username is not None:
            password = broker.password.read() if broker.password else None
            self._client.username_pw_set(broker.username, password)
        if broker.encrypted:
            self._client.tls_set_context(broker.tls(self._past))

    def _connect(self, host: str, port: int, keepalive_s: int) -> None:
        if self._five:
            clean = self._session_expiry_s == 0
            properties = _properties(
                "CONNECT", SessionExpiryInterval=self._session_expiry_s, MaximumPacketSize=MOST_PACKET
            )
            self._client.connect(host, port, keepalive_s, clean_start=clean, properties=properties)
        else:
            self._client.connect(host, port, keepalive_s)
        if self._closed:  # nobody waited for it: left open, it would hold the session against the next one
            self._hang_up()

    def _on_connect(self, _client: Any, _data: Any, flags: Any, code: Any, properties: Any) -> None:
        self.resumed = bool(flags.session_present)
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        self.largest = getattr(properties, "MaximumPacketSize", None)
        self._tell("connected", code)

    def _on_log(self, _client: Any, _data: Any, level: int, text: str) -> None:
        if level == 0x08:  # MQTT_LOG_ERR: why a socket failed stands nowhere else
            self._error = alert(text) or text.rpartition("] ")[2].lower()

    def _check_time(self, sock: ssl.SSLSocket) -> None:
        """The clock is behind what is certainly past: a certificate must reach beyond that, no more."""
        since, until = validity(sock.getpeercert(binary_form=True) or b"")
        # What was remembered may come of a clock that was set wrong. A clock that is synchronised, and a
        # certificate that is valid by it, outweigh it: else such a device would never connect again.
        agreed = kernel_clock()[0] and since <= datetime.now(UTC) <= until
        if until < self._past and not agreed:
            host, port = self._broker.address
            raise OSError(f"{host}:{port}: its certificate has expired, on {until:%Y-%m-%d}")

    def _wants_to_write(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._write_soon)

    def _tell(self, *event: Any) -> None:
        self._events.append(event)
        self.woken.set()

    def _readable(self) -> None:
        sock = self._client.socket()
        while sock is not None:
            try:
                code = self._client.loop_read()
            except MemoryError:  # it would come again with each byte
                self._error = "no memory for what the broker sends"
                self._lost(1)
                return
            if code:
                self._lost(code)
                return
            pending = getattr(sock, "pending", None)
            if pending is None or not pending():
                return
            sock = self._client.socket()

    def _refuse(self, size: int) -> None:
        """Called before a packet is read. OSError where it is too large."""
        if size > MOST_PACKET:
            self.too_large = size
            raise OSError(f"the broker sent {size} bytes at once; {MOST_PACKET} are the most that is taken")

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
        self.died = code == mqtt.MQTT_ERR_KEEPALIVE or "timed out" in self._error
        self._tell("lost", self._error or mqtt.error_string(code))

    def _reason(self, code: Any) -> str:
        """Why a connection ended; where the broker said nothing, that it closed it."""
        if code.value == SESSION_TAKEN_OVER:
            return f"another device connected under the name {self._client_id!r}"
        text = self._error or str(code).lower()
        return "closed by the broker" if text == "unspecified error" else text

    def _explain(self, error: Exception) -> str:
        """Why a connection failed, in one line for a technician."""
        host, port = self._broker.address
        where = f"{host}:{port}"
        if isinstance(error, ssl.SSLError):
            return f"{where}: {explain(error, host, self._broker.ca, datetime.now(UTC))}"
        if isinstance(error, socket.gaierror):
            return f"the name {host} is not found"
        if isinstance(error, ConnectionRefusedError):
            return f"{where} refused: no broker listens there"
        if isinstance(error, TimeoutError):
            return f"{where} does not answer"
        if isinstance(error, OSError) and error.filename:
            return f"{error.filename}: {error.strerror}"
        return f"{where}: {getattr(error, 'strerror', None) or error}"
