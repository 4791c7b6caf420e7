"""A serial source on a real pty: reads, is unplugged, comes back, is taken, falls silent, changes its speed."""

import asyncio
import gc
import os
import random
import re
import socket
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastcrc.crc16 import mcrf4xx
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.domain.observations import Observation
from agent.runtime.health import UNREADABLE, Health
from agent.runtime.supervisor import supervise
from bench.noisy_lines import DAMAGE, KEPT, measure
from firmware_bridge.catalogue import protocols
from firmware_bridge.gnss import ubx_encoder
from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.nmea.nmea import Nmea
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import Fix, LineState, Reading, Switch, Value
from firmware_bridge.sensors import board_frames
from firmware_bridge.sensors.board_frames import REPORT
from firmware_bridge.sensors.modbus import Modbus
from firmware_bridge.sensors.modbus_master import Register
from firmware_bridge.sensors.sensor_board import SensorBoard
from firmware_bridge.serial import devices, stream
from firmware_bridge.serial.framings import mavlink_ids
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import LineDecoder
from firmware_bridge.serial.port import open_port
from simulators.devices import Board
from simulators.line_faults import LINE_FAULTS
from simulators.wire import Wire
from tests.test_architecture import ROOT
from tests.waiting import play, until

AT = datetime(2026, 11, 28, tzinfo=UTC)
GOOD = Fix(mode="3d", lat=32.1, lon=118.7, alt_m=5.0)
EPOCH = gnss_encoder.encode(GOOD)
EPOCHS = b"".join(
    gnss_encoder.encode(replace(GOOD, time=datetime(2026, 11, 28, 6, 0, second, tzinfo=UTC)))
    for second in range(6)
)


def said_at(second: int) -> bytes:
    return gnss_encoder.encode(replace(GOOD, time=AT + timedelta(seconds=second)))


def start(line: SerialLine, said: list[Value]) -> "asyncio.Task[None]":
    return asyncio.ensure_future(line.run(said.append))  # type: ignore[arg-type]


def watch(line: SerialLine, said: list[Value], waits: list[float] | None = None) -> "asyncio.Task[None]":
    """The line, kept running as in an agent; ``waits`` notes how long it waits before each new try."""

    async def wait(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)
        await asyncio.sleep(seconds)

    return asyncio.ensure_future(
        supervise(
            "line",
            lambda: line.run(said.append),  # type: ignore[arg-type]
            lambda _: None,
            longest_wait_s=line.longest_wait_s,
            sleep=wait,
        )
    )


async def end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def fixes(said: list[Value]) -> list[Fix]:
    return [value for value in said if isinstance(value, Fix)]


def states(said: list[Value]) -> list[LineState]:
    return [value for value in said if isinstance(value, LineState)]


