"""An MQTT broker in the loop of the run: 5 and 3.1.1, QoS 0 and 1, and as unkind as it is told to be.

See docs/decisions/0062-broker-in-the-loop.md.
"""

import asyncio
import contextvars
import random
import socket
from collections.abc import Callable
from typing import TypeAlias

from simulators.virtual import mqtt_packets as mqtt
from simulators.virtual.broker_connection import BrokerConnection
from simulators.virtual.broker_session import FOR_EVER_S, Session
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.message_router import Router
from simulators.virtual.mqtt_packets import Publish
from simulators.virtual.network import CUTS, Cut, Route, VirtualSocket, lost_error
from simulators.virtual.unkindness import LATE_WILL_S, QUOTA_EXCEEDED, SERVER_UNAVAILABLE, Unkindness

SHUTTING_DOWN, TAKEN_OVER, UNSUPPORTED, BAD_CLIENT_ID, NOT_AUTHORIZED = 0x8B, 0x8E, 0x84, 0x85, 0x87
OnPublish: TypeAlias = Callable[[str, Publish], None]
"""Called with the name of the publisher's route and each message that the broker takes."""


class VirtualBroker:
    """``receive_maximum``: publications of one client that it takes ahead of their PUBACK.
    ``most_waiting``: messages that it keeps for one client."""

    def __init__(
        self, loop: VirtualLoop, seed: int = 0, *, receive_maximum: int = 20, most_waiting: int = 100_000
    ) -> None:
        self.loop = loop
        self.receive_maximum = receive_maximum
        self.most_waiting = most_waiting
        self.unkind = Unkindness(seed)
        self.down = False
        self.connections: dict[BrokerConnection, None] = {}
        self.sessions: dict[str, Session] = {}
        self.router = Router(loop, most_waiting)
        self.routes: dict[str, Route] = {}
        self._listeners: list[OnPublish] = []
        self._seed = seed
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._slow_until_s: dict[str, float] = {}
        self._context = contextvars.copy_context()

    def route(self, name: str) -> Route:
        """The way from the device ``name``."""
        if name not in self.routes:
            seeded = random.Random(f"{self._seed}/route/{name}")
            self.routes[name] = Route(self.loop, name, seeded)
        return self.routes[name]

    def listen(self, listener: OnPublish) -> None:
        self._listeners.append(listener)

    # The network

    def accept(self, sock: socket.socket, route: Route, far_end: VirtualSocket) -> None:
        if self.down:
            route.struck["down"] += 1
            raise ConnectionRefusedError(111, "Connection refused")
        connection = self._context.copy().run(BrokerConnection, self, sock, route, far_end)
        self.connections[connection] = None

    def set_down(self, down: bool) -> None:
        """Connections end, and new ones are refused. Sessions and retained messages stay."""
        self.down = down
        if down:
            self._close_all("down", with_will=True)

    def restart(self, *, keep_sessions: bool) -> None:
        """Without sessions also the retained messages are gone, as without a database."""
        self._close_all("restart", with_will=keep_sessions)
        self.down = False
        if not keep_sessions:
            for session in list(self.sessions.values()):
                self._end_session(session)
            self.router.retained.clear()
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    def _close_all(self, how: str, *, with_will: bool) -> None:
        for connection in list(self.connections):
            connection.route.struck[how] += 1
            connection.close(SHUTTING_DOWN, with_will=with_will)

    def cut(self, device: str, how: str) -> None:
        """ValueError for an unknown kind."""
        kinds: dict[str, Cut] = {one: one for one in CUTS}
        if how not in kinds:
            raise ValueError(f"unknown cut {how!r}; known: {', '.join(CUTS)}")
        route = self.route(device)
        if how != "half_open":
            for connection in self._of(device):
                route.struck[how] += 1
                if how == "unreachable":
                    connection.fall_silent(lost_error(kinds[how]))
                else:
                    code = NOT_AUTHORIZED if how == "auth_revoked" else None
                    connection.close(code, failure=lost_error(kinds[how]))
        route.cut = kinds[how]

    def fall_silent(self, device: str) -> None:
        """The device lost its power: its connections stay open here, and nothing comes any more."""
        for connection in self._of(device):
            connection.fall_silent()

    def _of(self, device: str) -> list[BrokerConnection]:
        return [one for one in self.connections if one.route.name == device]

    def struck(self, how: str, device: str | None = None) -> int:
        """How often a fault struck, of one device or of all."""
        if device is not None:
            return self.route(device).struck[how]
        return sum(route.struck[how] for route in self.routes.values())

    def mend(self, device: str) -> None:
        self.route(device).mend()

    def set_unkind(self, how: str, chance: float) -> None:
        self.unkind.set(how, chance)

    def shape(
        self,
        device: str,
        *,
        latency_s: float = 0.0,
        jitter_s: float = 0.0,
        bytes_per_s: float | None = None,
        slice_bytes: int | None = None,
    ) -> None:
        """``slice_bytes``: no more arrive at once. The defaults end it."""
        route = self.route(device)
        route.latency_s, route.jitter_s = latency_s, jitter_s
        route.bytes_per_s, route.slice_bytes = bytes_per_s, slice_bytes

    # Clients

    def connect(self, connection: BrokerConnection, wanted: mqtt.Connect) -> tuple[int, bool]:
        """The reason code of the CONNACK, and whether a session is resumed; sets the session."""
        if wanted.level not in (4, mqtt.V5):
            return UNSUPPORTED, False
        route = connection.route
        if route.cut == "auth_revoked":
            route.struck[route.cut] += 1
            return NOT_AUTHORIZED, False
        if self.unkind.happens("refuse", route.struck):
            return SERVER_UNAVAILABLE, False
        if not wanted.client_id:
            return BAD_CLIENT_ID, False
        for other in [
            one for one in self.connections if one.session and one.session.client_id == wanted.client_id
        ]:
            other.close(TAKEN_OVER)
        self._cancel("will", wanted.client_id)
        self._cancel("session", wanted.client_id)
        if wanted.level == mqtt.V5:
            expiry_s = int(wanted.properties.get(mqtt.SESSION_EXPIRY, 0))
        else:
            expiry_s = 0 if wanted.clean else FOR_EVER_S
        known = self.sessions.get(wanted.client_id)
        if known is not None and wanted.clean:
            self._end_session(known)
            known = None
        session = known or Session(wanted.client_id, expiry_s)
        session.expiry_s = expiry_s
        session.receive_maximum = int(wanted.properties.get(mqtt.RECEIVE_MAXIMUM, 65_535))
        self.sessions[wanted.client_id] = session
        connection.session, connection.will = session, wanted.will
        return 0, known is not None

    def on_closed(self, connection: BrokerConnection, *, with_will: bool) -> None:
        """A connection has ended."""
        self.connections.pop(connection, None)
        session, will = connection.session, connection.will
        if session is None:
            return
        session.disconnected()
        if with_will and will is not None:
            delay_s = min(int(will.properties.get(mqtt.WILL_DELAY, 0)), session.expiry_s)
            if self.unkind.happens("late_will", connection.route.struck):
                self.loop.call_later(delay_s + LATE_WILL_S, self._publish_will, will, connection)
            elif delay_s:
                self._later("will", session.client_id, delay_s, lambda: self._publish_will(will, connection))
            else:
                self._publish_will(will, connection)
        if session.expiry_s == 0:
            self._end_session(session)
        elif session.expiry_s != FOR_EVER_S:
            self._later("session", session.client_id, session.expiry_s, lambda: self._end_session(session))

    def _publish_will(self, will: Publish, connection: BrokerConnection) -> None:
        properties = {key: value for key, value in will.properties.items() if key != mqtt.WILL_DELAY}
        self._take(
            Publish(will.topic, will.payload, will.qos, will.retain, properties=properties), connection
        )

    def _end_session(self, session: Session) -> None:
        for name in list(session.subscriptions):
            self.router.unsubscribe(session, name)
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        for delivery in (*session.in_flight.values(), *session.waiting):
            if delivery.group:  # another member of the group gets it
                self.router.offer_shared(delivery.group, delivery.message, delivery.qos)

    # Messages

    def publish(self, message: Publish, connection: BrokerConnection) -> int | None:
        """Takes a message of a client; the code of its PUBACK, None for none."""
        if self.unkind.happens("quota", connection.route.struck):
            return QUOTA_EXCEEDED if connection.level == mqtt.V5 else None
        if self.unkind.happens("drop_after_acknowledgement", connection.route.struck):
            return 0
        name, now_s = connection.route.name, self.loop.now_s
        until_s = self._slow_until_s.get(name, 0.0)
        if self.unkind.happens("reorder", connection.route.struck):
            until_s = max(until_s, now_s) + self.unkind.delay_s()
            self._slow_until_s[name] = until_s
        if until_s > now_s:
            self.loop.call_at(until_s, self._take, message, connection)
        else:
            self._take(message, connection)
        return 0

    def inject(self, message: Publish, client_id: str) -> None:
        """A message of a client in the run that needs no connection."""
        self._hand_on(message, client_id, client_id)

    def _take(self, message: Publish, connection: BrokerConnection) -> None:
        publisher = connection.session.client_id if connection.session else ""
        self._hand_on(message, connection.route.name, publisher)

    def _hand_on(self, message: Publish, route: str, publisher: str) -> None:
        """Tells the listeners, retains it, and hands it on."""
        if (expiry_s := message.properties.get(mqtt.EXPIRY)) is not None:
            message.expires_s = self.loop.now_s + expiry_s
        for listener in self._listeners:
            listener(route, message)
        self.router.hand_on(message, publisher)

    def _later(self, kind: str, client_id: str, seconds: float, work: Callable[[], None]) -> None:
        self._cancel(kind, client_id)

        def due() -> None:
            self._timers.pop((kind, client_id), None)
            work()

        self._timers[kind, client_id] = self.loop.call_later(seconds, due, context=self._context)

    def _cancel(self, kind: str, client_id: str) -> None:
        if (timer := self._timers.pop((kind, client_id), None)) is not None:
            timer.cancel()
