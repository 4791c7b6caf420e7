"""A real broker for demo and tests: mosquitto where it is installed, else rumqttd from the wheel iotcore.

It runs as a child process on 127.0.0.1, so that tests can stop and kill it, and start it again on the same
port. docs/decisions/0004 lists where rumqttd differs from mosquitto.
"""

import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

Kind = Literal["auto", "mosquitto", "rumqttd"]

_RUMQTTD = """
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 1048576
    max_inflight_count = 200
"""

_MOSQUITTO = """
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
persistence {persistence}
persistence_location {folder}/
"""

_SERVE = "from iotcore._serve import main; main()"


class LocalBroker:
    """``with LocalBroker() as broker: broker.url``. ``stop`` and ``start`` keep the port."""

    def __init__(self, kind: Kind = "auto", port: int = 0, *, persistent: bool = False) -> None:
        if kind == "auto":
            kind = "mosquitto" if mosquitto_path() else "rumqttd"
        self.kind = kind
        self.port = port or free_port()
        self._persistent = persistent
        self.more = ""
        """Further lines of mosquitto's configuration, from its next start on."""
        self._folder = tempfile.TemporaryDirectory(prefix="ringpost-broker-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running broker."""
        assert self._process is not None  # noqa: S101  it was started
        return self._process.pid

    @property
    def keeps_sessions(self) -> bool:
        """Whether sessions and retained messages survive `stop` and `start`."""
        return self.kind == "mosquitto" and self._persistent

    def forget_sessions(self) -> None:
        """While it is stopped: its next start has neither sessions nor retained messages."""
        (Path(self._folder.name) / "mosquitto.db").unlink(missing_ok=True)

    def start(self, within_s: float = 30.0) -> None:
        """Starts the broker and waits until it listens. OSError where it does not."""
        self._process = subprocess.Popen(
            self._command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise OSError(f"{self.kind} ended at its start with code {self._process.returncode}")
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"{self.kind} does not listen on port {self.port} after {within_s:g} s")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the broker; ``signal.SIGKILL`` as a power cut would."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def _command(self) -> list[str]:
        folder = Path(self._folder.name)
        if self.kind == "mosquitto":
            path = mosquitto_path()
            if path is None:
                raise FileNotFoundError("mosquitto is not installed; install it, or use rumqttd")
            config = folder / "mosquitto.conf"
            persistence = "true" if self._persistent else "false"
            text = _MOSQUITTO.format(port=self.port, persistence=persistence, folder=folder)
            config.write_text(text + self.more)
            folder.chmod(0o777)  # mosquitto started by root drops its privileges
            return [path, "-c", str(config)]
        config = folder / "rumqttd.toml"
        config.write_text(_RUMQTTD.format(port=self.port))
        return [sys.executable, "-c", _SERVE, f'{{"config_path": "{config}"}}']


def mosquitto_path() -> str | None:
    """The path of mosquitto; Debian installs it outside the users' PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port on loopback that nobody listens on just now.

    Below the range for outgoing connections, so that none of them takes it before the broker listens or while
    it is stopped. OSError where none is found.
    """
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port between 20000 and 32000 on 127.0.0.1")
