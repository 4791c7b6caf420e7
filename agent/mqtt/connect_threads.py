"""Blocking calls that open a connection, each in a thread: a resolver that hangs blocks nothing."""

import threading
from collections.abc import Callable
from typing import TypeVar

from agent.runtime.native_calls import within

T = TypeVar("T")
OPEN_WITHIN_S = 20.0
"""Host name, connection and TLS together: a resolver that hangs takes a minute by itself."""
MOST_CONNECTING = 4
"""Attempts at one address that may hang, each in a thread; each ends by itself within minutes."""
_connecting: list[threading.Thread] = []
"""Threads of attempts that timed out."""


async def run_in_thread(call: Callable[[], T], name: str) -> T:
    """The result of ``call()`` in a new thread. OSError after `OPEN_WITHIN_S`, or where too many hang."""
    _connecting[:] = [thread for thread in _connecting if thread.is_alive()]
    if sum(thread.name == name for thread in _connecting) >= MOST_CONNECTING:
        raise OSError(f"{name}: not tried: {MOST_CONNECTING} earlier attempts hang")
    return await within(OPEN_WITHIN_S, call, name, _connecting.append)
