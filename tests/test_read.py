"""``ringpost read``: lines for people and for programs, on files, ptys, serial servers and gpsd."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.cli.text_table import TextTable, cell
from agent.control.any_protocol import live_line
from firmware_bridge.catalogue import kinds
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import BoardState, Reading, Switch, Value
from firmware_bridge.sensors import board_frames
from firmware_bridge.sensors.board_frames import REPORT
from simulators.wire import Wire
from tests.test_architecture import ROOT
from tests.test_command_line import ringpost
from tests.test_gpsd import SKY, TPV, VERSION, lines
from tests.test_line import EPOCHS, Server
from tests.waiting import play, until

AT = datetime(2026, 11, 28, 6, 12, 31, 410_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("alt_m", 11.284, "alt 11.3 m"),
        ("speed_mps", 0.04, "speed 0.0 m/s"),
        ("course_deg", 87.0, "course 87.0°"),
        ("battery_pct", 71, "battery 71 %"),
        ("cn0_dbhz", 31.6, "cn0 32 dBHz"),
        ("satellites_seen", 14, "satellites seen 14"),
        ("hdop", 0.9, "hdop 0.9"),
        ("lat", -32.1, "32.100000°S"),
        ("home_lon", 118.7, "home 118.700000°E"),
        ("time", AT, "2026-11-28T06:12:31.410Z"),
        ("on", True, "on"),
        ("armed", False, "armed no"),
        ("failed", ("smoke", "tamper"), "failed smoke, tamper"),
        ("failed", (), ""),
        ("mode", None, ""),
        ("quantity", "depth_below_transducer", "depth_below_transducer"),
    ],
)
def test_a_cell(name: str, value: Any, text: str) -> None:
    assert cell(name, value) == text


def test_columns_line_up_by_kind() -> None:
    columns = TextTable()
    values: list[Value] = [
        Reading(quantity="depth", value=4.25, unit="m"),
        Switch(name="panic_button", on=True, event=7),
        Reading(quantity="wind_speed", value=11.0, unit="m/s"),
        Reading(quantity="depth", value=4.5, unit="m"),
        Switch(name="door", on=False),
        Drone(system=1, lat=32.05, lon=118.78, height_m=62.0, battery_pct=71),
        BoardState(failed=("smoke",), hears=True),
    ]
    assert [columns.line(AT, value) for value in values] == [
        "06:12:31.410  reading     depth  4.25  m",
        "06:12:31.410  switch      panic_button  on  event 7",
        "06:12:31.410  reading     wind_speed    11  m/s",
        "06:12:31.410  reading     depth        4.5  m",
        "06:12:31.410  switch      door          off",
        "06:12:31.410  drone       system 1  live  32.050000°N  118.780000°E  height 62.0 m  battery 71 %",
        "06:12:31.410  board state  restarts 0  failed smoke  hears yes",
    ]


def test_a_file_of_mixed_protocols(tmp_path: Path) -> None:
    path = tmp_path / "mixed.log"
    path.write_bytes(b"\x01\x02" + EPOCHS + b"$GPRMC,1*00\r\n" + board_frames.encode(REPORT, {0: 1850}))
    code, said, complained = ringpost("read", str(path), "--json")
    told = [json.loads(line) for line in said.splitlines()]
    assert code == 0
    assert [one["value"]["kind"] for one in told].count("fix") == 6
    assert told[-1]["value"] == {"kind": "reading", "quantity": "temperature", "value": 18.5, "unit": "degC"}
    assert {one["source"] for one in told} == {"mixed.log"}
    assert re.fullmatch(
        r"read: valid: 1 cobs, \d+ nmea; invalid: 1 nmea; 13 unrecognised bytes\n", complained
    )
    code, said, _ = ringpost("read", str(path), "--protocol", "sensor_board")
    assert [line[14:] for line in said.splitlines()[:-1]] == ["reading     temperature  18.5  degC"]


class Live:
    """``ringpost read`` in a process of its own: what it printed so far, line by line."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.said: list[str] = []
        self.complained: list[str] = []

    async def __aenter__(self) -> "Live":
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", "read", *self._arguments),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._tasks = [
            asyncio.ensure_future(self._gather(stream, into))
            for stream, into in ((self.process.stdout, self.said), (self.process.stderr, self.complained))
        ]
        return self

    async def _gather(self, stream: asyncio.StreamReader | None, into: list[str]) -> None:
        assert stream is not None
        async for line in stream:
            into.append(line.decode().rstrip("\n"))  # noqa: PERF401  each is looked at as it comes

    async def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return await self.ended()

    async def ended(self) -> int:
        await asyncio.wait(self._tasks)
        return await self.process.wait()

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@pytest.mark.slow
def test_a_device_until_it_is_interrupted(tmp_path: Path) -> None:
    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            async with Live(str(wire.path)) as live:
                await until(wire.ready)
                wire.write(EPOCHS)
                await until(lambda: len(live.said) == 6)
                assert await live.interrupt() == 0
                assert live.said[0][14:].startswith(
                    "fix         3d  32.100000°N  118.700000°E  2026-11-28T06:00:00"
                )
                assert (
                    live.said[-1]
                    == f"read: valid: {EPOCHS.count(b'$')} nmea; invalid: none; 0 unrecognised bytes"
                )
                assert live.complained == []
                assert wire.read() == b""  # it only listens, whatever kinds of device ask

    play(scene)


