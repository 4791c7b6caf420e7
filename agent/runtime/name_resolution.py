"""Looks up host names on threads of their own, so that a name that hangs holds up nothing but other names."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

THREADS = 32
"""Names that are looked up at once. One that hangs holds its thread for long after the caller gave up."""


def resolve_names_apart(loop: asyncio.AbstractEventLoop) -> None:
    """Makes ``loop`` look up names on a pool of their own; files, ports and the end wait for none."""
    pool = ThreadPoolExecutor(THREADS, "name")

    async def getaddrinfo(host: Any, port: Any, **options: int) -> Any:
        return await loop.run_in_executor(pool, partial(socket.getaddrinfo, host, port, **options))

    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]  # asyncio's own uses the default executor
