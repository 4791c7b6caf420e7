"""systemd's watchdog is fed by an agent that gets on, whatever is unplugged, and not by one that hangs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
schema_version: 1
device: watched-1
kind: watch_point
place: {ring: inner_city, domain: ground, site: gate, post: one}
broker: {url: "mqtt://127.0.0.1:9"}
sources:
  board: {kind: sensor_board, port: /dev/not-there}
"""


def test_the_agent_is_ready_alive_and_stopping_with_everything_unplugged(tmp_path: Path) -> None:
    """No broker, no board: it is degraded, and fed."""
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    systemd.settimeout(60)
    (tmp_path / "device.yaml").write_text(CONFIG)
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "400000"}
    command = [
        sys.executable,
        "-m",
        "agent",
        "run",
        str(tmp_path / "device.yaml"),
        "--data",
        str(tmp_path / "data"),
    ]
    agent = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        assert systemd.recv(100) == b"READY=1"
        began_s = time.monotonic()
        assert [systemd.recv(100) for _ in range(5)] == [b"WATCHDOG=1"] * 5
        assert time.monotonic() - began_s >= 0.3
        agent.send_signal(signal.SIGSTOP)  # as if it hung: nobody feeds it
        time.sleep(0.3)
        systemd.settimeout(0.5)
        said = [b"WATCHDOG=1"]
        while said[-1]:  # what was sent before
            try:
                said.append(systemd.recv(100))
            except TimeoutError:
                said.append(b"")
        assert len(said) < 6
        agent.send_signal(signal.SIGCONT)
        systemd.settimeout(60)
        assert systemd.recv(100) == b"WATCHDOG=1"
        agent.terminate()
        while (said := systemd.recv(100)) == b"WATCHDOG=1":
            pass
        assert said == b"STOPPING=1"
        assert agent.wait(60) == 0
    finally:
        agent.kill()
        agent.wait()
        systemd.close()
