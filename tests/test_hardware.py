"""Simulated hardware on a line without a wire, in virtual time: where the world has it, and only when it must."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from firmware_bridge.catalogue import protocols
from firmware_bridge.nmea.nmea import NmeaDecoder
from firmware_bridge.readings import Fix, Reading, Vessel
from firmware_bridge.serial.line_decoder import LineDecoder
from simulators.devices import Board, HardwareKind, make_hardware
from simulators.run_time import RunTime
from simulators.virtual.stage import run_virtual
from simulators.world.settings import WorldSettings
from simulators.world.world import PlacedDevice, World

AT = datetime.fromisoformat("2026-11-28T19:40:00+08:00")
WAY = {"waypoints": [[32.1, 118.7], [32.1, 118.72]], "speed_mps": 9}


class Line:
    """Keeps what the hardware sends, with the second of it."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.on_received: Callable[[], None] = lambda: None
        self.written: list[tuple[float, bytes]] = []
        self.received = b""
        self.reads = 0
        self._now_s = now_s

    def write(self, data: bytes) -> int:
        self.written.append((self._now_s(), data))
        return len(data)

    def read(self) -> bytes:
        data, self.received = self.received, b""
        self.reads += 1
        return data


def played(kind: HardwareKind, for_s: float, source: str = "one") -> tuple[Line, World]:
    config = {
        "place": {"domain": "water"},
        "sources": {"one": {"kind": "nmea"}, "radio": {"kind": "mavlink"}},
    }
    world = World(
        WorldSettings.model_validate({"tracks": {"way": WAY}, "at": AT, "river_traffic": {"vessels": 4}}),
        3, {"boat": PlacedDevice(config, moves="way")},
    )  # fmt: skip

    async def main() -> Line:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        time = RunTime(AT, lambda: loop.time() - began_s)
        line = Line(time.now_s)
        running = asyncio.ensure_future(make_hardware(kind, line, world, "boat", source, time).run())
        await asyncio.sleep(for_s)
        running.cancel()
        return line

    return run_virtual(main), world


def test_a_receiver_is_where_the_track_has_it_and_its_time_is_utc() -> None:
    line, world = played("receiver", 100.5)
    assert [second for second, _ in line.written] == pytest.approx(list(range(101)))
    decoder = LineDecoder([NmeaDecoder(date(2026, 11, 1))])
    for second, data in line.written:
        fixes = [one for one in [*decoder.feed(data), *decoder.pause()] if isinstance(one, Fix)]
        true = world.motion("boat", second)
        for fix in fixes:
            assert fix.time == AT.astimezone(UTC).replace(
                minute=40 + int(second) // 60, second=int(second) % 60
            )
            assert (fix.lat, fix.lon) == pytest.approx(true.position, abs=0.0001)
            assert fix.speed_mps == pytest.approx(true.speed_mps, abs=0.5)


def test_a_boat_sends_once_a_second_what_the_river_has() -> None:
    line, world = played("boat", 60.5)
    assert [second for second, _ in line.written] == pytest.approx(list(range(61)))
    decoder = LineDecoder(protocols()["nmea"]())
    said = [one for _, data in line.written for one in decoder.feed(data)]
    own = [one for one in said if isinstance(one, Vessel) and one.own]
    assert (own[-1].lat, own[-1].lon) == pytest.approx(world.motion("boat", 60).position, abs=1e-5)
    others = {one.mmsi for one in said if isinstance(one, Vessel) and not one.own}
    assert others == {ship.report.mmsi for ship in world.ships}
    depths = [one.value for one in said if isinstance(one, Reading) and one.quantity.startswith("depth")]
    assert depths


def test_a_radio_sends_each_tenth_and_no_oftener() -> None:
    line, _ = played("drone", 5.05)
    assert len([data for _, data in line.written if data]) == 51


def test_a_board_sleeps_until_something_happens() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        line = Line(loop.time)
        board = Board(line)
        running = asyncio.ensure_future(board.run())
        await asyncio.sleep(10.5)
        assert line.reads == len(line.written) == 11  # one report a second, and the first hello with it
        began_s = loop.time()
        board.press("panic_button")
        await asyncio.sleep(0.001)
        assert line.written[-1][0] == began_s
        reads = line.reads
        line.received = b"\x00"
        line.on_received()
        await asyncio.sleep(0.001)
        assert line.reads == reads + 1
        board.reset()
        await asyncio.sleep(0.001)
        assert board.firmware.boot == 2
        running.cancel()

    run_virtual(main)
