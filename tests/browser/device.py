"""``ringpost console`` in a process of its own, and a browser that has logged in to it."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.browser.rig import CHROMIUM, DESK, note_foreign

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_S = 90.0


class ConsoleProcess:
    """A running console. Each address opens one session."""

    def __init__(self, output: Path, process: subprocess.Popen[bytes]) -> None:
        self._output, self.process = output, process

    def output(self) -> str:
        return self._output.read_text()

    async def address(self) -> str:
        """The newest address with its token."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not (found := re.findall(r"https?://\S+token=\S+", self.output())):
                assert self.process.poll() is None, self.output()
                await asyncio.sleep(0.1)
        return str(found[-1])


@contextmanager
def console(folder: Path, *options: str) -> Iterator[ConsoleProcess]:
    """The console for the data directory ``folder/data``."""
    output = folder / "console.log"
    command = [sys.executable, "-u", "-m", "agent", "console", "--data", str(folder / "data"), "--no-open",
               "--port", str(_free_port()), *options]  # fmt: skip
    (folder / "data").mkdir(exist_ok=True)
    with output.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=dict(os.environ))
    try:
        yield ConsoleProcess(output, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def browser(size: dict[str, int] = DESK, **context: Any) -> AsyncIterator[Any]:
    """A page of a fresh browser profile. Requests to elsewhere and errors of scripts fail the test."""
    from playwright.async_api import async_playwright

    elsewhere: list[str] = []
    errors: list[str] = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await (await chromium.new_context(viewport=size, **context)).new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: note_foreign(request.url, elsewhere))
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            yield page
        finally:
            await chromium.close()
    assert elsewhere == []
    assert errors == []


async def until(check: Callable[[], Any], within_s: float = 60.0, what: str = "") -> Any:
    """Waits until ``check()``, awaited, is true; its value."""
    try:
        async with asyncio.timeout(within_s):
            while not (found := await check()):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what or 'it'} did not come within {within_s:g} s") from None
    return found
