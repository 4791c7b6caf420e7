"""Limits of the packets that paho reads, and MQTT 5 properties and reasons of those that it sends."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent.host.clock import monotonic_s
from agent.host.network import connect

if TYPE_CHECKING:
    import paho.mqtt.client

MOST_PACKET = 1 << 20
"""A larger packet from the broker ends the connection: receipts, answers and pushes are below 300 KB."""
MOST_PROPERTIES = 1024
"""Longer properties of a message down are dropped unread: paho reads texts letter by letter, and 60 KB of
them block the event loop for as long as a thousand messages do."""
MQTT_5 = 5
FEATURES = {
    "MaximumQoS": "messages with QoS 1",
    "RetainAvailable": "retained messages",
    "WildcardSubscriptionAvailable": "subscriptions with wildcards",
    "SharedSubscriptionAvailable": "shared subscriptions",
}
"""By property of the CONNACK, which is 0 where the broker does not have it."""


def limit_packets(client: type[Any], refuse: Callable[[int], None]) -> type[Any]:
    """A subclass of paho's client that calls ``refuse`` with the size of a packet, and drops long properties,
    before it reads them. It connects by `agent.host.network`.

    The client requests the rest of a packet at once: that is where its size is known.
    """

    class LimitedClient(client):  # type: ignore[misc]  # paho is imported where it is needed
        def _create_socket_connection(self) -> socket.socket:
            return connect((self._host, self._port), self._connect_timeout)

        def _sock_recv(self, size: int) -> bytes:
            refuse(size)
            received: bytes = super()._sock_recv(size)
            return received

        def _handle_publish(self) -> Any:
            if self._protocol == MQTT_5:
                packet = self._in_packet
                packet["packet"] = without_long_properties(packet["command"], packet["packet"])
            return super()._handle_publish()

    return LimitedClient


def packet_client(
    client_id: str, refuse: Callable[[int], None], connect_within_s: float, *, mqtt5: bool, clean: bool
) -> "paho.mqtt.client.Client":
    """A client of paho for one connection. It neither queues, nor reconnects, nor acknowledges by itself."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    mqtt.time_func = monotonic_s  # its keepalive runs by our clock
    client: mqtt.Client = limit_packets(mqtt.Client, refuse)(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if mqtt5 else clean,
        protocol=mqtt.MQTTv5 if mqtt5 else mqtt.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.max_inflight_messages_set(0)  # we count
    client.connect_timeout = connect_within_s
    client.suppress_exceptions = False
    return client


def without_long_properties(command: int, packet: bytes) -> bytes:
    """A PUBLISH of MQTT 5 without its fixed header; without properties longer than `MOST_PROPERTIES`."""
    at = 2 + int.from_bytes(packet[:2]) + 2 * bool(command & 0b110)  # topic; number, where there is one
    size, shift, length = 0, 0, at
    while length < min(at + 4, len(packet)):
        size |= (packet[length] & 0x7F) << shift
        shift, length = shift + 7, length + 1
        if packet[length - 1] < 0x80:  # the length's last byte
            break
    if size <= MOST_PROPERTIES:
        return packet
    return bytes(packet[:at]) + b"\0" + bytes(packet[length + size :])


def packet_properties(packet: str, **values: int) -> Any:
    """MQTT 5 properties of one packet."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties: Any = Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call]  # paho has no types here
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def missing_features(properties: Any, session_expiry_s: int) -> list[str]:
    """What the broker says in its CONNACK (MQTT 5) that it does not do."""
    found = [text for name, text in FEATURES.items() if getattr(properties, name, 1) == 0]
    granted_s = getattr(properties, "SessionExpiryInterval", session_expiry_s)
    return [*found, f"sessions of more than {granted_s} s"] if granted_s < session_expiry_s else found


def disconnect_reason(number: int) -> Any:
    """The reason code of a DISCONNECT."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    return ReasonCode(PacketTypes.DISCONNECT, identifier=number)
