"""Names that nobody resolves take long: they hold up one another, and nothing else."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from agent.runtime.name_resolution import resolve_names_apart


def test_a_name_that_hangs_holds_no_thread_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        ended.wait(180)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        resolve_names_apart(loop)
        calls = [asyncio.ensure_future(asyncio.open_connection("camera.example", 554)) for _ in range(100)]
        await asyncio.sleep(0)
        try:
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 60) == "done"
        finally:
            ended.set()
        found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)
        assert {type(one) for one in found} == {socket.gaierror}

    asyncio.run(scene())