def open_files() -> int:
    """How many this process has; what earlier tests left to be collected is collected."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_receiver_is_read_and_its_end_is_an_error(tmp_path: Path) -> None:
    async def scene() -> None:
        said: list[Value] = []
        with Wire(tmp_path / "gnss") as wire:
            task = start(Nmea(port=str(wire.path)), said)
            await until(wire.ready)
            wire.write(EPOCH)
            await until(lambda: fixes(said) != [])
            wire.unplug()
            with pytest.raises(OSError, match=r"gnss: unplugged"):
                await asyncio.wait_for(task, 60)
        assert states(said)[-1].good == {"nmea": EPOCH.count(b"\n")}

    play(scene)


@pytest.mark.slow
@pytest.mark.parametrize("mute", [False, True], ids=["hung up", "mute"])
def test_thirty_times_unplugged_also_under_another_name(tmp_path: Path, mute: bool) -> None:
    """Each time it is tried again within 0.4 s, no half line is glued to the next, and nothing is left behind.

    ``mute``: the kernel reset the bus and left the old descriptor open, without an error and without a byte.
    """

    async def scene() -> None:
        said: list[Value] = []
        with Wire(tmp_path / "ttyUSB0") as wire:
            link = tmp_path / "by-id"
            link.symlink_to(wire.path)
            before: tuple[int, int] | None = None
            waits: list[float] = []

            def times() -> list[datetime | None]:
                return [fix.time for fix in fixes(said)]

            task = watch(Nmea(port=str(link)), said, waits)
            for number in range(3 if mute else 30):
                await until(wire.ready)
                wire.write(said_at(2 * number) + said_at(2 * number + 1))
                wire.write(EPOCH[: 10 + number])  # half a line, then it is gone
                await until(lambda: AT + timedelta(seconds=2 * number) in times())  # noqa: B023  awaited at once
                if not mute:
                    before = before or (open_files(), len(asyncio.all_tasks()))
                    assert (open_files(), len(asyncio.all_tasks())) == before
                    wire.unplug()
                else:
                    wire.go_mute()
                wire.plug(tmp_path / ("ttyUSB0" if number % 2 else "ttyUSB1"))
                link.unlink()
                link.symlink_to(wire.path)
            await end(task)
        assert max(waits) <= 0.4
        assert {(fix.lat, fix.lon) for fix in fixes(said)} == {(32.1, 118.7)}
        assert times() == [AT + timedelta(seconds=one) for one in range(6 if mute else 60)]
        assert sum(sum(state.bad.values()) for state in states(said)) == 0

    files = open_files()
    play(scene)
    assert open_files() == files


def test_a_second_agent_is_refused_and_told_who_holds_the_port(tmp_path: Path) -> None:
    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            async with open_port(str(wire.path), 9600):
                second = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "agent", "read", str(wire.path)),
                    cwd=ROOT,
                    stderr=subprocess.PIPE,
                )
                _, complaint = await second.communicate()
                assert second.returncode == 1
                (line,) = complaint.decode().splitlines()
                assert f"{wire.path} is in use by " in line
                assert line.endswith(f"({os.getpid()})")
            async with open_port(str(wire.path), 9600):  # and it is free again
                pass

    play(scene)


def test_who_does_not_ask_for_a_lock_does_not_get_in_either(tmp_path: Path) -> None:
    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            device = os.path.realpath(wire.path)
            os.chmod(device, 0o666)  # noqa: PTH101, S103  so that nothing but our lock is in the way
            async with open_port(str(wire.path), 9600):
                program = f"import os; os.getuid() or os.setuid(65534); os.open({device!r}, os.O_RDWR | os.O_NOCTTY)"
                done = subprocess.run(  # noqa: ASYNC221
                    [sys.executable, "-c", program], capture_output=True, text=True, check=False
                )
                assert "Device or resource busy" in done.stderr

    play(scene)


def test_who_came_first_without_a_lock_keeps_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two readers of one device would each get half of it. A pty may be held open by its own far end."""
    monkeypatch.setattr(devices, "PTYS", ())

    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            for _ in range(2):
                with (
                    wire.path.open("rb", buffering=0),
                    pytest.raises(OSError, match=rf"gnss is in use by .*\({os.getpid()}\)"),
                ):
                    async with open_port(str(wire.path), 9600):
                        pass
            async with open_port(str(wire.path), 9600):
                pass

    play(scene)


