"""A serial source on a real pty: reads, is unplugged, comes back, is taken, falls silent."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.supervisor import supervise
from firmware_bridge import nmea
from firmware_bridge.nmea import Nmea
from firmware_bridge.port import held_by, open_port
from firmware_bridge.readings import Fix, LineState, Switch
from firmware_bridge.sensor_board import SensorBoard
from simulators.devices import Board
from simulators.wire import Wire

GOOD = Fix(mode="3d", lat=32.1, lon=118.7, alt_m=5.0)


async def until(check: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not check():
            await asyncio.sleep(0.01)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 20))  # type: ignore[arg-type]


def test_a_receiver_is_read_and_its_end_is_an_error(tmp_path: Path) -> None:
    async def scene() -> None:
        said: list[object] = []
        with Wire(tmp_path / "gnss") as wire:
            task = asyncio.ensure_future(Nmea(port=str(wire.path)).run(said.append))  # type: ignore[arg-type]
            await until(wire.heard)
            wire.write(nmea.encode(GOOD))
            await until(lambda: any(isinstance(value, Fix) for value in said))
            wire.unplug()
            with pytest.raises(OSError, match=r"unplugged|Input/output"):
                await asyncio.wait_for(task, 2)
        state = said[-1]
        assert isinstance(state, LineState)
        assert state.good == {"nmea": 3}

    play(scene)


def test_ten_times_unplugged_also_under_another_name(tmp_path: Path) -> None:
    """Each time it is read again, and no half line is glued to the next."""

    async def scene() -> None:
        said: list[object] = []
        with Wire(tmp_path / "a") as wire:
            port = tmp_path / "gnss"
            port.symlink_to(wire.path)
            line = Nmea(port=str(port))
            task = asyncio.ensure_future(
                supervise("gnss", lambda: line.run(said.append), lambda _: None, longest_wait_s=0.3)  # type: ignore[arg-type]
            )
            for number in range(10):
                await until(wire.heard)
                wire.write(nmea.encode(GOOD))
                wire.write(nmea.encode(GOOD)[: 10 + number])  # half a line, then it is gone
                await until(lambda: sum(isinstance(value, Fix) for value in said) > number)  # noqa: B023  awaited at once
                name = tmp_path / ("b" if number % 2 else "a")
                wire.unplug()
                wire.plug(name)
                port.unlink()
                port.symlink_to(name)
            task.cancel()
            await asyncio.wait([task])
        fixes = [value for value in said if isinstance(value, Fix)]
        assert len(fixes) == 10
        assert {(fix.lat, fix.lon) for fix in fixes} == {(32.1, 118.7)}
        assert sum(sum(value.bad.values()) for value in said if isinstance(value, LineState)) == 0

    play(scene)


def test_a_port_that_is_taken_names_its_holder(tmp_path: Path) -> None:
    with Wire(tmp_path / "gnss") as wire, open_port(str(wire.path), 9600):
        assert held_by(str(wire.path))
        with pytest.raises(OSError, match=r"is taken by .*\(\d+\)"), open_port(str(wire.path), 9600):
            pass


@pytest.mark.parametrize(
    ("path", "message"), [("/dev/nothing-here", "is not there"), ("/etc/hostname", "is no serial device")]
)
def test_what_is_no_port_is_said(path: str, message: str) -> None:
    with pytest.raises(OSError, match=message), open_port(path, 9600):
        pass


def test_a_line_of_garbage_is_opened_anew_and_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            task = asyncio.ensure_future(Nmea(port=str(wire.path), silent_after_s=1).run(lambda _: None))
            await until(wire.heard)
            for _ in range(20):
                wire.write(b"\x80\x81\x92" * 20)
                await asyncio.sleep(0.08)
                if task.done():
                    break
            with pytest.raises(TimeoutError, match=r"nothing valid for 1 s \(\d+ bytes that are no nmea\)"):
                await task

    play(scene)


def test_a_press_is_answered_only_when_it_is_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        said: list[object] = []

        def emit(value: object) -> asyncio.Future[None] | None:
            said.append(value)
            return kept if isinstance(value, Switch) and value.event else None

        with Wire(tmp_path / "board") as wire:
            board = Board(wire)
            tasks = [
                asyncio.ensure_future(SensorBoard(port=str(wire.path)).run(emit)),  # type: ignore[arg-type]
                asyncio.ensure_future(board.run()),
            ]
            await until(wire.heard)
            number = board.press("panic_button")
            await until(lambda: board.repeats >= 3)
            assert board.acknowledged == set()  # told again and again, and not answered: it is not kept yet
            kept.set_result(None)
            await until(lambda: board.acknowledged == {number})
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        presses = [value for value in said if isinstance(value, Switch) and value.event == number]
        assert presses == [Switch(name="panic_button", on=True, event=number)]

    play(scene)
