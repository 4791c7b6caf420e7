"""Hardware at the far end of a wire: a GNSS receiver and a sensor board, by the codecs' own encode."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from firmware_bridge import nmea, sensor_board
from firmware_bridge.sensor_board import ACK, EVENT, HELLO, INPUTS, REPORT, WRITE
from firmware_bridge.sniff import Sniffer
from simulators.wire import Wire
from simulators.world import board_at, receiver_at

FIRST_REPEAT_S = 0.2
LONGEST_REPEAT_S = 3.2
_KEYS = {name: key for key, name in INPUTS.items()}


class Receiver:
    """A GNSS receiver that says where it is once a second, for as long as it is plugged in."""

    def __init__(
        self, wire: Wire, *, lat: float, lon: float, seed: int = 0, speed_mps: float = 0.0, hz: float = 1.0
    ) -> None:
        self._wire = wire
        self._lat, self._lon, self._seed, self._speed_mps = lat, lon, seed, speed_mps
        self._every_s = 1 / hz
        self.said = 0

    async def run(self) -> None:
        began = datetime.now(UTC)
        loop = asyncio.get_running_loop()
        began_s = next_s = loop.time()
        while True:
            fix = receiver_at(
                began,
                loop.time() - began_s,
                lat=self._lat,
                lon=self._lon,
                seed=self._seed,
                speed_mps=self._speed_mps,
            )
            self.said += self._wire.write(nmea.encode(fix)) > 0
            next_s += self._every_s
            await asyncio.sleep(max(0, next_s - loop.time()))


class Board:
    """A sensor board: reports each second, and repeats an event until it is acknowledged."""

    def __init__(self, wire: Wire, *, seed: int = 0, boot: int = 1) -> None:
        self._wire = wire
        self._seed, self._boot = seed, boot
        self._inputs = dict.fromkeys(INPUTS, 0)
        self._sniffer = Sniffer(("cobs",))
        self._sequence = 0
        self._events: dict[int, dict[Any, int]] = {}
        self._event = 0
        self.acknowledged: set[int] = set()
        self.repeats = 0

    def press(self, name: str, on: bool = True) -> int:
        """Moves a switch; the number of the event that tells of it."""
        key = _KEYS[name]
        self._inputs[key] = int(on)
        self._event += 1
        self._events[self._event] = {"id": self._event, "boot": self._boot, key: int(on)}
        return self._event

    async def run(self) -> None:
        self._say(HELLO, {"fw": "sim 1", "hw": "pty", "uid": "0", "boot": self._boot})
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        report_s = repeat_s = began_s
        wait_s = FIRST_REPEAT_S
        while True:
            self._hear()
            now_s = loop.time()
            if now_s >= report_s:
                report_s = now_s + 1.0
                up_ms = int((now_s - began_s) * 1000)
                measured: dict[Any, int] = dict(board_at(now_s - began_s, self._seed))
                self._say(
                    REPORT,
                    {"seq": self._sequence, "up_ms": up_ms, "boot": self._boot} | measured | self._inputs,
                )
            if not self._events:
                repeat_s, wait_s = now_s, FIRST_REPEAT_S
            elif now_s >= repeat_s:
                repeat_s, wait_s = now_s + wait_s, min(wait_s * 2, LONGEST_REPEAT_S)
                for event in list(self._events.values()):
                    self.repeats += 1
                    self._say(EVENT, event)
            await asyncio.sleep(0.02)

    def _say(self, command: int, content: Mapping[Any, Any]) -> None:
        self._sequence += 1
        self._wire.write(sensor_board.encode(command, dict(content), self._sequence))

    def _hear(self) -> None:
        for packet in self._sniffer.feed(self._wire.read()):
            message = sensor_board.parse(packet.data)
            if message is not None and message[:2] == (WRITE, ACK) and message[2].get("boot") == self._boot:
                number = int(message[2].get("id", 0))
                if self._events.pop(number, None) is not None:
                    self.acknowledged.add(number)