def test_a_device_that_is_unplugged(tmp_path: Path) -> None:
    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            async with Live(str(wire.path), "--json") as live:
                await until(wire.ready)
                wire.write(EPOCHS)
                await until(lambda: len(live.said) == 6)
                wire.unplug()
                assert await live.ended() == 1
                assert len(live.complained) == 2
                assert live.complained[1] == f"read: {wire.path}: unplugged (end of file)"

    play(scene)


@pytest.mark.slow
def test_a_serial_server_and_gpsd() -> None:
    async def scene() -> None:
        async with Server() as server:
            for source, words, kind in (
                (f"tcp://127.0.0.1:{server.port}", EPOCHS, "nmea"),
                (f"gpsd://127.0.0.1:{server.port}", lines(VERSION, SKY, TPV), "gpsd"),
            ):
                async with Live(source, "--json") as live:
                    await until(lambda: server.writers != [])
                    server.say(words)
                    await until(lambda: live.said != [])
                    told = json.loads(live.said[0])
                    assert told["source"] == f"127.0.0.1:{server.port}"
                    assert told["value"]["mode"] == "3d"
                    assert await live.interrupt() == 0
                    assert kind in live.complained[-1]
                server.hang_up()

    play(scene)


def test_a_kind_with_a_usual_speed_is_read_at_it() -> None:
    assert live_line("/dev/ttyUSB0", ("sensor_board",)).baud == 115200  # type: ignore[union-attr]
    assert live_line("/dev/ttyUSB0", ("nmea",)).baud is None  # type: ignore[union-attr]
    assert live_line("/dev/ttyUSB0", tuple(kinds())).baud is None  # type: ignore[union-attr]
    assert live_line("/dev/ttyUSB0", tuple(kinds()), 4800).baud == 4800  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("tcp://host", 2, "is not a host and port; write for example tcp://192.168.1.20:4001"),
        ("gpsd://", 2, "is not a host and port; write for example gpsd://192.168.1.20:2947"),
        ("ftp://host/file", 2, "neither a device path, such as /dev/ttyUSB0, nor tcp://host:port"),
        ("tcp://127.0.0.1:9", 1, "127.0.0.1:9 refused the connection: nothing listens there"),
        ("gpsd://127.0.0.1:9", 1, "127.0.0.1:9 refused the connection: nothing listens there"),
    ],
)
def test_what_can_not_be_read_gets_one_line(source: str, code: int, words: str) -> None:
    ended, said, complained = ringpost("read", source)
    assert (ended, said) == (code, "")
    assert complained.startswith("read: ")
    assert complained.endswith(words + "\n")
    assert complained.count("\n") == 1


def test_a_large_file_shows_how_far_it_is(tmp_path: Path) -> None:
    """Where standard error is a terminal and standard output is not."""
    path = tmp_path / "large.log"
    path.write_bytes(b"\xff" * 3_000_000)
    master, slave = pty.openpty()

    async def scene() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", "read", str(path)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=slave,
        )
        said, _ = await process.communicate()
        assert said == b"read: valid: none; invalid: none; 3000000 unrecognised bytes\n"

    play(scene)
    os.close(slave)
    assert b"100%" in os.read(master, 100_000)
    os.close(master)
