"""A real device with its console, for tests in a real browser: agent, broker, centre, ptys, and the pages."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulators.scene import Scene
from tests.end_to_end.rig import BROKER, Rig, rig

WITHIN_S = 120.0


class Stand:
    """The device runs in a loop of its own thread, so that playwright's calls may block."""

    def __init__(self, device: Rig, loop: asyncio.AbstractEventLoop, base: str, token_url: str) -> None:
        self.device, self._loop = device, loop
        self.base = base
        """Without a slash at its end."""
        self.token_url = token_url
        """Opens a session once."""

    def run(self, job: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine of the device."""
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(WITHIN_S)

    def until(self, check: Callable[[], bool], what: str = "") -> None:
        """Waits for something that the device says."""
        self.run(self.device.until(check, WITHIN_S, what))

    def restart_agent(self) -> None:
        """kill -9, and a start."""
        self.device.end_agent(signal.SIGKILL)
        self.device.start_agent()


@contextmanager
def stand(
    folder: Path, scene: Scene | None = None, edit: Callable[[str], str] | None = None, *options: str
) -> Iterator[Stand]:
    """A device that runs, with its console. ``edit`` changes its configuration first; ``options`` are those of
    ``ringpost console``. The key that signs is given, so that the page may order anything."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="device", daemon=True)
    thread.start()
    made = rig(folder, BROKER, scene)
    device: Rig = asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(WITHIN_S)
    console: subprocess.Popen[bytes] | None = None
    try:
        if edit is not None:
            device.config.write_text(edit(device.config.read_text()))
        device.start_agent()
        applied = device.until(
            lambda: device.last("config/reported").get("state") == "applied", WITHIN_S, "a start"
        )
        asyncio.run_coroutine_threadsafe(applied, loop).result(WITHIN_S + 10)
        port, log = _free_port(), folder / "console.log"
        command = [sys.executable, "-m", "agent", "console", str(device.config), "--data", str(folder / "data"),
                   "--port", str(port), "--no-open", "--signing-key", str(device.key_file), *options]  # fmt: skip
        with log.open("wb") as file:
            console = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, "DISPLAY": ""})
        yield Stand(device, loop, f"http://127.0.0.1:{port}", _address(log, console))
    finally:
        if console is not None:
            console.terminate()
            console.wait(60)
        asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result(WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)


def _address(log: Path, console: subprocess.Popen[bytes]) -> str:
    """The address with its token, once the console serves."""
    until_s = time.monotonic() + WITHIN_S
    while time.monotonic() < until_s:
        found = re.search(r"http://\S+", log.read_text())
        if found is not None:
            return found[0]
        if console.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"the console does not serve: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
