"""One MQTT connection, without any policy: the only file that imports paho, beside `paho_packets`.

paho is used as a packet pipe (docs/decisions/0003): a new client for each connection, on the agent's event
loop; it neither queues nor reconnects, and its callbacks only append events.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from agent.host.clock import NEVER_BEFORE, monotonic_s, utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.connect_errors import check_certificate_time, describe_connect_error
from agent.mqtt.connect_threads import run_in_thread
from agent.mqtt.paho_packets import (
    MOST_PACKET,
    disconnect_reason,
    missing_features,
    packet_client,
    packet_properties,
)
from agent.mqtt.peer import peer_of
from agent.mqtt.refusals import (
    MOST_REFERENCE,
    UNSUPPORTED_PROTOCOL,
    UnsupportedProtocolError,
    end_reason,
    refusal,
)
from agent.mqtt.tls import alert_text
from agent.runtime.error_text import describe_error

CONNECT_WITHIN_S = 10.0
USER_TIMEOUT_S = 20.0
"""The kernel ends a connection whose bytes stay unacknowledged for so long (TCP_USER_TIMEOUT)."""
SESSION_EXPIRY_S = 7 * 24 * 3600
WILL_DELAY_S = 5
"""The broker does not publish the last will of a device that reconnects within this time."""
SHARED = "$share/"
"""A shared subscription begins with this; `noLocal` is not allowed there."""
WITH_WILL = 0x04


class Connection:
    """paho behind six methods: open, publish, subscribe, acknowledge, event, close. Opened once only."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        will: tuple[str, bytes] | None,
        past: datetime = NEVER_BEFORE,
        *,
        session_expiry_s: int = SESSION_EXPIRY_S,
        receive_most: int = 65_535,
        will_delay_s: int = WILL_DELAY_S,
    ) -> None:
        """``session_expiry_s``: 0 for a clean start and a session that ends with the connection.
        ``receive_most``: how many messages MQTT 5 sends ahead of their acknowledgement."""
        self._broker = broker
        self._client_id = client_id
        self._past = past
        self._session_expiry_s = session_expiry_s
        self._receive_most = receive_most
        self._error = ""
        self._closed = False
        self.died = False
        """Whether the link went silent: neither end closed the connection."""
        self.receive_maximum = 65_535
        """What the broker's CONNACK allows in flight; paho ignores it."""
        self.largest: int | None = None
        """The largest packet that the broker takes, in bytes; None where it names no limit."""
        self.oversized_bytes: int | None = None
        """The size of the packet that was larger than `MOST_PACKET`, and ended the connection."""
        self.ended: int | None = None
        """The reason code with which the connection ended."""
        self.reference = ""
        """The broker that this one refers to."""
        self.missing: list[str] = []  # see `missing_features`
        self.resumed = False
        """Whether the broker had a session under this client id."""
        self.peer: dict[str, str] = {}  # see `peer_of`
        self._loop = asyncio.get_running_loop()
        self.mqtt5 = broker.protocol == "5"
        self._events: deque[tuple[Any, ...]] = deque()
        self.woken = asyncio.Event()
        self._fd: int | None = None
        clean = session_expiry_s == 0
        client = packet_client(client_id, self._refuse, CONNECT_WITHIN_S, mqtt5=self.mqtt5, clean=clean)
        if will is not None:
            delay = packet_properties("WILLMESSAGE", WillDelayInterval=will_delay_s) if self.mqtt5 else None
            client.will_set(will[0], will[1], qos=1, retain=True, properties=delay)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._add_event("subscribed", mid, codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._add_event("published", mid, code)
        client.on_message = lambda _c, _u, message: self._add_event("message", message)
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_close = lambda _c, _u, _s: self._unwatch()  # before the number is free for others
        self._client = client

    async def open(self) -> None:
        """Connects, up to the CONNACK. OSError names the reason in one line."""
        host, port = self._broker.address
        try:
            await run_in_thread(self._read_files, f"files for {host}:{port}")
        except OSError as error:
            raise OSError(describe_error(error)) from error
        except ValueError as error:
            raise OSError(f"broker.password is not UTF-8 text: {error}") from error
        keepalive_s = max(5, int(self._broker.keepalive.total_seconds()))
        try:
            await run_in_thread(lambda: self._connect(host, port, keepalive_s), f"{host}:{port}")
        except (OSError, ValueError) as error:
            raise OSError(describe_connect_error(error, self._broker)) from error
        sock: Any = self._client.socket()
        if sock is None:
            raise OSError(f"{host}:{port} closed the connection")
        self.peer = peer_of(sock)
        if self._broker.encrypted and utc_now() < self._past:
            check_certificate_time(sock.getpeercert(binary_form=True) or b"", self._past, self._broker)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT_S * 1000))
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self._readable)
        self._write_soon()
        deadline = monotonic_s() + CONNECT_WITHIN_S
        while (event := await self.event(0.5)) is None or event[0] != "connected":
            if event is not None and event[0] == "lost":
                raise OSError(f"{host}:{port}: {event[1]}")
            if monotonic_s() > deadline:
                raise TimeoutError(f"{host}:{port} took the connection, but does not speak MQTT")
        if event[1].value == UNSUPPORTED_PROTOCOL:
            raise UnsupportedProtocolError(f"{host}:{port} does not support MQTT {self._broker.protocol}")
        if event[1].is_failure:
            raise refusal(f"{host}:{port} refused: {str(event[1]).lower()}", event[1].value, self.reference)

    def publish(self, topic: str, body: bytes, qos: int, retain: bool, expires_s: float | None = None) -> int:
        """Sends one message; the packet id with which `event` reports its acknowledgement."""
        properties = None
        if self.mqtt5 and expires_s is not None:
            properties = packet_properties("PUBLISH", MessageExpiryInterval=max(1, int(expires_s)))
        return self._client.publish(topic, body, qos, retain, properties).mid

    def subscribe(self, topics: Sequence[str]) -> int | None:
        """Subscribes with QoS 1. With MQTT 5 our own messages there do not come back, but by a shared
        subscription.

        The result is the packet id with which `event` reports its acknowledgement.
        """
        if self.mqtt5:
            from paho.mqtt.subscribeoptions import SubscribeOptions

            options = [
                (topic, SubscribeOptions(qos=1, noLocal=not topic.startswith(SHARED))) for topic in topics
            ]
            return self._client.subscribe(options)[1]
        return self._client.subscribe([(topic, 1) for topic in topics])[1]

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ends subscriptions that an earlier connection of the session may have made."""
        self._client.unsubscribe(list(topics))

    def acknowledge(self, message: Any) -> None:
        """Tells the broker that a message down was handled."""
        self._client.ack(message.mid, message.qos)

    async def event(self, within_s: float) -> tuple[Any, ...] | None:
        """The next event, or None: ("connected" | "lost", reason), ("published", packet id, reason),
        ("message", message of paho), ("subscribed", packet id, reasons in the order of the topics)."""
        if not self._events:
            self.woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.woken.wait()
            self._misc()
        return self._events.popleft() if self._events else None

    def pending(self) -> bool:
        """Whether `event` would return at once."""
        return bool(self._events)

    def close(self, *, with_will: bool = False, session_expiry_s: int | None = None) -> None:
        """Disconnects. ``with_will``: the broker publishes the last will. ``session_expiry_s`` (MQTT 5): for
        how long the broker keeps the session from now on."""
        self._closed = True
        with suppress(Exception):
            if not with_will and self.mqtt5 and session_expiry_s is not None:
                expiry = packet_properties("DISCONNECT", SessionExpiryInterval=session_expiry_s)
                self._client.disconnect(properties=expiry)
            elif not with_will:
                self._client.disconnect()
            elif self.mqtt5:
                self._client.disconnect(disconnect_reason(WITH_WILL))
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
        """Reads password, CA, certificate and key: blocking, and a disk may be slow."""
        broker = self._broker
        if broker.username is not None:
            password = broker.password.read() if broker.password else None
            self._client.username_pw_set(broker.username, password)
        if broker.encrypted:
            self._client.tls_set_context(broker.tls(self._past))

    def _connect(self, host: str, port: int, keepalive_s: int) -> None:
        if self.mqtt5:
            clean = self._session_expiry_s == 0
            properties = packet_properties(
                "CONNECT", SessionExpiryInterval=self._session_expiry_s, MaximumPacketSize=MOST_PACKET,
                ReceiveMaximum=self._receive_most,
            )  # fmt: skip
            self._client.connect(host, port, keepalive_s, clean_start=clean, properties=properties)
        else:
            self._client.connect(host, port, keepalive_s)
        if self._closed:  # closed meanwhile: left open, it would take the session from the next connection
            self._hang_up()

    def _on_connect(self, _client: Any, _data: Any, flags: Any, code: Any, properties: Any) -> None:
        self.resumed = bool(flags.session_present)
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        self.largest = getattr(properties, "MaximumPacketSize", None)
        self.missing = missing_features(properties, self._session_expiry_s)
        self.reference = str(getattr(properties, "ServerReference", ""))[:MOST_REFERENCE]
        self._add_event("connected", code)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        self.ended = code.value
        self.reference = str(getattr(properties, "ServerReference", self.reference))[:MOST_REFERENCE]
        self._add_event("lost", end_reason(code, self._client_id, self._error))

    def _on_log(self, _client: Any, _data: Any, level: int, text: str) -> None:
        if level == 0x08:  # MQTT_LOG_ERR: the only place with the reason why a socket failed
            self._error = alert_text(text) or text.rpartition("] ")[2].lower()

    def _wants_to_write(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._write_soon)

    def _add_event(self, *event: Any) -> None:
        self._events.append(event)
        self.woken.set()

    def _readable(self) -> None:
        sock = self._client.socket()
        while sock is not None:
            try:
                code = self._client.loop_read()
            except MemoryError:  # it would be raised again with each byte
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
        """Called before a packet is read. OSError where it is larger than `MOST_PACKET`."""
        if size > MOST_PACKET:
            self.oversized_bytes = size
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
        self._add_event("lost", self._error or mqtt.error_string(code))
