"""Hardware on a wire, in real time: a GNSS receiver, a boat, a sensor board, a drone radio."""

import asyncio
from collections.abc import Callable

from agent.host.clock import monotonic_s, utc_now
from simulators.board import Firmware
from simulators.boat import bytes_at
from simulators.drone import Radio
from simulators.receiver import FAULTS, Epoch, Protocol, epoch_at
from simulators.wire import Wire


class Receiver:
    """A GNSS receiver on a wire: sends its epoch ``hz`` times a second, as long as it is plugged in."""

    def __init__(
        self,
        wire: Wire,
        *,
        lat: float,
        lon: float,
        seed: int = 0,
        speed_mps: float = 0.0,
        hz: float = 1.0,
        protocol: Protocol = "nmea",
    ) -> None:
        self._wire = wire
        self._lat, self._lon, self._seed, self._speed_mps = lat, lon, seed, speed_mps
        self._every_s = 1 / hz
        self._protocol = protocol
        self._began = utc_now()
        self._began_s = monotonic_s()
        self._fault: tuple[str, float, Epoch] | None = None
        self.epochs_sent = 0

    def fail(self, fault: str) -> None:
        """Starts a fault: one of `simulators.receiver.FAULTS`."""
        if fault not in FAULTS:
            raise ValueError(f"unknown fault {fault!r}; known: {', '.join(FAULTS)}")
        second = monotonic_s() - self._began_s
        self._fault = fault, second, self._good(second)

    def heal(self) -> None:
        self._fault = None

    async def run(self) -> None:
        next_s = monotonic_s()
        while True:
            second = monotonic_s() - self._began_s
            epoch: Epoch | None = self._good(second)
            if self._fault is not None and epoch is not None:
                fault, since_s, first = self._fault
                epoch = FAULTS[fault](epoch, second - since_s, first)
            if epoch is not None:
                self.epochs_sent += self._wire.write(epoch.encode(self._protocol)) > 0
            next_s += self._every_s
            await asyncio.sleep(max(0, next_s - monotonic_s()))

    def _good(self, second: float) -> Epoch:
        return epoch_at(
            self._began, second, lat=self._lat, lon=self._lon, seed=self._seed, speed_mps=self._speed_mps
        )


class Board:
    """A sensor board on a wire: its firmware, run in real time.

    ``deaf``: the board receives nothing. ``line_fault``: the line's fault, in both directions.
    """

    def __init__(self, wire: Wire, *, seed: int = 0, boot: int = 1) -> None:
        self._wire = wire
        self._seed = seed
        self.firmware = Firmware(monotonic_s(), seed=seed, boot=boot)
        self.deaf = False
        self.line_fault: Callable[[bytes], bytes] = bytes

    @property
    def acknowledged(self) -> set[int]:
        """The acknowledged events since the last reset."""
        return self.firmware.acknowledged

    @property
    def repeats(self) -> int:
        return self.firmware.repeats

    @property
    def on(self) -> set[str]:
        """The outputs that are on."""
        return self.firmware.on(monotonic_s())

    def press(self, name: str, on: bool = True) -> int:
        """Moves a switch; returns the number of its event."""
        return self.firmware.press(name, on)

    def reset(self) -> None:
        """Restarts the board: outputs off, and unacknowledged events lost."""
        self.firmware = Firmware(monotonic_s(), seed=self._seed, boot=self.firmware.boot + 1)

    async def run(self) -> None:
        while True:
            received = self.line_fault(self._wire.read())
            if data := self.firmware.step(monotonic_s(), b"" if self.deaf else received):
                self._wire.write(self.line_fault(data))
            await asyncio.sleep(0.02)


class Boat:
    """A boat's line in real time: instruments and AIS, and its receiver where ``gnss`` is set.

    ``bottom``: the sounder finds one. ``line_fault``: the line's fault.
    """

    def __init__(self, wire: Wire, *, lat: float, lon: float, seed: int = 0, gnss: bool = False) -> None:
        self._wire = wire
        self._lat, self._lon, self._seed, self._gnss = lat, lon, seed, gnss
        self._began = utc_now()
        self.bottom = True
        self.line_fault: Callable[[bytes], bytes] = bytes

    async def run(self) -> None:
        began_s = monotonic_s()
        second = 0
        where = {"lat": self._lat, "lon": self._lon}
        while True:
            data = bytes_at(second, self._began, seed=self._seed, bottom=self.bottom, **where)
            if self._gnss:
                data = epoch_at(self._began, second, seed=self._seed, **where).encode("nmea") + data
            self._wire.write(self.line_fault(data))
            second += 1
            await asyncio.sleep(max(0, began_s + second - monotonic_s()))


class DroneRadio:
    """The radio of a ground station on a wire, and the mission of its drone.

    ``line_fault``: the line's fault.
    """

    def __init__(self, wire: Wire, radio: Radio) -> None:
        self._wire = wire
        self.radio = radio
        self.line_fault: Callable[[bytes], bytes] = bytes

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            self._wire.write(self.line_fault(self.radio.step(loop.time() - began_s)))
            await asyncio.sleep(0.05)
