"""A sensor board's firmware, as specified in ``docs/sensor_board.md``. Pure: bytes and time in, bytes out."""

import binascii
from collections.abc import Mapping
from typing import Any

from firmware_bridge.sensors import board_frames
from firmware_bridge.sensors.board_frames import (
    ACK,
    EVENT,
    HELLO,
    OUTPUT,
    PING,
    PROTOCOL,
    PUSH,
    READ,
    READ_ANSWER,
    REPORT,
    WRITE,
)
from firmware_bridge.sensors.sensor_board import INPUTS, OUTPUTS
from firmware_bridge.serial.sniffer import Sniffer
from simulators.world.measurements import measurements_at

REPORT_EVERY_S = 1.0
FIRST_REPEAT_S, LONGEST_REPEAT_S = 0.1, 3.2
SAFE_AFTER_S = 30.0
"""Without a message from the agent for this long, all outputs are switched off."""
REMEMBERS_S = 2.0
"""The last answer is repeated for the same request for this long."""
OK, INVALID, UNKNOWN, UNSUPPORTED = 0, 3, 5, 8
"""Return codes, as MCUmgr has them."""
_KEYS = {name: key for key, name in INPUTS.items()}


class Firmware:
    """One run of a board, from reset on. ``step`` is one round of its main loop."""

    def __init__(self, now_s: float, *, seed: int = 0, boot: int = 1) -> None:
        self._began_s = self._received_s = self._report_s = now_s
        self._seed, self.boot = seed, boot
        self._sniffer = Sniffer(("cobs",))
        self.inputs: dict[int, int | None] = dict.fromkeys(INPUTS, 0)
        self.measured: dict[int, int | None] = {}
        """Measurements that replace the simulated ones; None is a failed sensor."""
        self._until_s: dict[int, float] = {}
        self._events: dict[int, dict[Any, int]] = {}
        self._event = self._reports = self._pushes = 0
        self._repeat_s, self._wait_s = now_s, FIRST_REPEAT_S
        self._answered: tuple[int, bytes, float] = (0, b"", -1e9)
        self._hello_sent = False
        self.acknowledged: set[int] = set()
        self.repeats = 0

    def press(self, name: str, on: bool = True) -> int:
        """Moves a switch; returns the number of its event."""
        key = _KEYS[name]
        self.inputs[key] = int(on)
        self._event += 1
        self._events[self._event] = {"id": self._event, "boot": self.boot, key: int(on)}
        self._wait_s, self._repeat_s = FIRST_REPEAT_S, -1e9
        return self._event

    def on(self, now_s: float) -> set[str]:
        """The outputs that are on."""
        return {OUTPUTS[key] for key, until_s in self._until_s.items() if now_s < until_s}

    def step(self, now_s: float, received: bytes = b"") -> bytes:
        """The bytes to send now, after receiving ``received``."""
        output = bytearray()
        if not self._hello_sent:
            self._hello_sent = True
            output += self._push(HELLO, self._hello(now_s))
        for packet in self._sniffer.feed(received):
            output += self._take(packet.data, now_s)
        if now_s - self._received_s >= SAFE_AFTER_S:
            self._until_s.clear()
        if now_s >= self._report_s:
            self._report_s = now_s + REPORT_EVERY_S
            output += self._report(now_s)
        if self._events and now_s >= self._repeat_s:
            self._repeat_s, self._wait_s = now_s + self._wait_s, min(self._wait_s * 2, LONGEST_REPEAT_S)
            for event in self._events.values():
                self.repeats += 1
                output += self._push(EVENT, event)
        return bytes(output)

    def next_s(self) -> float:
        """When `step` next has something to do, if nothing is received and no switch is moved."""
        due = [self._report_s, self._received_s + SAFE_AFTER_S] if self._until_s else [self._report_s]
        return min([*due, self._repeat_s] if self._events else due)

    def _take(self, payload: bytes, now_s: float) -> bytes:
        """Executes one frame from the agent; returns its answer."""
        message = board_frames.parse(payload)
        if message is None or message.op not in (READ, WRITE):
            return b""
        self._received_s = now_s
        op, command, content, sequence = message
        if (op, command) == (WRITE, ACK):
            number = content.get("id")
            if content.get("boot") == self.boot and type(number) is int and self._events.pop(number, None):
                self.acknowledged.add(number)
            return b""
        same, before, at_s = self._answered
        this = binascii.crc32(payload)
        if this == same and now_s - at_s < REMEMBERS_S:
            return before
        if (op, command) == (READ, HELLO):
            answer = self._hello(now_s)
        elif (op, command) == (READ, PING):
            answer = {"boot": self.boot, "up_ms": self._up_ms(now_s)}
        elif (op, command) == (WRITE, OUTPUT):
            answer = {"rc": self._switch(content, now_s)}
        else:
            answer = {"rc": UNSUPPORTED}
        frame = board_frames.encode(command, answer, sequence, READ_ANSWER if op == READ else PUSH)
        self._answered = this, frame, now_s
        return frame

    def _switch(self, content: Mapping[Any, Any], now_s: float) -> int:
        key, on, ttl_ms = content.get("out"), content.get("on"), content.get("ttl_ms")
        if type(key) is not int or key not in OUTPUTS:
            return UNKNOWN
        if on not in (0, 1) or not isinstance(ttl_ms, int) or not 0 <= ttl_ms <= 60_000:
            return INVALID
        self._until_s[key] = now_s + ttl_ms / 1000 if on else now_s
        return OK

    def _hello(self, now_s: float) -> dict[Any, Any]:
        return {
            "proto": PROTOCOL,
            "fw": "sim 2",
            "hw": "pty",
            "uid": f"sim-{self._seed}",
            "boot": self.boot,
            "up_ms": self._up_ms(now_s),
            "caps": {"in": [0, 1, 2, 3, *INPUTS], "out": [*OUTPUTS]},
        }

    def _report(self, now_s: float) -> bytes:
        self._reports += 1
        head: dict[Any, Any] = {"seq": self._reports, "up_ms": self._up_ms(now_s), "boot": self.boot}
        measured = measurements_at(now_s - self._began_s, self._seed) | self.measured
        outputs = {key: int(OUTPUTS[key] in self.on(now_s)) for key in OUTPUTS}
        return self._push(REPORT, head | measured | self.inputs | outputs)

    def _push(self, command: int, content: Mapping[Any, Any]) -> bytes:
        self._pushes += 1
        return board_frames.encode(command, content, self._pushes)

    def _up_ms(self, now_s: float) -> int:
        return round((now_s - self._began_s) * 1000)
