"""Hardware on a wire: a GNSS receiver, a boat, a sensor board, a drone's radio. In real and in virtual time.

All waits are for received bytes, a press, or the hardware's own next deadline; the only clock is the loop's.
"""

import asyncio
import math
import zlib
from collections.abc import Callable
from typing import Literal, TypeAlias

from simulators.board import Firmware
from simulators.boat import bytes_at
from simulators.drone import Radio
from simulators.receiver import FAULTS, Epoch, Protocol, epoch_of
from simulators.run_time import HardwareLine, RunTime, loop_s
from simulators.world.gnss_error import ERROR_M, circle_at
from simulators.world.tracks import Motion
from simulators.world.world import World

RADIO_LOSS = 0.05
"""The share of the drone's messages that don't arrive."""
ALMOST_S = 1e-6
"""A timer may come this much too early."""

Where: TypeAlias = Callable[[float], Motion]
"""The true motion at a second of the run."""


class Receiver:
    """A GNSS receiver: sends its epoch ``hz`` times a second.

    ``where`` is its true place; without it, it goes round on a circle at ``speed_mps`` from a position.
    ``error_m``: its own estimate of its error, which it keeps to.
    """

    def __init__(
        self,
        wire: HardwareLine,
        *,
        lat: float = 0.0,
        lon: float = 0.0,
        seed: int = 0,
        speed_mps: float = 0.0,
        hz: float = 1.0,
        protocol: Protocol = "nmea",
        where: Where | None = None,
        heave_m: Callable[[float], float] = lambda _: 0.0,
        error_m: float = ERROR_M,
        time: RunTime | None = None,
    ) -> None:
        self._wire = wire
        self._where = where or (lambda second: circle_at(second, lat=lat, lon=lon, speed_mps=speed_mps))
        self._seed, self._every_s, self._protocol = seed, 1 / hz, protocol
        self._heave_m, self._error_m = heave_m, error_m
        self._time = time or RunTime()
        self._fault: tuple[str, float, Epoch] | None = None
        self.epochs_sent = 0

    def fail(self, fault: str) -> None:
        """Starts a fault: one of `simulators.receiver.FAULTS`."""
        if fault not in FAULTS:
            raise ValueError(f"unknown fault {fault!r}; known: {', '.join(FAULTS)}")
        second = self._time.now_s()
        self._fault = fault, second, self._good(second)

    def heal(self) -> None:
        self._fault = None

    async def run(self) -> None:
        second = self._time.now_s()
        while True:
            epoch: Epoch | None = self._good(second)
            if self._fault is not None and epoch is not None:
                fault, since_s, first = self._fault
                epoch = FAULTS[fault](epoch, second - since_s, first)
            if epoch is not None:
                self.epochs_sent += self._wire.write(epoch.encode(self._protocol)) > 0
            second = max(second + self._every_s, self._time.now_s() - self._every_s)
            await self._time.sleep_until(second)

    def _good(self, second: float) -> Epoch:
        return epoch_of(
            self._where(second), self._time.began, second,
            seed=self._seed, heave_m=self._heave_m(second), error_m=self._error_m,
        )  # fmt: skip


