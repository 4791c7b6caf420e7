"""The sensor board's wire: what our microcontrollers say, and the answer to what must not be lost.

    00 | COBS( header(8) | CBOR map | CRC-16/XMODEM, big-endian ) | 00

    header = SMP v2, big-endian: op and version, flags, length of the map (2), group (2), sequence, command
    group 64, command 0 hello   {"fw", "hw", "uid", "boot"}
              command 1 report  {"seq", "up_ms", "boot", 0: cC, 1: rh permille, 2: mV, 3: mA, 4…8: 0/1}
              command 2 event   {"id", "boot", 4…8: 0/1}   sent again until it is acknowledged
              command 3 ack     {"id", "boot"}             to the board
    inputs:   4 tamper, 5 motion, 6 smoke, 7 panic button, 8 barrier

Integers only; an absent key is not fitted, null a sensor that failed: neither is a reading. The header is
that of MCUmgr (Zephyr), so that smpclient speaks with the same board. Sans-IO.
"""

import binascii
import struct
from collections import OrderedDict
from typing import Any, Literal

from firmware_bridge.line import SerialLine
from firmware_bridge.readings import Reading, Switch, Value

GROUP = 64
HELLO, REPORT, EVENT, ACK = 0, 1, 2, 3
WRITE, PUSH = 2, 3
"""SMP operations: a request to the board, and what the board says unasked."""
LONGEST = 256
REMEMBERED_EVENTS = 64

_HEADER = struct.Struct("!BBHHBB")
_VERSION_2 = 1 << 3

# key: quantity, unit, factor, least, most
QUANTITIES: dict[int, tuple[str, str, float, float, float]] = {
    0: ("temperature", "degC", 0.01, -60.0, 150.0),
    1: ("relative_humidity", "percent", 0.1, 0.0, 100.0),
    2: ("supply_voltage", "V", 0.001, 0.0, 100.0),
    3: ("supply_current", "A", 0.001, -100.0, 100.0),
}
INPUTS: dict[int, str] = {4: "tamper", 5: "motion", 6: "smoke", 7: "panic_button", 8: "barrier"}


def encode(command: int, content: dict[Any, Any], sequence: int = 0, op: int = PUSH) -> bytes:
    """One frame on the wire, with a zero before it and one behind. ValueError where it grows too long."""
    import cbor2
    from cobs import cobs

    body = cbor2.dumps(content)
    message = _HEADER.pack(_VERSION_2 | op, 0, len(body), GROUP, sequence & 0xFF, command) + body
    frame = cobs.encode(message + struct.pack("!H", binascii.crc_hqx(message, 0)))
    if len(frame) > LONGEST:
        raise ValueError(f"a frame of {len(frame)} bytes; {LONGEST} are the most")
    return bytes(b"\0" + frame + b"\0")


def parse(payload: bytes) -> tuple[int, int, dict[Any, Any]] | None:
    """(op, command, map) of a payload whose CRC was good; None where it is not of our group or no map."""
    import cbor2

    if len(payload) < _HEADER.size:
        return None
    op, _, length, group, _, command = _HEADER.unpack_from(payload)
    body = payload[_HEADER.size :]
    if group != GROUP or length != len(body):
        return None
    try:
        content = cbor2.loads(body)
    except (cbor2.CBORError, ValueError, RecursionError, OverflowError):
        return None
    return (op & 7, command, content) if isinstance(content, dict) else None


class SensorBoardDecoder:
    """Payloads in, readings and switches out; an event is told once and acknowledged each time it comes."""

    framings = ("cobs",)

    def __init__(self) -> None:
        self.bad = 0
        self._told: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._replies = bytearray()

    def feed(self, payload: bytes) -> list[Value]:
        """What a frame says. What cannot be is counted, not told."""
        message = parse(payload)
        if message is None:
            self.bad += 1
            return []
        op, command, content = message
        if op != PUSH:
            return []
        if command == REPORT:
            return self._values(content)
        if command == EVENT:
            return self._event(content)
        return []

    def pause(self) -> list[Value]:
        """Nothing is held back."""
        return []

    def replies(self) -> bytes:
        """The acknowledgements that are due."""
        replies = bytes(self._replies)
        self._replies.clear()
        return replies

    def _values(self, content: dict[Any, Any], event: int | None = None) -> list[Value]:
        values: list[Value] = []
        for key, number in content.items():
            if type(number) is not int or type(key) is not int:
                continue
            if key in QUANTITIES and event is None:
                quantity, unit, factor, least, most = QUANTITIES[key]
                value = round(number * factor, 3)
                if least <= value <= most:
                    values.append(Reading(quantity=quantity, value=value, unit=unit))
                else:
                    self.bad += 1
            elif key in INPUTS and number in (0, 1):
                values.append(Switch(name=INPUTS[key], on=number == 1, event=event))
            elif key in INPUTS:
                self.bad += 1
        return values

    def _event(self, content: dict[Any, Any]) -> list[Value]:
        number, boot = content.get("id"), content.get("boot", 0)
        if type(number) is not int or type(boot) is not int:
            self.bad += 1
            return []
        self._replies += encode(ACK, {"id": number, "boot": boot}, number, WRITE)
        if (boot, number) in self._told:
            return []
        self._told[(boot, number)] = None
        while len(self._told) > REMEMBERED_EVENTS:
            self._told.popitem(last=False)
        return self._values(content, event=number)


class SensorBoard(SerialLine):
    """A microcontroller with sensors, inputs and a panic button."""

    kind: Literal["sensor_board"] = "sensor_board"

    def decoder(self) -> SensorBoardDecoder:
        return SensorBoardDecoder()
