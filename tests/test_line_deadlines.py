"""A line sleeps until its next deadline, and misses none: in virtual time, to the hundredth of a second."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from firmware_bridge.drone_readings import Drone
from firmware_bridge.mavlink.mavlink import Mavlink
from firmware_bridge.readings import BoardState, LineState
from firmware_bridge.sensors import board_frames
from firmware_bridge.sensors.board_frames import HELLO, PING, READ_ANSWER, REPORT
from firmware_bridge.sensors.sensor_board import SensorBoard
from firmware_bridge.serial import line as line_module
from firmware_bridge.serial.framings import mavlink_ids
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.port import use_ports
from firmware_bridge.serial.sniffer import Sniffer
from firmware_bridge.serial.stream import Stream
from firmware_bridge.source import OutputRequests
from simulators.virtual.loop import VirtualLoop


@dataclass
class Rig:
    """A source on a socket pair, what it emits, and when."""

    source: SerialLine
    wanted: dict[str, float] = field(default_factory=dict)
    emitted: list[tuple[float, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hardware, self._ours = socket.socketpair()
        self.hardware.setblocking(False)
        self._ours.setblocking(False)
        self.began_s = asyncio.get_running_loop().time()
        self.outputs = OutputRequests(lambda: self.wanted)
        use_ports(self._open)
        self.task = asyncio.ensure_future(self.source.run(self._emit, self.outputs))

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time() - self.began_s

    @asynccontextmanager
    async def _open(self, path: str, _baud: int | None, _parity: str) -> AsyncIterator[Stream]:
        stream = Stream(self._ours.fileno(), path)
        try:
            yield stream
        finally:
            stream.detach()

    def _emit(self, value: Any) -> None:
        self.emitted.append((self.now_s, value))

    def sent(self) -> bytes:
        try:
            return self.hardware.recv(4096)
        except BlockingIOError:
            return b""

    async def report(self, times: int = 1, every_s: float = 1.0) -> None:
        for number in range(times):
            self.hardware.send(board_frames.encode(REPORT, {"seq": number, "boot": 1, 0: 2100}))
            for _ in range(10):
                await asyncio.sleep(every_s / 10)
                self.answer()

    def answer(self) -> None:
        """The board answers what it was asked."""
        for packet in Sniffer(("cobs",)).feed(self.sent()):
            message = board_frames.parse(packet.data)
            if message is not None and message.command in (PING, HELLO):
                content = {"boot": 1, "uid": "b1"}
                self.hardware.send(
                    board_frames.encode(message.command, content, message.sequence, READ_ANSWER)
                )

    def at(self, wanted: Callable[[Any], bool]) -> float:
        """When the first such value was emitted."""
        return next(at_s for at_s, value in self.emitted if wanted(value))


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())


def test_a_line_with_a_report_a_second_wakes_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[float] = []
    on_tick = line_module._LineSession.on_tick
    monkeypatch.setattr(
        line_module._LineSession, "on_tick", lambda one, now_s: (ticks.append(now_s), on_tick(one, now_s))[1]
    )

    async def scene() -> None:
        rig = Rig(SensorBoard(port="/dev/board", outputs=("siren",)))
        await rig.report(100)
        assert len(ticks) < 150
        assert max(after - before for before, after in pairwise(ticks)) < 1.21
        states = [at_s for at_s, value in rig.emitted if isinstance(value, LineState)]
        assert len(states) >= 18
        rig.task.cancel()

    play(scene)


def test_an_output_is_asked_for_at_once() -> None:
    async def scene() -> None:
        rig = Rig(SensorBoard(port="/dev/board", outputs=("siren",)))
        await rig.report(7)
        rig.sent()
        rig.wanted["siren"] = 20.0
        rig.outputs.on_change()
        await asyncio.sleep(0.011)
        assert rig.sent()
        rig.task.cancel()

    play(scene)


def test_a_board_that_does_not_answer_is_told_in_time() -> None:
    async def scene() -> None:
        rig = Rig(SensorBoard(port="/dev/board"))
        await asyncio.sleep(3)
        assert rig.at(lambda value: isinstance(value, BoardState) and value.hears is False) < 0.9
        rig.task.cancel()

    play(scene)


def test_a_silent_line_ends_in_time() -> None:
    async def scene() -> None:
        rig = Rig(SensorBoard(port="/dev/board", silent_after_s=7.3))
        await rig.report(4)
        with pytest.raises(TimeoutError, match="no valid packets for 7 s"):
            await rig.task
        assert rig.now_s == pytest.approx(3 + 7.3, abs=0.15)

    play(scene)


@pytest.mark.skipif(not mavlink_ids(), reason="needs the extra radio: pip install -e .[radio]")
def test_a_vehicle_that_falls_silent_is_lost_in_time() -> None:
    from tests.test_mavlink import Sender

    async def scene() -> None:
        rig = Rig(Mavlink(port="/dev/radio"))
        rig.hardware.send(Sender().heartbeat())
        await asyncio.sleep(12)
        lost_s = rig.at(lambda value: isinstance(value, Drone) and value.state == "lost")
        assert lost_s == pytest.approx(5.0, abs=0.27)
        rig.task.cancel()

    play(scene)
