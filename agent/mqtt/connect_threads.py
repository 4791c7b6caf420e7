"""Blocking calls on the way to a broker, each in a thread of its own."""

import threading
from collections.abc import Callable
from typing import TypeVar

from agent.runtime.native_calls import within

T = TypeVar("T")
OPEN_WITHIN_S = 20.0
"""Name, connection and TLS together: a resolver that hangs takes a minute by itself."""
MOST_CONNECTING = 4
"""So many attempts at one address may hang in threads of their own; each ends by itself within minutes."""
_connecting: list[threading.Thread] = []
"""Attempts that nobody waits for any more."""


async def _aside(call: Callable[[], T], what: str) -> T:
    """``call()`` in a thread of its own, so that what hangs holds up nothing else. OSError: too many hang."""
    _connecting[:] = [thread for thread in _connecting if thread.is_alive()]
    if sum(thread.name == what for thread in _connecting) >= MOST_CONNECTING:
        raise OSError(f"{what}: not tried: {MOST_CONNECTING} earlier attempts hang")
    return await within(OPEN_WITHIN_S, call, what, _connecting.append)