class Board:
    """A sensor board: its firmware, which wakes for received bytes, for a switch, and at its next deadline.

    ``deaf``: the board receives nothing. ``line_fault``: the line's fault, in both directions.
    """

    def __init__(self, wire: HardwareLine, *, seed: int = 0, boot: int = 1) -> None:
        self._wire = wire
        self._seed = seed
        self.firmware = Firmware(loop_s(), seed=seed, boot=boot)
        self.deaf = False
        self.line_fault: Callable[[bytes], bytes] = bytes
        self._wake = asyncio.Event()

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
        return self.firmware.on(loop_s())

    def press(self, name: str, on: bool = True) -> int:
        """Moves a switch; returns the number of its event."""
        self._wake.set()
        return self.firmware.press(name, on)

    def reset(self) -> None:
        """Restarts the board: outputs off, and unacknowledged events lost."""
        self._wake.set()
        self.firmware = Firmware(loop_s(), seed=self._seed, boot=self.firmware.boot + 1)

    async def run(self) -> None:
        self._wire.on_received = self._wake.set
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            received = self.line_fault(self._wire.read())
            now_s = loop.time()
            if data := self.firmware.step(now_s, b"" if self.deaf else received):
                self._wire.write(self.line_fault(data))
            timer = loop.call_at(max(self.firmware.next_s(), now_s + ALMOST_S), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()


class Boat:
    """A boat's line: instruments and AIS, and its receiver where ``gnss`` is set, once a second.

    Without ``where`` it keeps its position, among the ships of `simulators.world.incidents`; with it the
    ships of ``world`` are around it. ``bottom``: the sounder finds one. ``line_fault``: the line's fault.
    """

    def __init__(
        self,
        wire: HardwareLine,
        *,
        lat: float = 0.0,
        lon: float = 0.0,
        seed: int = 0,
        gnss: bool = False,
        where: Where | None = None,
        world: World | None = None,
        time: RunTime | None = None,
    ) -> None:
        self._wire = wire
        self._lat, self._lon, self._seed, self._gnss = lat, lon, seed, gnss
        self._where, self._world = where, world
        self._time = time or RunTime()
        self.bottom = True
        self.line_fault: Callable[[bytes], bytes] = bytes

    async def run(self) -> None:
        second = math.ceil(self._time.now_s() - ALMOST_S)
        while True:
            await self._time.sleep_until(second)
            self._wire.write(self.line_fault(self._bytes(second)))
            second = max(second + 1, math.floor(self._time.now_s()))

    def _bytes(self, second: int) -> bytes:
        began, where = self._time.began, {"lat": self._lat, "lon": self._lon}
        motion = None if self._where is None else self._where(second)
        turn_deg_min = 0.0
        if self._where is not None and motion is not None:
            turned = self._where(second + 0.5).course_deg - self._where(second - 0.5).course_deg
            turn_deg_min = 60 * ((turned + 180) % 360 - 180)
        data = bytes_at(
            second, began, seed=self._seed, bottom=self.bottom, **where,
            motion=motion, turn_deg_min=turn_deg_min, world=self._world,
        )  # fmt: skip
        if self._gnss:
            data = epoch_of(motion or Motion(**where), began, second, seed=self._seed).encode("nmea") + data
        return data


class DroneRadio:
    """The radio of a ground station, and the mission of its drone. ``line_fault``: the line's fault."""

    def __init__(self, wire: HardwareLine, radio: Radio, time: RunTime | None = None) -> None:
        self._wire = wire
        self.radio = radio
        self.line_fault: Callable[[bytes], bytes] = bytes
        self._time = time or RunTime()

    async def run(self) -> None:
        while True:
            self._wire.write(self.line_fault(self.radio.step(self._time.now_s() + ALMOST_S)))
            await self._time.sleep_until(self.radio.next_s())


Hardware: TypeAlias = Receiver | Board | Boat | DroneRadio
HardwareKind: TypeAlias = Literal["receiver", "board", "boat", "drone"]


def make_hardware(
    kind: HardwareKind, wire: HardwareLine, world: World, device: str, source: str, time: RunTime
) -> Hardware:
    """The hardware of a source of a device, following the world; `Hardware.run` runs it."""
    seed = source_seed(world, device, source)

    def where(second: float) -> Motion:
        return world.motion(device, second)

    if kind == "board":
        return Board(wire, seed=seed)
    if kind == "drone":
        radio = Radio(mission=world.missions[device], seed=seed, loss=RADIO_LOSS)
        return DroneRadio(wire, radio, time)
    if kind == "boat" and world.stands(device) and not world.ships:
        lat, lon = world.motion(device, 0).position
        return Boat(wire, lat=lat, lon=lon, seed=world.seed, time=time)
    if kind == "boat":
        return Boat(wire, seed=world.seed, where=where, world=world, time=time)
    heave_m = world.waves.heave_m if world.floats(device) else lambda _: 0.0
    protocol: Protocol = "ubx" if world.devices[device].source(source).get("kind") == "ubx" else "nmea"
    return Receiver(wire, seed=seed, protocol=protocol, where=where, heave_m=heave_m, time=time)


def source_seed(world: World, device: str, source: str) -> int:
    """A seed of its own for each source."""
    return world.seed * 1009 + zlib.crc32(f"{device}.{source}".encode()) % 1009
