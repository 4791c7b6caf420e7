"""Which hosts and ports a push may name: those in ``allow``, and those of the file at the device."""

import os
from pathlib import Path

import pytest

from agent.config.allow import Allow
from agent.config.push_policy import policy_violations
from agent.domain.yaml_loader import BadConfig
from firmware_bridge.serial import devices
from firmware_bridge.serial.devices import is_serial
from tests.pushed_configurations import LOCAL_FILE, NEW, add, config, swap

ALLOW = (
    "allow: {hosts: [192.0.2.0/24, '*.cam.example', gps.example, '2001:db8::/32'],"
    " network_ports: [554, 8883, 4001], serial_ports: ['/dev/serial/by-id/*']}\n"
)


def found(text: str, now: str | None = None, bounds: str = ALLOW) -> list[str]:
    local = config(LOCAL_FILE + bounds)
    running = local if now is None else config(now + bounds)
    return [f"{path}: {error}" for path, error in policy_violations(config(text + bounds), running, local)]


WITHIN = [
    ("nothing", LOCAL_FILE),
    ("camera", add(NEW + 'rtsp://192.0.2.77/1"}')),
    ("camera by name", add(NEW + 'rtsp://a.cam.example:554/1"}')),
    ("camera of IPv6", add(NEW + 'rtsp://[2001:db8::5]/1"}')),
    ("mapped", add(NEW + 'rtsp://[::ffff:192.0.2.77]/1"}')),
    ("serial server", add("{kind: nmea, port: 'tcp://GPS.example.:4001'}")),
    ("modbus", add("{kind: modbus, port: 'tcp://192.0.2.9:4001', contacts: [{name: a, address: 1}]}")),
    ("device", add("{kind: nmea, port: /dev/serial/by-id/usb-1}")),
    ("own camera, other path", swap(("192.0.2.20/stream1", "192.0.2.20/stream2"))),
]
BEYOND = [
    ("broker", swap(("mqtts://broker.example", "mqtts://elsewhere.example")), "broker.url: the host elsewhere.example is not in allow.hosts (192.0.2.0/24, *.cam.example"),
    ("fallback", swap(("{url:", "{fallbacks: ['mqtts://elsewhere.example'], url:")), "broker.fallbacks.0: the host elsewhere.example is not in allow.hosts"),
    ("broker's port", swap(("mqtts://broker.example", "mqtts://broker.example:8884")), "broker.url: the host broker.example is not"),
    ("camera", add(NEW + 'rtsp://198.51.100.1/1"}'), "sources.new.url: the host 198.51.100.1 is not in allow.hosts"),
    ("one number", add(NEW + 'rtsp://3325256705/1"}'), "sources.new.url: the host 198.51.100.1 is not in"),
    ("web page", add(NEW + 'http://192.0.2.77/1"}'), "sources.new.url: the port 80 is not in allow.network_ports (554, 8883, 4001)"),
    ("UDP", add(NEW + 'udp://239.1.1.1:554"}'), "sources.new.url: the host 239.1.1.1 is not in"),
    ("serial server", add("{kind: ais, port: 'tcp://10.0.0.1:4001'}"), "sources.new.port: the host 10.0.0.1 is not in"),
    ("its port", add("{kind: ais, port: 'tcp://192.0.2.9:22'}"), "sources.new.port: the port 22 is not in"),
    ("gpsd", add("{kind: gpsd, host: 10.0.0.1}"), "sources.new.port: the host 10.0.0.1 is not in"),
    ("modbus", add("{kind: modbus, port: 'tcp://10.0.0.1:4001', contacts: [{name: a, address: 1}]}"), "sources.new.port: the host 10.0.0.1 is"),
    ("device", add("{kind: nmea, port: /dev/ttyUSB7}"), "sources.new.port: the port /dev/ttyUSB7 is not in allow.serial_ports (/dev/serial/by-id/*)"),
    ("dotted device", add("{kind: nmea, port: /dev/serial/by-id/../../ttyUSB7}"), "sources.new.port: the port /dev/serial/by-id/../../ttyUSB7 is not in"),
    ("nothing allowed", add(NEW + 'rtsp://192.0.2.77/1"}'), "sources.new.url: the host 192.0.2.77 is not in allow.hosts (none)"),
]  # fmt: skip


