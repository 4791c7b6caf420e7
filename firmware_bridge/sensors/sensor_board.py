"""The sensor board's wire: the messages of our microcontrollers, as specified in ``docs/sensor_board.md``.

    00 | COBS( header(8) | CBOR map | CRC-16/XMODEM, big-endian ) | 00

    header = SMP v2, big-endian: op and version, flags, length of the map (2), group (2), sequence, command
    group 64, command 0 hello   {"proto", "fw", "hw", "uid", "boot", "up_ms", "caps": {"in", "out"}}
              command 1 report  {"seq", "up_ms", "boot", 0: cC, 1: rh permille, 2: mV, 3: mA, 4…8, 16…18: 0/1}
              command 2 event   {"id", "boot", 4…8: 0/1}      sent again until it is acknowledged
              command 3 ack     {"id", "boot"}                to the board, which answers nothing
              command 4 output  {"out": 16…18, "on": 0/1, "ttl_ms"}   to the board, which answers {"rc"}
              command 5 ping    {}                            to the board, which answers {"boot", "up_ms"}
    inputs    4 tamper, 5 motion, 6 smoke, 7 panic button, 8 barrier
    outputs   16 siren, 17 light, 18 relay

Integers only; an absent key is not fitted, null a sensor that failed: neither is a reading. The header is
that of MCUmgr (Zephyr), so that smpclient speaks with the same board. Sans-IO.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeAlias

from firmware_bridge.loop_clock import loop_s
from firmware_bridge.readings import BoardState, Reading, Switch, Value
from firmware_bridge.sensors.board_frames import (
    ACK,
    EVENT,
    HELLO,
    OUTPUT,
    PING,
    PUSH,
    READ,
    READ_ANSWER,
    REPORT,
    WRITE,
    BoardMessage,
    encode,
    parse,
)
from firmware_bridge.sensors.board_requests import BoardRequests
from firmware_bridge.serial.line import SerialLine

REMEMBERED_EVENTS = 64


# key: quantity, unit, factor, least, most
QUANTITIES: dict[int, tuple[str, str, float, float, float]] = {
    0: ("temperature", "degC", 0.01, -60.0, 150.0),
    1: ("relative_humidity", "percent", 0.1, 0.0, 100.0),
    2: ("supply_voltage", "V", 0.001, 0.0, 100.0),
    3: ("supply_current", "A", 0.001, -100.0, 100.0),
}
INPUTS: dict[int, str] = {4: "tamper", 5: "motion", 6: "smoke", 7: "panic_button", 8: "barrier"}
OUTPUTS: dict[int, str] = {16: "siren", 17: "light", 18: "relay"}
OutputName: TypeAlias = Literal["siren", "light", "relay"]

_SENSED = {key: quantity[0] for key, quantity in QUANTITIES.items()} | INPUTS
_SWITCHES = INPUTS | OUTPUTS
_OUTPUT_KEYS = {name: key for key, name in OUTPUTS.items()}
_ANSWERS = {(READ_ANSWER, HELLO): "hello", (READ_ANSWER, PING): "ping", (PUSH, OUTPUT): "output"}


class SensorBoardDecoder:
    """Payloads in, readings and switches out; an event is reported once and acknowledged each time.

    `next_request` returns the requests to the board: its outputs, and a ping. `BoardState` tells the
    board's identity, and whether it answers.
    """

    framings = ("cobs",)

    def __init__(self, outputs: tuple[str, ...] = (), sequence: int = 0) -> None:
        self.bad = 0
        self.lost = 0
        """Reports that never arrived, by their numbers."""
        self._requests = BoardRequests(outputs, sequence)
        self._state = self._reported_state = BoardState()
        self._events: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._replies = bytearray()
        self._report: int | None = None  # the last report's number
        self._up_ms = 0

    def feed(self, payload: bytes) -> list[Value]:
        """The values of a frame. Invalid content is counted, not reported."""
        message = parse(payload)
        if message is None:
            self.bad += 1
            return []
        values: list[Value] = []
        if (message.op, message.command) in _ANSWERS:
            values = self._answer(message)
        elif message.op == PUSH and message.command == HELLO:
            self._hello(message.content)
        elif message.op == PUSH and message.command == REPORT:
            values = self._take_report(message.content)
        elif message.op == PUSH and message.command == EVENT:
            values = self._event(message.content)
        return values + self._changes()

    def pause(self) -> list[Value]:
        """Changes without new data: the board does not answer."""
        return self._changes()

    def replies(self) -> bytes:
        """The acknowledgements that are due."""
        replies = bytes(self._replies)
        self._replies.clear()
        return replies

    def next_request(self, now_s: float, wanted: Mapping[str, float]) -> bytes:
        """The bytes to send to the board now, so that its outputs become as ``wanted``."""
        request = self._requests.next_request(now_s, wanted, introduced=self._state.uid is not None)
        if request is None:
            return b""
        if request.kind != "output":
            return encode(HELLO if request.kind == "hello" else PING, {}, request.sequence, READ)
        on, ttl_ms = int(request.hold_s > 0), round(request.hold_s * 1000)
        content = {"out": _OUTPUT_KEYS[request.output], "on": on, "ttl_ms": ttl_ms}
        return encode(OUTPUT, content, request.sequence, WRITE)

    def request_due_s(self, now_s: float, wanted: Mapping[str, float]) -> float:
        """When `next_request` may have something to send."""
        return self._requests.due_s(now_s, wanted, introduced=self._state.uid is not None)

    def _answer(self, message: BoardMessage) -> list[Value]:
        kind, content = _ANSWERS[message.op, message.command], message.content
        code = content.get("rc", 0)
        request = self._requests.answered(kind, message.sequence, code)
        if request is None:
            return []
        if kind == "hello":
            self._hello(content)
        elif kind == "ping":
            self._notice_restart(content)
        elif code == 0:
            return [Switch(name=request.output, on=request.hold_s > 0)]
        return []

    def _changes(self) -> list[Value]:
        """The board's state, where it has changed."""
        state = replace(self._state, hears=self._requests.answering, refused=self._requests.refused)
        if state == self._reported_state:
            return []
        self._reported_state = state
        return [state]

    def _hello(self, content: dict[Any, Any]) -> None:
        self._notice_restart(content)
        self._state = replace(
            self._state,
            firmware=_text(content.get("fw")),
            hardware=_text(content.get("hw")),
            uid=_text(content.get("uid")) or "",
            protocol=_count(content.get("proto")),
        )

    def _notice_restart(self, content: dict[Any, Any]) -> None:
        """Detects a restart: the board has then lost its outputs, and counts its reports from the start."""
        boot, up_ms = _count(content.get("boot")), _count(content.get("up_ms"))
        if boot is None:
            return
        before = self._state.boot
        restarted = before != boot
        if up_ms is not None:
            restarted |= (up_ms - self._up_ms) % (1 << 32) >= 1 << 31  # it wraps to 0 after 49 days
            self._up_ms = up_ms
        if restarted:
            self._report = None
            self._requests.restarted()
            if before is not None:  # else this is its first report
                self._events.clear()  # the board may count from 1 again
            restarts = self._state.restarts + (before is not None)
            self._state = replace(self._state, boot=boot, restarts=restarts)

    def _take_report(self, content: dict[Any, Any]) -> list[Value]:
        self._notice_restart(content)
        number = _count(content.get("seq"))
        if number is not None:
            if self._report is not None and 1 < number - self._report < 10_000:
                self.lost += number - self._report - 1
            self._report = number
        failed = {name for key, name in _SENSED.items() if key in content and content[key] is None}
        self._state = replace(self._state, failed=tuple(sorted(failed)))
        values = self._values(content)
        for value in values:
            if isinstance(value, Switch):
                self._requests.is_on(value.name, value.on)
        return values

    def _values(self, content: dict[Any, Any], event: int | None = None) -> list[Value]:
        values: list[Value] = []
        for key, number in content.items():
            if type(key) is not int or number is None:
                continue
            if key in QUANTITIES and event is None:
                quantity, unit, factor, least, most = QUANTITIES[key]
                value = round(number * factor, 3) if _is_small(number) else math.inf
                if least <= value <= most:
                    values.append(Reading(quantity=quantity, value=value, unit=unit))
                else:
                    self.bad += 1
            elif key in _SWITCHES and type(number) is int and number in (0, 1):
                values.append(Switch(name=_SWITCHES[key], on=number == 1, event=event))
            elif key in _SWITCHES:
                self.bad += 1
        return values

    def _event(self, content: dict[Any, Any]) -> list[Value]:
        number, boot = _count(content.get("id")), _count(content.get("boot", 0))
        if number is None or boot is None:
            self.bad += 1
            return []
        self._replies += encode(ACK, {"id": number, "boot": boot}, number, WRITE)
        if (boot, number) in self._events:
            return []
        self._events[(boot, number)] = None
        while len(self._events) > REMEMBERED_EVENTS:
            self._events.popitem(last=False)
        values = self._values(content, event=number)
        self.bad += not values
        return values


def _is_small(number: object) -> bool:
    """Whether ``number`` is an integer of 32 bits: all that the wire carries."""
    return type(number) is int and abs(number) < 1 << 31


def _count(number: object) -> int | None:
    """An unsigned integer of 32 bits, or None."""
    return number if type(number) is int and 0 <= number < 1 << 32 else None


def _text(text: object) -> str | None:
    """A short printable text, or None."""
    return "".join(filter(str.isprintable, text))[:64] if isinstance(text, str) else None


class SensorBoard(SerialLine):
    """A microcontroller with sensors, inputs and a panic button; ``outputs`` are those that may be
    switched.
    """

    kind: Literal["sensor_board"] = "sensor_board"
    baud: int = 115200
    outputs: tuple[OutputName, ...] = ()

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"reading", "switch"})
    pause_s: ClassVar[float] = 0.1

    def output_names(self) -> tuple[str, ...]:
        return self.outputs

    def decoder(self) -> SensorBoardDecoder:
        return SensorBoardDecoder(self.outputs, sequence=round(loop_s() * 1000))
