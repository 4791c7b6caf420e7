"""``log``: the last lines of the agent's log, and those that follow, without secrets."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from agent.config.secret_filter import SecretFilter
from agent.control.diagnostics import cleaned, secrets_of
from agent.local_api.change_signal import ChangeSignal
from agent.local_api.parts import AgentParts, Answer, Call, RequestError
from agent.runtime.recent_lines import LINES, Line

LEVELS = ("debug", "info", "warning", "error", "critical")
MOST_WAITING = 1_000


class LogView:
    """Follows the log of this process."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts

    async def log(self, call: Call) -> AsyncGenerator[Answer, None]:
        """Lines from ``level`` upward; of a client that is too slow, the newest."""
        level = call.params.get("level", "info")
        if level not in LEVELS:
            raise RequestError(f"level: {str(level)[:20]!r} is none of {', '.join(LEVELS)}")
        wanted = frozenset(LEVELS[LEVELS.index(level) :])
        secrets = await asyncio.to_thread(SecretFilter.of, list(secrets_of(self._parts.running())))
        loop, signal = asyncio.get_running_loop(), ChangeSignal()
        waiting = deque[Line](maxlen=MOST_WAITING)

        def take(line: Line) -> None:
            waiting.append(line)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(signal.fire)

        waiting.extend(LINES.follow(take))
        try:
            while True:
                while waiting:
                    line = waiting.popleft()
                    if line.get("level") in wanted:
                        yield Answer(fields_of(line, secrets))
                await signal.wait(1.0)
        finally:
            LINES.leave(take)


def fields_of(line: Line, secrets: SecretFilter) -> dict[str, Any]:
    """A line as an event. Pure."""
    rest = {key: value for key, value in line.items() if key not in ("timestamp", "level", "event")}
    clean: dict[str, Any] = cleaned({"event": str(line.get("event", "")), "fields": rest}, secrets)
    return {"at": str(line.get("timestamp", "")), "level": str(line.get("level", "")), **clean}