@pytest.mark.parametrize("text", [case[1] for case in WITHIN], ids=[case[0] for case in WITHIN])
def test_what_a_push_may_name(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(("text", "error"), [case[1:] for case in BEYOND], ids=[case[0] for case in BEYOND])
def test_what_no_push_may_name(text: str, error: str) -> None:
    bounds = "allow: {hosts: []}\n" if "(none)" in error else ALLOW
    assert [said[: len(error)] for said in found(text, bounds=bounds)] == [error]


def test_what_an_earlier_push_named_is_bound_too() -> None:
    """The file at the device decides, also where it was edited since."""
    pushed = add(NEW + 'rtsp://198.51.100.1/1"}')
    assert len(found(pushed, now=pushed)) == 1


@pytest.mark.parametrize("host", ["", "a b", "192.0.2.0/33", "rtsp://a", "h:554"])
def test_a_wrong_bound_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"host|network"):
        Allow(hosts=(host,))


SPECIAL = [
    ("/dev/ptmx", "/dev/ptmx is not a serial port"),
    ("/dev/null", "/dev/null is not a serial port"),
    ("/dev/tty", "/dev/tty is not a serial port"),
    ("/dev/zero", "/dev/zero is not a serial port"),
    ("/dev/../etc/passwd", "a push can name serial ports below /dev only"),
    ("/etc/passwd", "a push can name serial ports below /dev only"),
    ("ttyUSB0", "a push can name serial ports below /dev only"),
    ("/dev/fd/0/../../../etc/passwd", "a push can name serial ports below /dev only"),
    ("/dev/shm", "/dev/shm is not a serial port"),
]


@pytest.mark.parametrize(("port", "error"), SPECIAL)
def test_no_push_opens_another_device(port: str, error: str) -> None:
    said = found(add(f"{{kind: nmea, port: {port}}}"), bounds="")
    assert said == [f"sources.new.port: {error}; edit the file at the device"]


def test_no_push_opens_a_terminal_or_the_console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "active").write_text("tty0 ttyS0\n")
    monkeypatch.setattr(devices, "CONSOLES", tmp_path / "active")
    console = found(add("{kind: nmea, port: /dev/ttyS0}"), bounds="")
    assert console == [
        "sources.new.port: /dev/ttyS0 is the console of this machine; edit the file at the device"
    ]
    master, slave = os.openpty()
    try:
        terminal = os.ttyname(slave)
        said = found(add(f"{{kind: nmea, port: {terminal}}}"), bounds="")
        assert said == [
            f"sources.new.port: {terminal} is a terminal of another program; edit the file at the device"
        ]
        named = LOCAL_FILE.replace("/dev/ttyACM0", terminal)  # the file at the device may name it
        local = config(named)
        assert list(policy_violations(local, local, local)) == []
        assert is_serial(Path(terminal).stat())
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("major", "minor", "serial"),
    [(1, 3, False), (5, 0, False), (5, 1, False), (5, 2, False), (4, 0, False), (4, 63, False), (4, 64, True), (188, 0, True), (166, 0, True), (136, 5, True)],
)  # fmt: skip
def test_which_devices_are_serial_ports(
    monkeypatch: pytest.MonkeyPatch, major: int, minor: int, serial: bool
) -> None:
    monkeypatch.setattr(devices, "_subsystem", lambda _: None)
    status = os.stat_result([0o020660, 0, 0, 1, 0, 0, 0, 0, 0, 0], {"st_rdev": os.makedev(major, minor)})
    assert is_serial(status) == serial


@pytest.mark.parametrize(
    "source",
    [
        NEW + "rtsp://" + "a" * 2000 + '/x"}',
        "{kind: nmea, port: 'tcp://" + "a" * 500 + ":1'}",
        "{kind: gpsd, host: " + "a" * 254 + "}",
    ],
)
def test_no_address_is_long_enough_to_take_seconds(source: str) -> None:
    with pytest.raises(BadConfig, match="at most"):
        config(add(source))
