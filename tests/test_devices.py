"""``ringpost devices``, on /dev and /sys trees as kernels and udev make them, and on ptys."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.cli.devices import CONSOLE, Device, devices, devices_command, listen
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.readings import Fix
from firmware_bridge.serial.holders import held_by
from firmware_bridge.serial.port import open_port
from simulators.wire import Wire
from tests.waiting import until


class Machine:
    """What the kernel tells of: ``dev`` and ``sys``."""

    def __init__(self, root: Path) -> None:
        self.dev, self.sys, self.proc = root / "dev", root / "sys", root / "proc"
        for folder in (self.dev, self.sys / "class/tty", self.sys / "class/video4linux", self.proc):
            folder.mkdir(parents=True)
        (self.proc / "locks").write_text("")

    def devices(self) -> list[Device]:
        return list(devices(self.dev, self.sys, self.proc))

    def write(self, path: Path, **words: str) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        for name, word in words.items():
            (path / name).write_text(word + "\n")
        return path

    def usb(self, name: str, place: str, interface: str = "00", **words: str) -> None:
        """A USB adapter (ttyUSB: a port below the interface; ttyACM, video: the interface itself)."""
        device = self.write(
            self.sys / "devices/usb1" / place, **({"idVendor": "067b", "idProduct": "2303"} | words)
        )
        port = self.write(device / f"{place}:1.{int(interface)}", bInterfaceNumber=interface)
        if name.startswith("ttyUSB"):
            port = self.write(port / name)
        folder = self.sys / "class" / ("video4linux" if name.startswith("video") else "tty")
        entry = self.write(
            folder / name, **({"index": "0", "name": "Cam"} if name.startswith("video") else {})
        )
        (entry / "device").symlink_to(port)
        (self.dev / name).touch()

    def link(self, name: str, device: str) -> str:
        link = self.dev / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../{device}")
        return str(link)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_receiver_is_named_so_that_it_is_found_again(machine: Machine) -> None:
    machine.usb(
        "ttyACM0",
        "1-1",
        idVendor="1546",
        idProduct="01a8",
        manufacturer="u-blox AG",
        product="u-blox GNSS receiver",
    )
    by_id = machine.link("serial/by-id/usb-u-blox_AG_u-blox_GNSS_receiver-if00", "ttyACM0")
    by_path = machine.link("serial/by-path/pci-0000:00:14.0-usb-0:1:1.0", "ttyACM0")
    (device,) = machine.devices()
    assert device == Device(
        kind="serial", use=by_id, path=str(machine.dev / "ttyACM0"), by_id=by_id, by_path=by_path,
        description="u-blox AG u-blox GNSS receiver (1546:01a8)",
    )  # fmt: skip


def test_two_adapters_without_a_number_are_told_apart_by_their_place(machine: Machine) -> None:
    """udev has one name by id for both: it leads to the one that was plugged in last."""
    for number in (0, 1):
        machine.usb(f"ttyUSB{number}", f"1-{number}")
        machine.link(f"serial/by-path/usb-{number}", f"ttyUSB{number}")
    machine.link("serial/by-id/usb-Prolific", "ttyUSB1")
    assert [device.use.rpartition("/")[2] for device in machine.devices()] == ["usb-0", "usb-1"]
    assert all("use the name by path" in str(device.note) for device in machine.devices())


def test_two_ports_of_one_modem_are_no_twins(machine: Machine) -> None:
    for number in (0, 1):
        machine.usb(f"ttyUSB{number}", "1-1", f"0{number}")
        machine.link(f"serial/by-id/usb-Quectel-if0{number}", f"ttyUSB{number}")
    assert [device.use[-4:] for device in machine.devices()] == ["if00", "if01"]
    assert {device.note for device in machine.devices()} == {None}


def test_what_is_no_hardware_is_left_out_and_uarts_need_no_lasting_name(machine: Machine) -> None:
    tty = machine.sys / "class/tty"
    machine.write(tty / "tty1")
    machine.write(tty / "ttyS3/device")
    machine.write(tty / "ttyS3", type="0", console="N")
    machine.write(tty / "ttyAMA0/device")
    machine.write(tty / "ttyAMA0", type="32", console="N")
    machine.write(tty / "ttyS0/device")
    machine.write(tty / "ttyS0", type="4", console="Y")
    board, console = machine.devices()
    assert (board.use, board.note) == (str(machine.dev / "ttyAMA0"), None)
    assert (console.path, console.note) == (str(machine.dev / "ttyS0"), CONSOLE)


def test_cameras_without_their_metadata_and_without_udev(machine: Machine) -> None:
    machine.usb("video0", "1-2", product="HD Webcam")
    machine.usb("video1", "1-2", "01")
    (machine.sys / "class/video4linux/video1/index").write_text("1\n")
    (camera,) = machine.devices()
    assert (camera.kind, camera.use, camera.description) == (
        "camera",
        str(machine.dev / "video0"),
        "HD Webcam (067b:2303)",
    )
    assert "is udev running?" in str(camera.note)


def test_the_tenth_comes_after_the_ninth(machine: Machine) -> None:
    for number in (10, 9, 2):
        machine.usb(f"ttyUSB{number}", f"1-{number}", serial=str(number))
    assert [device.path[-2:] for device in machine.devices()] == ["B2", "B9", "10"]


def test_who_holds_it_is_said_by_name(machine: Machine, tmp_path: Path) -> None:
    machine.usb("ttyUSB0", "1-1")
    for pid, comm, cmdline in (
        (411, "gpsd", "gpsd\0-n"),
        (5, "python3", "python3\0-m\0agent\0run"),
        (77, "python3.12", "/usr/bin/python3\0/opt/venv/bin/ringpost\0run\0a.yaml"),
    ):
        machine.write(machine.proc / str(pid), comm=comm, cmdline=cmdline)
        machine.write(machine.proc / str(pid) / "fd")
        (machine.proc / str(pid) / "fd" / "3").symlink_to(machine.dev / "ttyUSB0")
    (device,) = machine.devices()
    assert device.held_by == ("python3 -m agent (5)", "ringpost (77)", "gpsd (411)")


def test_whose_files_we_may_not_see_is_known_by_its_lock(tmp_path: Path) -> None:
    async def scene() -> list[str]:
        with Wire(tmp_path / "gnss") as wire:
            async with open_port(str(wire.path), 9600):
                proc = tmp_path / "proc"
                proc.mkdir()
                (proc / "locks").write_text(Path("/proc/locks").read_text())
                return held_by(wire.path, proc)

    (holder,) = asyncio.run(scene())
    assert holder.startswith("a program (")


def test_what_is_spoken_is_heard_on_free_ports_only(tmp_path: Path) -> None:
    async def scene() -> list[Device]:
        with Wire(tmp_path / "a") as free, Wire(tmp_path / "b"), Wire(tmp_path / "c") as held:

            def device(name: str, *holders: str) -> Device:
                path = str(tmp_path / name)
                return Device(kind="serial", use=path, path=path, description="", held_by=holders)

            fix = gnss_encoder.encode(Fix(mode="3d", lat=32.1, lon=118.7))
            speaking = asyncio.ensure_future(until(lambda: False, doing=lambda: free.write(fix), every_s=0.1))
            heard = await listen([device("a"), device("b"), device("c", "gpsd (1)"), device("d")], 1)
            speaking.cancel()
            assert not held.is_open()
            return heard

    spoken, mute, held, gone = asyncio.run(scene())
    assert spoken.heard is not None
    assert spoken.heard.startswith("nmea (")
    assert mute.heard == "no data in 1 s"
    assert held.heard is None
    assert "not found: unplugged" in str(gone.heard)


def test_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is plugged in here."""
    assert devices_command(None, True) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert devices_command(None, False) == 0
    said = capsys.readouterr().out
    assert all(device["use"] in said for device in listed)
    assert listed or said == "no serial ports or cameras found\n"
