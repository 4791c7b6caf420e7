"""What the agent puts into, and takes from, paho's packets."""

from collections.abc import Callable
from typing import Any

MOST_PACKET = 1 << 20
"""No larger packet is taken from a broker: receipts, answers and pushes are below 300 KB."""
MOST_PROPERTIES = 1024
"""Properties of a message down that are longer are left out unread: paho reads texts letter by letter, and
60 KB of them hold up all else for as long as a thousand messages do."""
MQTT_5 = 5


def _bounded(client: type[Any], refuse: Callable[[int], None]) -> type[Any]:
    """paho's client, but large packets are refused, and long properties left out, before they are read.

    It asks for all that is left of a packet at once: that is where its size is known.
    """

    class Bounded(client):  # type: ignore[misc]  # paho is imported where it is needed
        def _sock_recv(self, size: int) -> bytes:
            refuse(size)
            received: bytes = super()._sock_recv(size)
            return received

        def _handle_publish(self) -> Any:
            if self._protocol == MQTT_5:
                packet = self._in_packet
                packet["packet"] = without_long_properties(packet["command"], packet["packet"])
            return super()._handle_publish()

    return Bounded


def without_long_properties(command: int, packet: bytes) -> bytes:
    """A PUBLISH of MQTT 5 without its fixed header, whose properties take `MOST_PROPERTIES` bytes at most."""
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


def _properties(packet: str, **values: int) -> Any:
    """MQTT 5 properties of one packet."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties: Any = Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _reason_code(number: int) -> Any:
    """The reason of a DISCONNECT."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    return ReasonCode(PacketTypes.DISCONNECT, identifier=number)
