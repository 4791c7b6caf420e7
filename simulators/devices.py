"""Hardware at the far end of a wire: a GNSS receiver and a sensor board, by the codecs' own encode."""

import asyncio
import time
from datetime import UTC, datetime

from firmware_bridge import nmea
from simulators.board import Firmware
from simulators.wire import Wire
from simulators.world import receiver_at


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
    """A sensor board on a wire: its firmware, run in real time. ``deaf``: the wire to it leads nowhere."""

    def __init__(self, wire: Wire, *, seed: int = 0, boot: int = 1) -> None:
        self._wire = wire
        self._seed = seed
        self.firmware = Firmware(time.monotonic(), seed=seed, boot=boot)
        self.deaf = False

    @property
    def acknowledged(self) -> set[int]:
        """The events of this life that were acknowledged."""
        return self.firmware.acknowledged

    @property
    def repeats(self) -> int:
        return self.firmware.repeats

    @property
    def on(self) -> set[str]:
        """The outputs that are on."""
        return self.firmware.on(time.monotonic())

    def press(self, name: str, on: bool = True) -> int:
        """Moves a switch; the number of the event that tells of it."""
        return self.firmware.press(name, on)

    def reset(self) -> None:
        """It begins anew: outputs off, and what was not acknowledged is forgotten."""
        self.firmware = Firmware(time.monotonic(), seed=self._seed, boot=self.firmware.boot + 1)

    async def run(self) -> None:
        while True:
            received = self._wire.read()
            if said := self.firmware.step(time.monotonic(), b"" if self.deaf else received):
                self._wire.write(said)
            await asyncio.sleep(0.02)
