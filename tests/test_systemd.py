"""systemd is told by a datagram; the watchdog is fed while the agent gets on; the unit file is one."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runtime.systemd import STUCK_AFTER_S, Liveness, notify, watchdog_s

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "configs/ringpost.service"
CLOCK_UNIT = ROOT / "configs/ringpost-clock.service"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(20)
        yield line


def test_a_state_is_a_datagram(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    notify("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_an_abstract_address_begins_with_an_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0ringpost-test-{os.getpid()}")
        line.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@ringpost-test-{os.getpid()}")
        notify("STOPPING=1")
        assert line.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/not/there", "vsock:2:1234"])
def test_elsewhere_it_says_nothing(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("120000000", None, 120.0),
        ("120000000", "own", 120.0),
        ("120000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_how_often_systemd_wants_to_hear(
    usec: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_s() == seconds


def test_progress_is_a_tick_and_a_write_that_ends() -> None:
    progress = Liveness(0)
    assert progress.stuck_reason(STUCK_AFTER_S) is None
    assert progress.stuck_reason(STUCK_AFTER_S + 1) == "no tick for 91 s"
    for second in range(1000):
        progress.on_tick(second)
    progress.on_pending(1000)
    progress.on_tick(1000 + STUCK_AFTER_S)
    progress.on_pending(1000 + STUCK_AFTER_S)  # it waits since the first time
    assert progress.stuck_reason(1000 + STUCK_AFTER_S) is None
    assert progress.stuck_reason(1001 + STUCK_AFTER_S) == "nothing was written for 91 s"
    progress.on_write()
    assert progress.stuck_reason(1001 + STUCK_AFTER_S) is None


def rated(text: str, folder: Path) -> float:
    """The exposure of a unit, 0 to 10."""
    unit = folder / "ringpost.service"
    unit.write_text(re.sub(r"/opt/ringpost/.venv/bin/\S+", "/bin/true", text))
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=100", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "Unknown command" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("needs systemd 250 or later, which can rate a file")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout[-600:] + done.stderr
    return float(found[1])


def test_the_unit_file_is_one(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    unit = tmp_path / "ringpost.service"
    unit.write_text(UNIT.read_text().replace("/opt/ringpost/.venv/bin/ringpost", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert "ringpost" not in verified.stderr.replace(str(tmp_path), ""), verified.stderr


def test_the_unit_file_shuts_most_doors(tmp_path: Path) -> None:
    """2.4 before. What remains: network, serial ports and cameras."""
    text = UNIT.read_text()
    assert rated(text, tmp_path) <= 1.3
    assert rated(text.replace("# IPAddress", "IPAddress"), tmp_path) <= 1.3
    assert rated(CLOCK_UNIT.read_text(), tmp_path) <= 1.5


@pytest.mark.parametrize(
    "wanted",
    ["Type=notify", "Restart=always", "WatchdogSec=120", "UMask=0077", "LoadCredential=mqtt-key",
     "OOMPolicy=continue", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=",
     "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateMounts=yes", "PrivateUsers=yes",
     "RemoveIPC=yes", "ProtectProc=invisible", "MemoryDenyWriteExecute=yes", "LimitCORE=0", "KeyringMode=private",
     "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6", "SystemCallFilter=~@privileged @resources @clock",
     "ProtectClock=yes", "DevicePolicy=closed",
     "NoExecPaths=/var/lib/ringpost /tmp /var/tmp /dev/shm"],
)  # fmt: skip
def test_the_unit_file_sets(wanted: str) -> None:
    assert wanted in UNIT.read_text().splitlines()


@pytest.mark.parametrize("unwanted", ["ProcSubset=", "IPAddressDeny=", "PrivateDevices="])
def test_the_unit_file_leaves_the_agent_what_it_needs(unwanted: str) -> None:
    """Memory and boot id, a broker anywhere, serial ports."""
    assert not any(line.startswith(unwanted) for line in UNIT.read_text().splitlines())


def allowed_calls() -> set[str]:
    """The system calls that the unit allows, by systemd's own lists."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True, check=True)  # fmt: skip
    sets: dict[str, list[str]] = {}
    for line in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines():
        if line.startswith("@"):
            sets[line.strip()] = []
        elif line.strip() and not line.strip().startswith("#") and sets:
            sets[list(sets)[-1]].append(line.strip())

    def expand(name: str) -> set[str]:
        return set().union(*map(expand, sets[name])) if name.startswith("@") else {name}

    allowed = expand("@default")
    for line in UNIT.read_text().splitlines():
        if line.startswith("SystemCallFilter="):
            words = line.partition("=")[2]
            found = set().union(*map(expand, words.removeprefix("~").split()))
            allowed = allowed - found if words.startswith("~") else allowed | found
    return allowed


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_agent_keeps_the_calls_that_it_makes() -> None:
    allowed = allowed_calls()
    assert {
        "openat",
        "execve",
        "connect",
        "fchmod",
        "fsync",
        "flock",
        "ioctl",
        "memfd_create",
    } <= allowed
    assert not {"mount", "ptrace", "clock_settime", "settimeofday", "init_module", "kexec_load", "bpf", "chown",
                "setuid", "reboot", "kexec_file_load", "open_by_handle_at", "swapon"} & allowed  # fmt: skip
