"""systemd is told by a datagram; the watchdog is fed while the agent gets on; the unit file is one."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runtime.systemd import STUCK_AFTER_S, Liveness, notify, watchdog_s

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "configs/ringpost.service"


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


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt-get install systemd"
)
def test_the_unit_file_is_one_and_shuts_most_doors(tmp_path: Path) -> None:
    unit = tmp_path / "ringpost.service"
    unit.write_text(UNIT.read_text().replace("/opt/ringpost/.venv/bin/ringpost", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert "ringpost" not in verified.stderr.replace(str(tmp_path), ""), verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "Unknown command" in rated.stderr or "unrecognized" in rated.stderr:
        pytest.skip("needs systemd 250 or later, which can rate a file")
    assert rated.returncode == 0, rated.stdout[-600:]


def test_the_unit_file_restarts_and_watches() -> None:
    lines = UNIT.read_text().splitlines()
    for wanted in (
        "Type=notify",
        "Restart=always",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "WatchdogSec=120",
    ):
        assert wanted in lines
