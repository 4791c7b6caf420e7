"""Who gets a message: subscriptions, plain and shared, and retained messages."""

from collections.abc import Iterable

from simulators.virtual import mqtt_packets as mqtt
from simulators.virtual.broker_session import Delivery, Session
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.mqtt_packets import Publish
from simulators.virtual.topic_filters import FilterTree, is_valid, matches, split_share

BAD_FILTER, NO_SUBSCRIPTION = 0x8F, 0x11


class Router:
    """``most_waiting``: messages that it keeps for one client."""

    def __init__(self, loop: VirtualLoop, most_waiting: int) -> None:
        self.retained: dict[str, Publish] = {}
        self._loop = loop
        self._most_waiting = most_waiting
        self._tree: FilterTree[tuple[str, str], tuple[Session, mqtt.Subscription]] = FilterTree()
        self._turns: dict[str, int] = {}

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
            if group and one.no_local:
                raise mqtt.MalformedError("a shared subscription without its own messages")
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

    def hand_on(self, message: Publish, publisher: str) -> None:
        """Retains a message, and offers it to all who want it; ``publisher`` is a client id."""
        if message.retain:
            if message.payload:
                self.retained[message.topic] = _copy(message)
            else:
                self.retained.pop(message.topic, None)
        plain: dict[str, tuple[Session, int, bool]] = {}
        groups: dict[str, None] = {}
        for (group, client_id), (session, one) in self._tree.find(message.topic):
            if group:
                groups[group] = None
            elif not (one.no_local and client_id == publisher):
                _, qos, kept = plain.get(client_id, (session, 0, False))
                plain[client_id] = session, max(qos, one.qos), kept or one.as_published
        for session, qos, as_published in plain.values():
            delivery = Delivery(_copy(message), min(qos, message.qos), retain=message.retain and as_published)
            session.offer(delivery, self._loop.now_s, self._most_waiting)
        for group in groups:
            self.offer_shared(group, message, message.qos)

    def offer_shared(self, group: str, message: Publish, qos: int) -> None:
        """Gives it to the next member of the group, one that is connected where there is one."""
        members = [found for (one, _), found in self._tree.find(message.topic) if one == group]
        if not members:
            return
        members = [found for found in members if found[0].send is not None] or members
        turn = self._turns[group] = self._turns.get(group, -1) + 1
        session, wanted = members[turn % len(members)]
        delivery = Delivery(_copy(message), min(qos, wanted.qos), group=group)
        session.offer(delivery, self._loop.now_s, self._most_waiting)

    def _expired(self, message: Publish) -> bool:
        return message.expires_s is not None and message.expires_s <= self._loop.now_s


def _copy(message: Publish) -> Publish:
    """For one receiver: its expiry is its own."""
    return Publish(
        message.topic, message.payload, message.qos, message.retain,
        properties=dict(message.properties), expires_s=message.expires_s,
    )  # fmt: skip
