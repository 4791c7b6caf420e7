"""One connection at the broker: its socket, its packets, its keepalive."""

import socket
from contextlib import suppress
from typing import Protocol

from simulators.virtual import mqtt_answers as answers
from simulators.virtual import mqtt_packets as mqtt
from simulators.virtual.broker_session import Delivery, Session
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.message_router import Router
from simulators.virtual.network import Pipe, Route, VirtualSocket

CONNECT_WITHIN_S = 30.0
READ_SIZE = 65_536
NORMAL, WITH_WILL = 0x00, 0x04
PROTOCOL_ERROR, KEEPALIVE_TIMEOUT, QOS_NOT_SUPPORTED = 0x82, 0x8D, 0x9B


class Sessions(Protocol):
    """The broker behind the connections."""

    loop: VirtualLoop
    router: Router
    receive_maximum: int
    most_waiting: int

    def connect(self, connection: "BrokerConnection", wanted: mqtt.Connect) -> tuple[int, bool]:
        """The reason code of the CONNACK, and whether a session is resumed; sets the session."""

    def on_closed(self, connection: "BrokerConnection", *, with_will: bool) -> None: ...
    def publish(self, message: mqtt.Publish, connection: "BrokerConnection") -> int | None:
        """Takes a message of a client; the code of its PUBACK, None for none."""


class BrokerConnection:
    """Between a socket and the broker's sessions."""

    def __init__(self, broker: "Sessions", sock: socket.socket, route: Route, far_end: VirtualSocket) -> None:
        self.route = route
        self.session: Session | None = None
        self.will: mqtt.Publish | None = None
        self.level = mqtt.V5
        self._broker = broker
        self._loop = broker.loop
        self._sock = sock
        self._far_end = far_end
        self._in, self._out = Pipe(route, self._received), Pipe(route, self._write)
        self._buffer, self._unsent = bytearray(), bytearray()
        self._keepalive_s = CONNECT_WITHIN_S
        self._last_s = self._loop.now_s
        self._open = True
        self._loop.add_reader(sock, self._readable)
        self._timer = self._loop.call_later(CONNECT_WITHIN_S, self._check_keepalive)

    def send(self, data: bytes) -> None:
        if self._open:
            self._out.send(data)

    def deliver(self, delivery: Delivery, packet_id: int) -> None:
        self.send(
            answers.write_publish(
                delivery.message,
                packet_id,
                delivery.qos,
                self.level,
                retain=delivery.retain,
                repeated=delivery.repeated,
            )
        )

    def close(
        self, code: int | None = None, *, failure: OSError | None = None, with_will: bool = True
    ) -> None:
        """Ends the connection. ``code``: of a DISCONNECT before (MQTT 5). ``failure``: what the client finds
        instead of an orderly end."""
        if not self._open:
            return
        if code is not None and self.level == mqtt.V5:
            self.send(answers.write_disconnect(code))
        self._open = False
        self._in.close()
        self._out.close()
        self._timer.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._far_end.failure = failure
            self._sock.close()
        self._broker.on_closed(self, with_will=with_will)

    def fall_silent(self, failure: OSError | None = None) -> None:
        """The client is gone, and nothing says so here: the keepalive finds it. ``failure``: what the client
        finds."""
        if self._sock.fileno() < 0:
            return  # it fell silent before
        self._far_end.failure = failure
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._in.close()
        self._out.close()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._in.send(data)
        elif self.route.swallows:
            self.fall_silent()
        else:
            self.close()

    def _received(self, data: bytes) -> None:
        self._buffer += data
        self._last_s = self._loop.now_s
        try:
            for first, content in mqtt.split_packets(self._buffer):
                if self._open:
                    self._handle(first, content)
        except mqtt.MalformedError:
            self.close(PROTOCOL_ERROR)

    def _handle(self, first: int, content: bytes) -> None:
        kind, broker, level = first >> 4, self._broker, self.level
        if self.session is None:
            if kind != mqtt.CONNECT:
                raise mqtt.MalformedError("no CONNECT")
            self._connect(mqtt.read_connect(content))
            return
        now_s = self._loop.now_s
        match kind:
            case mqtt.PUBLISH:
                self._published(mqtt.read_publish(first, content, level))
            case mqtt.PUBACK:
                self.session.acknowledge(int.from_bytes(content[:2]), now_s)
            case mqtt.SUBSCRIBE:
                packet_id, wanted = mqtt.read_subscribe(content, level)
                codes, retained = broker.router.subscribe(self.session, wanted)
                self.send(answers.write_suback(packet_id, codes, level))
                for delivery in retained:
                    self.session.offer(delivery, now_s, broker.most_waiting)
            case mqtt.UNSUBSCRIBE:
                packet_id, names = mqtt.read_unsubscribe(content, level)
                codes = [broker.router.unsubscribe(self.session, name) for name in names]
                self.send(answers.write_unsuback(packet_id, codes, level))
            case mqtt.PINGREQ:
                self.send(answers.packet(mqtt.PINGRESP << 4, b""))
            case mqtt.DISCONNECT:
                self._disconnect(content)
            case _:
                raise mqtt.MalformedError(f"packet {kind} from a client")

    def _connect(self, wanted: mqtt.Connect) -> None:
        self.level = wanted.level
        code, resumed = self._broker.connect(self, wanted)
        if code:
            level = self.level if self.level in (4, mqtt.V5) else 4
            self.send(answers.write_connack(level, code if level == mqtt.V5 else _old_code(code)))
            self.close(with_will=False)
            return
        assert self.session is not None  # noqa: S101  `Sessions.connect` has set it
        self._keepalive_s = wanted.keepalive_s * 1.5
        self._timer.cancel()
        if self._keepalive_s:
            self._timer = self._loop.call_later(self._keepalive_s, self._check_keepalive)
        properties = {mqtt.RECEIVE_MAXIMUM: self._broker.receive_maximum, mqtt.MOST_QOS: 1}
        self.send(answers.write_connack(self.level, 0, resumed=resumed, properties=properties))
        self.session.send = self.deliver
        self.session.pump(self._loop.now_s)

    def _published(self, message: mqtt.Publish) -> None:
        if message.qos > 1:
            self.close(QOS_NOT_SUPPORTED)
            return
        code = self._broker.publish(message, self)
        if message.qos and code is not None:
            self.send(answers.write_puback(message.packet_id, code, self.level))

    def _disconnect(self, content: bytes) -> None:
        reader, code = mqtt.Reader(content), NORMAL
        if reader.rest:
            code = reader.number(1)
            properties = reader.properties() if reader.rest else {}
            if self.session is not None and mqtt.SESSION_EXPIRY in properties:
                self.session.expiry_s = properties[mqtt.SESSION_EXPIRY]
        self.close(with_will=code == WITH_WILL)

    def _check_keepalive(self) -> None:
        due_s = self._last_s + self._keepalive_s
        if self._loop.now_s >= due_s:
            self.close(KEEPALIVE_TIMEOUT)
        else:
            self._timer = self._loop.call_at(due_s, self._check_keepalive)

    def _write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the reader finds the end
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._sock, self._writable)

    def _writable(self) -> None:
        with suppress(BlockingIOError, OSError):
            sent = self._sock.send(self._unsent)
            del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._sock)


def _old_code(code: int) -> int:
    """The return code of 3.1.1 for a reason of MQTT 5."""
    return {0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}.get(code, 3)
