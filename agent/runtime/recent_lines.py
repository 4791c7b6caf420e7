"""The last lines of the log, in memory, and those who follow it."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

KEPT = 200

Line: TypeAlias = Mapping[str, Any]


class RecentLines:
    """Used by all threads that log."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=KEPT)
        self._followers: tuple[Callable[[Line], None], ...] = ()
        self._lock = threading.Lock()

    def add(self, line: Line) -> None:
        """Keeps a line, and passes it to those who follow; they must not log, nor raise."""
        with self._lock:
            self._lines.append(line)
            followers = self._followers
        for follow in followers:
            follow(line)

    def follow(self, follower: Callable[[Line], None]) -> list[Line]:
        """The last lines; ``follower`` gets all that come, on the threads that log them."""
        with self._lock:
            self._followers = (*self._followers, follower)
            return list(self._lines)

    def leave(self, follower: Callable[[Line], None]) -> None:
        """``follower`` gets no more lines."""
        with self._lock:
            self._followers = tuple(one for one in self._followers if one is not follower)


LINES = RecentLines()
"""Of this process. Secrets are not removed from them."""


def keep_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A processor of structlog: keeps a copy of each line."""
    LINES.add(dict(event))
    return event
