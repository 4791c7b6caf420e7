"""An MQTT broker in the loop of the run: 5 and 3.1.1, QoS 0 and 1, and as unkind as it is told to be.

See docs/decisions/0062-broker-in-the-loop.md.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from typing import TypeAlias

from simulators.virtual import mqtt_packets as mqtt
from simulators.virtual.broker_connection import BrokerConnection
from simulators.virtual.broker_network import SHUTTING_DOWN, BrokerNetwork
from simulators.virtual.broker_session import FOR_EVER_S, Delivery, Session
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.mqtt_packets import Publish
from simulators.virtual.topic_filters import FilterTree, is_valid, matches, split_share
from simulators.virtual.unkindness import LATE_WILL_S, QUOTA_EXCEEDED, SERVER_UNAVAILABLE

TAKEN_OVER, UNSUPPORTED, BAD_CLIENT_ID = 0x8E, 0x84, 0x85
BAD_FILTER = 0x8F
NO_SUBSCRIPTION = 0x11
OnPublish: TypeAlias = Callable[[str, Publish], None]
"""Called with the name of the publisher's route and each message that the broker takes."""


class VirtualBroker(BrokerNetwork):
    """``receive_maximum``: publications of one client that it takes ahead of their PUBACK.
    ``most_waiting``: messages that it keeps for one client."""

    def __init__(
        self, loop: VirtualLoop, seed: int = 0, *, receive_maximum: int = 20, most_waiting: int = 100_000
    ) -> None:
        super().__init__(loop, seed)
        self.receive_maximum = receive_maximum
        self.most_waiting = most_waiting
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, Publish] = {}
        self._listeners: list[OnPublish] = []
        self._tree: FilterTree[tuple[str, str], tuple[Session, mqtt.Subscription]] = FilterTree()
        self._turns: dict[str, int] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._slow_until_s: dict[str, float] = {}
        self._context = contextvars.copy_context()

    def listen(self, listener: OnPublish) -> None:
        self._listeners.append(listener)

    def restart(self, *, keep_sessions: bool) -> None:
        """Without sessions also the retained messages are gone, as without a database."""
        for connection in list(self.connections):
            self.note("restart", connection.route)
            connection.close(SHUTTING_DOWN, with_will=keep_sessions)
        self.down = False
        if not keep_sessions:
            for session in list(self.sessions.values()):
                self._end_session(session)
            self.retained.clear()
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    # Clients

    def connect(self, connection: BrokerConnection, wanted: mqtt.Connect) -> tuple[int, bool]:
        """The reason code of the CONNACK, and whether a session is resumed; sets the session."""
        if wanted.level not in (4, mqtt.V5):
            return UNSUPPORTED, False
        if code := self.refusal(connection.route):
            return code, False
        if self.unkind.happens("refuse"):
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
            if self.unkind.happens("late_will"):
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
            self.unsubscribe(session, name)
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        for delivery in (*session.in_flight.values(), *session.waiting):
            if delivery.group:  # another member of the group gets it
                self._offer_shared(delivery.group, delivery.message, delivery.qos)

    def subscribe(
        self, session: Session, wanted: Iterable[mqtt.Subscription]
    ) -> tuple[list[int], list[Delivery]]:
        """The codes of the SUBACK, and the retained messages that follow it."""
        codes, retained = [], []
        for one in wanted:
            if not is_valid(one.topic_filter):
                codes.append(BAD_FILTER)
                continue
            group, plain = split_share(one.topic_filter)
            new = self._tree.add(plain, (group, session.client_id), (session, one))
            session.subscriptions[one.topic_filter] = one
            qos = min(one.qos, 1)
            codes.append(qos)
            if not group and (one.retained == 0 or (one.retained == 1 and new)):
                retained += [
                    Delivery(_copy(message), min(qos, message.qos), retain=True)
                    for topic, message in self.retained.items()
                    if matches(plain, topic) and not self._expired(message)
                ]
        return codes, retained

    def unsubscribe(self, session: Session, name: str) -> int:
        group, plain = split_share(name)
        session.subscriptions.pop(name, None)
        return 0 if self._tree.remove(plain, (group, session.client_id)) else NO_SUBSCRIPTION

    # Messages

    def publish(self, message: Publish, connection: BrokerConnection) -> int | None:
        """Takes a message of a client; the code of its PUBACK, None for none."""
        if self.unkind.happens("quota"):
            return QUOTA_EXCEEDED if connection.level == mqtt.V5 else None
        if self.unkind.happens("drop_after_acknowledgement"):
            return 0
        name, now_s = connection.route.name, self.loop.now_s
        until_s = self._slow_until_s.get(name, 0.0)
        if self.unkind.happens("reorder"):
            until_s = max(until_s, now_s) + self.unkind.delay_s()
            self._slow_until_s[name] = until_s
        if until_s > now_s:
            self.loop.call_at(until_s, self._take, message, connection)
        else:
            self._take(message, connection)
        return 0

    def _take(self, message: Publish, connection: BrokerConnection) -> None:
        """Retains and hands on one message."""
        if (expiry_s := message.properties.get(mqtt.EXPIRY)) is not None:
            message.expires_s = self.loop.now_s + expiry_s
        for listener in self._listeners:
            listener(connection.route.name, message)
        if message.retain:
            if message.payload:
                self.retained[message.topic] = _copy(message)
            else:
                self.retained.pop(message.topic, None)
        plain: dict[str, tuple[Session, int, bool]] = {}
        groups: dict[str, None] = {}
        publisher = connection.session.client_id if connection.session else ""
        for (group, client_id), (session, one) in self._tree.find(message.topic):
            if group:
                groups[group] = None
            elif not (one.no_local and client_id == publisher):
                _, qos, kept = plain.get(client_id, (session, 0, False))
                plain[client_id] = session, max(qos, one.qos), kept or one.as_published
        for session, qos, as_published in plain.values():
            delivery = Delivery(_copy(message), min(qos, message.qos), retain=message.retain and as_published)
            session.offer(delivery, self.loop.now_s, self.most_waiting)
        for group in groups:
            self._offer_shared(group, message, message.qos)

    def _offer_shared(self, group: str, message: Publish, qos: int) -> None:
        """Gives it to the next member of the group, one that is connected where there is one."""
        members = [found for (one, _), found in self._tree.find(message.topic) if one == group]
        if not members:
            return
        members = [found for found in members if found[0].send is not None] or members
        turn = self._turns[group] = self._turns.get(group, -1) + 1
        session, wanted = members[turn % len(members)]
        delivery = Delivery(_copy(message), min(qos, wanted.qos), group=group)
        session.offer(delivery, self.loop.now_s, self.most_waiting)

    def _expired(self, message: Publish) -> bool:
        return message.expires_s is not None and message.expires_s <= self.loop.now_s

    def _later(self, kind: str, client_id: str, seconds: float, work: Callable[[], None]) -> None:
        self._cancel(kind, client_id)

        def due() -> None:
            self._timers.pop((kind, client_id), None)
            work()

        self._timers[kind, client_id] = self.loop.call_later(seconds, due, context=self._context)

    def _cancel(self, kind: str, client_id: str) -> None:
        if (timer := self._timers.pop((kind, client_id), None)) is not None:
            timer.cancel()


def _copy(message: Publish) -> Publish:
    """For one receiver: its expiry is its own."""
    return Publish(
        message.topic, message.payload, message.qos, message.retain,
        properties=dict(message.properties), expires_s=message.expires_s,
    )  # fmt: skip