@pytest.mark.parametrize(
    ("path", "message"),
    [("/dev/nothing-here", "not found: unplugged"), ("/etc/hostname", "is not a serial device")],
)
def test_what_is_no_port_is_said(path: str, message: str) -> None:
    async def scene() -> None:
        with pytest.raises(OSError, match=message):
            async with open_port(path, 9600):
                pass

    play(scene)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"port": "gpsd://localhost"}, "kind: gpsd, host: localhost"),
        ({"port": "tcp://host"}, "not a host and port; write for example tcp://"),
        ({"port": "tcp://host:70000"}, "is not a host and port"),
        ({"port": "udp://host:1"}, "neither a device"),
        ({"port": "/dev/ttyUSB0", "also": ["ubix"]}, "unknown kind 'ubix'; known: .*nmea, "),
    ],
)
def test_a_port_that_can_not_be_is_refused_in_the_configuration(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Nmea(**wrong)


def test_several_protocols_on_one_line(tmp_path: Path) -> None:
    async def scene() -> None:
        said: list[Value] = []
        with Wire(tmp_path / "mixed") as wire:
            task = start(Nmea(port=str(wire.path), also=("sensor_board", "nmea")), said)
            await until(wire.ready)
            wire.write(EPOCH[:40])
            wire.write(EPOCH[40:] + board_frames.encode(REPORT, {0: 1850}) + b"$GP")
            await until(lambda: fixes(said) != [])
            await end(task)
        assert states(said)[-1].good == {"nmea": EPOCH.count(b"\n"), "cobs": 1}
        assert Reading(quantity="temperature", value=18.5, unit="degC") in said

    play(scene)


def test_a_line_of_garbage_is_opened_anew_and_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            task = start(Nmea(port=str(wire.path), silent_after_s=1), [])
            await until(wire.ready)
            await until(task.done, doing=lambda: wire.write(b"\x80\x81\x92" * 20), every_s=0.08)
            with pytest.raises(
                TimeoutError, match=r"gnss: no valid packets for 1 s; received bytes are not nmea$"
            ):
                await task

    play(scene)


class TestSpeed:
    """On a pty that stands for a line at a real speed: at another, its listener hears what a UART would."""

    @pytest.fixture(autouse=True)
    def ptys_have_a_speed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "PTYS", ())

    @pytest.mark.parametrize("baud", [4800, 38400, 115200])
    def test_it_is_found_out_and_tried_first_the_next_time(self, tmp_path: Path, baud: int) -> None:
        async def scene() -> None:
            said: list[Value] = []
            with Wire(tmp_path / "gnss", baud) as wire:
                for _ in range(2):
                    task = start(Nmea(port=str(wire.path)), said)
                    await until(wire.ready)
                    speeds = set[int]()

                    def speak(speeds: set[int] = speeds) -> None:
                        speeds.add(wire.reader_baud())
                        wire.write(EPOCHS)

                    await until(lambda task=task: fixes(said) or task.done(), doing=speak, every_s=0.03)
                    assert wire.reader_baud() == baud
                    assert {fix.lat for fix in fixes(said)} == {32.1}
                    await end(task)
                    assert states(said)[-1].baud == baud
                    said.clear()
                assert speeds == {baud}

        play(scene)

    def test_one_good_packet_is_not_enough_and_gives_no_value(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("firmware_bridge.serial.line.STATE_EVERY_S", 0.0)

        async def scene() -> None:
            said: list[Value] = []
            with Wire(tmp_path / "gnss") as wire:
                task = start(Nmea(port=str(wire.path)), said)
                await until(wire.ready)
                wire.write(EPOCH.splitlines(keepends=True)[1])
                await until(lambda: [state.good for state in states(said)[-2:]] == [{"nmea": 1}] * 2)
                assert fixes(said) == []  # also after a pause
                wire.write(EPOCH.splitlines(keepends=True)[0])
                await until(lambda: len(fixes(said)) == 1)
                await end(task)

        play(scene)

    def test_what_fits_no_speed_is_said(self, tmp_path: Path) -> None:
        async def scene() -> None:
            said: list[Value] = []
            with Wire(tmp_path / "gnss") as wire:
                task = start(Nmea(port=str(wire.path)), said)
                await until(wire.ready)
                await until(task.done, doing=lambda: wire.write(b"\x80\x81\x92" * 300), every_s=0.02)
                with pytest.raises(
                    TimeoutError, match=r"any speed from 4800 to 921600 baud; received bytes are not nmea$"
                ):
                    await task
            assert [type(value) for value in said] == [LineState]

        play(scene)

    def test_a_wrong_one_is_said_in_health_as_long_as_it_lasts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("firmware_bridge.serial.line.STATE_EVERY_S", 0.2)

        async def scene() -> None:
            health, now = Health(), asyncio.get_running_loop().time
            reasons: list[str] = []
            with Wire(tmp_path / "gnss", 4800) as wire:
                silent = (
                    f"gnss: {wire.path}: no valid packets for 1 s at 9600 baud; received bytes are not nmea"
                )
                line = Nmea(port=str(wire.path), baud=9600, silent_after_s=1)
                task = asyncio.ensure_future(
                    supervise(
                        "gnss",
                        lambda: line.run(
                            lambda value: health.on_observation(Observation("gnss", AT, now(), value))
                        ),
                        lambda running: health.set_running("gnss", running, now()),
                        longest_wait_s=line.longest_wait_s,
                    )
                )

                def speak() -> None:
                    wire.write(EPOCHS)
                    if said := " ".join(health.reasons(now())):
                        reasons.append(said)
                    assert said or not reasons

                await until(
                    lambda: silent in reasons and reasons[-1] == f"gnss: {UNREADABLE}",
                    doing=speak,
                    every_s=0.03,
                )
                await end(task)
            assert set(reasons) == {f"gnss: {UNREADABLE}", silent}

        play(scene)

    def test_one_that_is_configured_is_never_left(self, tmp_path: Path) -> None:
        async def scene() -> None:
            said: list[Value] = []
            with Wire(tmp_path / "gnss", 4800) as wire:
                task = start(Nmea(port=str(wire.path), baud=9600, silent_after_s=1), said)
                await until(wire.ready)

                def speak() -> None:
                    assert wire.reader_baud() == 9600
                    wire.write(EPOCHS)

                await until(task.done, doing=speak, every_s=0.03)
                with pytest.raises(
                    TimeoutError, match="no valid packets for 1 s at 9600 baud; received bytes are not"
                ):
                    await task
            assert [type(value) for value in said] == [LineState]
            assert said[0].skipped_bytes > 1000  # type: ignore[union-attr]

        play(scene)


def test_a_stuck_line_takes_no_more_and_is_still_read(tmp_path: Path) -> None:
    """The far end reads nothing: what it does not take is refused whole, and nobody waits."""

    async def scene() -> None:
        heard = bytearray()
        with Wire(tmp_path / "board") as wire:
            async with open_port(str(wire.path), 9600) as line:
                line.listen(heard.extend)
                sent = 0
                try:
                    while True:
                        line.write(bytes([sent & 0xFF]) * 700)
                        sent += 1
                except OSError as error:
                    assert str(error).endswith("board does not accept output: 700 bytes dropped")  # noqa: PT017
                wire.write(EPOCH)
                await until(lambda: bytes(heard) == EPOCH)
                taken = bytearray()
                async with asyncio.timeout(60):
                    while len(taken) < sent * 700:
                        taken += wire.read()
                        await asyncio.sleep(0)
                assert bytes(taken) == b"".join(bytes([number & 0xFF]) * 700 for number in range(sent))
                line.write(b"and again")
                assert not line.has_pending_output

    play(scene)


def test_what_waited_too_long_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "QUEUE_S", 60.0)

    async def scene() -> None:
        with Wire(tmp_path / "board") as wire:
            async with open_port(str(wire.path), 9600) as line:
                sent = 0
                while not line.has_pending_output:
                    line.write(b"a" * 1000)
                    sent += 1000
                line.write(b"b" * 1000)
                with monkeypatch.context() as later:
                    later.setattr(stream, "QUEUE_S", -1.0)  # as if what waits had waited too long
                    line.write(b"c")
                taken = bytearray()
                async with asyncio.timeout(60):
                    while not taken.endswith(b"c"):
                        taken += wire.read()
                        await asyncio.sleep(0)
                assert b"b" not in taken  # and what had begun is whole
                assert bytes(taken) == b"a" * sent + b"c"

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
            await until(wire.ready)
            number = board.press("panic_button")
            await until(lambda: board.repeats >= 3)
            assert board.acknowledged == set()  # told again and again, and not answered: it is not kept yet
            kept.set_result(None)
            await until(lambda: board.acknowledged == {number})
            await end(*tasks)
        presses = [value for value in said if isinstance(value, Switch) and value.event == number]
        assert presses == [Switch(name="panic_button", on=True, event=number)]

    play(scene)


