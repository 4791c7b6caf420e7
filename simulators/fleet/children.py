"""Child processes of a run: each prints JSON lines, takes words on its standard input, and ends with us."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
ENDED_WITHIN_S = 20.0
LINE_BYTES = 64 << 20


class ChildError(OSError):
    """A child ended, or said that it can't go on."""


class Child:
    """``python -m MODULE …``. Made by `start`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.said: dict[str, Any] = {}
        """All that it has said, the latest of each key."""
        self._process = process

    @classmethod
    async def start(cls, name: str, module: str, *words: str) -> Self:
        """OSError where no process can be started. What it writes to standard error is ours."""
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *words, env=environment, limit=LINE_BYTES,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours; we end it
        )  # fmt: skip
        return cls(name, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def until(self, key: str, progress: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """All that it has said once it has said ``key``. ChildError where it ends before."""
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        while line := await self._process.stdout.readline():
            self.said |= json.loads(line)
            if error := self.said.get("error"):
                raise ChildError(f"{self.name}: {error}")
            progress()
            if key in self.said:
                return self.said
        code = await self._process.wait()
        raise ChildError(f"{self.name} ended with code {code}")

    async def read_all(self) -> None:
        """Reads what it prints and forgets it, so that it never waits for us."""
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        while await self._process.stdout.read(65_536):
            pass

    def tell(self, word: str) -> None:
        """One word; nothing where it has ended."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(f"{word}\n".encode())

    async def end(self) -> None:
        """Ends it: SIGTERM, and SIGKILL after `ENDED_WITHIN_S`."""
        if self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), ENDED_WITHIN_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
