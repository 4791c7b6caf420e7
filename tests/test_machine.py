"""The machine, by folders made to look like /proc and /sys; what is wrong, and that nothing flickers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.reporting.host_monitor import REPORTED_S, HostMonitor, HostState, read_host

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PI = {
    "proc/meminfo": "MemTotal:        3884848 kB\nMemFree:  99 kB\nMemAvailable:    2961234 kB\nHugePages_Total: 0\n",
    "proc/loadavg": "0.10 0.40 0.35 1/166 3921\n",
    "proc/uptime": "86412.33 300000.00\n",
    "proc/self/statm": "50000 12207 3000 1 0 9000 0\n",
    "sys/class/thermal/thermal_zone0/temp": "61835\n",
    "sys/class/thermal/thermal_zone1/temp": "-274000\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
}


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_raspberry_pi(tmp_path: Path) -> None:
    machine = read_host(tmp_path, {}, NOW, make(tmp_path, PI))
    assert (machine.memory_free_mb, machine.memory_total_mb) == (2961, 3884)
    assert (machine.temperature_c, machine.throttled, machine.up_s) == (61.8, 0x50005, 86412)
    assert machine.process_mb is not None
    assert machine.load is not None
    assert machine.disk_free_mb is not None
    assert machine.disk_total_mb is not None
    assert 0 < machine.disk_free_mb <= machine.disk_total_mb
    assert "throttle_count" not in machine.fields()


def test_a_pc_counts_how_often_it_was_slowed_down(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    files = {f"{cpu}/cpu{core}/thermal_throttle/core_throttle_count": f"{core + 3}\n" for core in range(2)}
    assert read_host(tmp_path, {}, NOW, make(tmp_path, files)).throttle_count == 7


def test_a_pi_without_its_firmware_file_has_a_voltage_monitor(tmp_path: Path) -> None:
    hwmon = {"sys/class/hwmon/hwmon1/name": "rpi_volt\n", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"}
    assert read_host(tmp_path, {}, NOW, make(tmp_path, hwmon)).throttled == 1


@pytest.mark.parametrize("garbage", ["", "x", "\xff", "12 13 14", "-1"])
def test_what_it_does_not_tell_or_tells_otherwise_is_absent(tmp_path: Path, garbage: str) -> None:
    assert read_host(tmp_path / "gone", {}, NOW, tmp_path / "empty").fields() == {}
    machine = read_host(tmp_path, {}, NOW, make(tmp_path, dict.fromkeys(PI, garbage)))
    assert machine.temperature_c is None


def test_the_machine_under_us_says_something() -> None:
    fields = read_host(Path("/"), {}, NOW).fields()
    assert {"disk_free_mb", "memory_free_mb", "load", "up_s", "process_mb"} <= set(fields)


WELL: dict[str, Any] = {
    "disk_free_mb": 20_000, "disk_total_mb": 32_000, "files_free": 10**6, "memory_free_mb": 2000,
    "memory_total_mb": 4000, "temperature_c": 55.0, "load": 0.4, "throttled": 0, "throttle_count": 3,
}  # fmt: skip
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"disk_free_mb": 900}, ["machine: the disk is nearly full"]),
    ({"disk_free_mb": 90, "disk_total_mb": 1000}, ["machine: the disk is nearly full"]),
    ({"disk_free_mb": 110, "disk_total_mb": 1000}, []),
    ({"files_free": 50}, ["machine: the disk has hardly any free inodes"]),
    ({"memory_free_mb": 250}, ["machine: memory is nearly used up"]),
    ({"memory_free_mb": 60, "memory_total_mb": 512}, []),
    ({"temperature_c": 81.0}, ["machine: temperature is high"]),
    ({"load": 5.0}, ["machine: CPU overloaded"]),
    ({"throttled": 0x50005}, ["machine: CPU is slowed down, supply voltage is too low"]),
    ({"throttled": 0x50000}, []),
    ({"certificates_days": {"broker.cert": 13, "broker.ca": 900}}, ["broker.cert: expires in 13 days"]),
    ({"certificates_days": {"broker.ca": -1}}, ["broker.ca: has expired, if this device's clock is right: it says 2026-11-28"]),
    (dict.fromkeys(WELL), []),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_what_is_wrong_is_said(change: dict[str, Any], said: list[str]) -> None:
    assert HostMonitor().troubles(HostState(**WELL | change), NOW, 0) == said


def test_a_clock_that_cannot_be_is_said() -> None:
    (said,) = HostMonitor().troubles(HostState(**WELL), datetime(1970, 1, 1, tzinfo=UTC), 0)
    assert said == "machine: its clock says 1970-01-01, which is wrong"


def test_what_hovers_at_a_limit_does_not_flicker() -> None:
    watch = HostMonitor()
    changes = 0
    last: list[str] = []
    for second in range(600):
        hovering = 1000 + (-60 if second % 2 else 60)
        hot = 80 + (-1.5 if second % 3 else 1.5)
        machine = HostState(**WELL | {"disk_free_mb": hovering, "temperature_c": hot})
        said = watch.troubles(machine, NOW, second)
        changes += said != last
        last = said
    assert changes <= 2
    assert watch.troubles(HostState(**WELL), NOW, 601) == []


def test_slowness_is_said_for_a_minute_after_the_last_time() -> None:
    watch = HostMonitor()
    said = []
    for second in range(200):
        count = 3 + (second >= 10) + (second >= 40)
        said.append(bool(watch.troubles(HostState(**WELL | {"throttle_count": count}), NOW, second)))
    assert said.index(True) == 10
    assert sum(said) == 30 + REPORTED_S


def test_certificates_of_the_configuration_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expiry(path: Path) -> datetime:
        if path.name == "gone.pem":
            raise FileNotFoundError(path)
        return NOW + timedelta(days=40, hours=3)

    monkeypatch.setattr("agent.reporting.host_monitor.expiry", expiry)
    named = {"broker.cert": Path("device.pem"), "broker.ca": Path("gone.pem")}
    assert read_host(tmp_path, named, NOW).certificates_days == {"broker.cert": 40}