class Server:
    """A serial server: what it is told goes to all who are connected."""

    async def __aenter__(self) -> "Server":
        self.writers: list[asyncio.StreamWriter] = []
        self.heard = bytearray()
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(OSError):
            while data := await reader.read(100):
                self.heard += data

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()
        self._server.close()

    def say(self, data: bytes) -> None:
        for writer in self.writers:
            writer.write(data)

    def hang_up(self) -> None:
        while self.writers:
            self.writers.pop().close()


def test_a_serial_server_is_read_and_found_again(tmp_path: Path) -> None:
    async def scene() -> None:
        said: list[Value] = []
        async with Server() as server:
            task = watch(Nmea(port=f"tcp://127.0.0.1:{server.port}"), said)
            for number in range(3):
                await until(lambda: server.writers != [])
                server.say(EPOCH + EPOCH[:33])
                await until(lambda: len(fixes(said)) > number)  # noqa: B023  awaited at once
                server.hang_up()
            await end(task)
        assert {fix.lat for fix in fixes(said)} == {32.1}
        assert len(fixes(said)) == 3
        assert states(said)[0] == LineState(good={"nmea": EPOCH.count(b"\n")})

    play(scene)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:9", "127.0.0.1:9 refused"),
        ("tcp://nowhere.invalid:4001", "unknown host nowhere.invalid"),
    ],
)
def test_a_serial_server_that_is_not_there_is_said(address: str, message: str) -> None:
    async def scene() -> None:
        with pytest.raises(OSError, match=message):
            async with open_port(address):
                pass

    play(scene)


@pytest.mark.parametrize(
    ("line", "least_s", "most_s"),
    [
        (Nmea(port="tcp://127.0.0.1:9"), 15.0, 30.0),
        (
            Modbus(port="tcp://127.0.0.1:9", registers=(Register(quantity="a", unit="V", address=1),)),
            15.0,
            30.0,
        ),
        (Gpsd(host="127.0.0.1", port=9), 15.0, 30.0),
        (Nmea(port="/dev/is-not-there"), 0.2, 0.4),
    ],
    ids=["nmea", "modbus", "gpsd", "a device"],
)
def test_a_server_that_refuses_is_asked_ever_more_seldom(line: Any, least_s: float, most_s: float) -> None:
    """A look at a device file costs nothing; a try at a server is one at another machine."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 12:
            raise asyncio.CancelledError

    async def scene() -> None:
        longest_s = line.longest_wait_s
        with pytest.raises(asyncio.CancelledError):
            await supervise(
                "line", lambda: line.run(lambda _: None), lambda _: None, longest_wait_s=longest_s, sleep=wait
            )

    play(scene)
    assert waits[0] <= 0.25
    assert all(least_s <= wait_s <= most_s for wait_s in waits[-3:])


@pytest.mark.slow
def test_a_noisy_line_gives_no_false_fix_and_loses_no_packet_that_is_whole(tmp_path: Path) -> None:
    """As ``python -m bench.noisy_lines``, shorter and faster."""

    async def scene() -> None:
        cases = [(protocol, name) for protocol in ("nmea", "ubx") for name in DAMAGE]
        for row in await asyncio.gather(
            *(measure(tmp_path, *case, seed, 1, 30_000, least=40) for seed, case in enumerate(cases))
        ):
            assert row.sent > 30
            assert row.false == 0
            assert row.kept >= KEPT
            assert row.recall > (0.9 if row.line == "nmea" else 0.5)

    play(scene)


def test_a_bad_line_says_nothing_false_and_is_heard_again_afterwards(tmp_path: Path) -> None:
    async def suffer(fault: str) -> None:
        said: list[Value] = []
        truth: list[Fix] = []
        with Wire(tmp_path / fault) as wire:
            task = watch(Nmea(port=str(wire.path), silent_after_s=1), said)

            async def say() -> None:
                second = len(truth)
                lat, time = round(32.1 + second / 1000, 3), AT + timedelta(seconds=second)
                truth.append(replace(GOOD, lat=lat, time=time))
                await until(wire.ready)
                wire.write(gnss_encoder.encode(truth[-1]))

            async def speak(epochs: int) -> None:
                goal = len(truth) + epochs
                await until(lambda: len(truth) >= goal, doing=say, every_s=0.02)

            await until(wire.ready)
            await speak(5)
            wire.line_fault = LINE_FAULTS[fault](random.Random(1))
            await speak(60)
            wire.line_fault = bytes

            def heard_again() -> bool:
                return bool(fixes(said)) and fixes(said)[-1].time in {fix.time for fix in truth[66:]}

            await until(heard_again, doing=say, every_s=0.02)
            await end(task)
        places = {fix.lat: fix.time for fix in truth}
        for fix in fixes(said):
            assert fix.mode == "none" or fix.time in (places[fix.lat], None), fault

    async def scene() -> None:
        await asyncio.gather(*map(suffer, LINE_FAULTS))

    play(scene)


content = st.binary(max_size=60) | st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=60
).map(str.encode)
"""Of packets: bytes, and what might be fields."""


def checked(kind: str, data: bytes) -> bytes:
    """A packet whose checksum is right, whatever stands in it."""
    if kind == "nmea":
        words = re.sub(rb"[^ -#%-)+-~]", b"", data).decode()
        return seal(f"{('GPRMC', 'GNGGA', 'GPGSV', 'IIMWV', 'SDDBT')[len(data) % 5]},{words}")
    if kind == "ais":
        return seal(f"AIVDM,1,1,,A,{''.join(chr(48 + byte % 40) for byte in data)},0").replace(b"$", b"!", 1)
    if kind == "ubx":
        return ubx_encoder.frame(data[0] if data else 7, data * 2, (1, 10, 39)[len(data) % 3])
    if kind == "cobs":
        return board_frames.encode(
            len(data) % 5, {one % 12: 7 * one - 300 for one in data[:20]}, len(data), len(data) % 4
        )
    number = (0, 1, 24, 30, 33, 253, 109, 147)[len(data) % 8]
    system, component = (byte & 7 for byte in data[:2].ljust(2, b"\1"))  # the wire has no more than 65,536
    head = bytes((len(data), 0, system, component, number)) + data
    return b"\xfe" + head + mcrf4xx(head + mavlink_ids()[number][0]).to_bytes(2, "little")


pieces = st.lists(
    content
    | st.builds(checked, st.sampled_from(["nmea", "ais", "ubx", "cobs", "mavlink"]), content)
    | st.just(EPOCH),
    max_size=12,
)


def everything() -> LineDecoder:
    return LineDecoder([decoder for make in protocols().values() for decoder in make()])


@pytest.mark.slow
@given(
    pieces,
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_whatever_comes_in_any_pieces_raises_nothing(
    said: list[bytes], sizes: list[int], pauses: list[bool]
) -> None:
    """All protocols listen; now and then it is quiet, and what is due is asked and answered."""
    ear = everything()
    stream = b"".join(said)
    at = step = 0
    while at < len(stream):
        size = sizes[step % len(sizes)]
        values = ear.feed(stream[at : at + size])
        if pauses[step % len(pauses)]:
            values += ear.pause()
            ear.replies()
            ear.next_request(float(step), {})
        assert all(Observation("line", AT, 0.0, value) for value in values)
        at, step = at + size, step + 1
    ear.pause()
    ear.state()


@pytest.mark.slow
def test_a_line_that_says_ever_new_things_is_remembered_in_bounded_memory() -> None:
    """Every checksum is right, every system, ship, event and satellite another."""
    noise = random.Random(1)
    ear = everything()

    def speak(packets: int) -> int:
        for number in range(packets):
            kind = ("nmea", "ais", "ubx", "cobs", "mavlink")[number % 5]
            ear.feed(checked(kind, noise.randbytes(noise.randrange(60))))
            ear.feed(checked(kind, noise.randbytes(28)))
            if number % 50 == 0:
                ear.pause()
                ear.replies()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = speak(4_000)
        after = speak(4_000)
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def test_a_serial_server_that_vanished_is_noticed_by_the_kernel() -> None:
    async def scene() -> None:
        async with Server() as server, open_port(f"tcp://127.0.0.1:{server.port}") as line:
            with socket.socket(fileno=os.dup(line.fd)) as connection:
                assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                idle_s, every_s, tries = (
                    connection.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                )
                assert idle_s + tries * every_s <= 30

    play(scene)
