"""What the server's process logs: bounded, and without control characters, whatever a browser causes.

Each event that a browser invents costs a traceback, and NiceGUI logs the errors of scripts in the browser's
own words. Anybody with a session could fill the disk, or send escape sequences to a terminal.
"""

import logging
import time
import traceback
from collections.abc import Callable

from agent.runtime.sanitize import escaped, printable

BURST, EVERY_S = 20.0, 10.0
"""So many entries at once, then one each so many seconds."""
MAX_TRACEBACK = 4000
LOGGERS = ("nicegui", "asyncio", "engineio.server", "socketio.server", "console.web.widgets.live")
"""Those that browsers cause entries of."""


class BoundedLog(logging.Filter):
    """Drops what comes too often, and says how much it was."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._tokens, self._filled_s, self._dropped = BURST, clock(), 0

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = self._clock()
        self._tokens = min(BURST, self._tokens + (now_s - self._filled_s) / EVERY_S)
        self._filled_s = now_s
        if self._tokens < 1:
            self._dropped += 1
            return False
        self._tokens -= 1
        text = printable(record.getMessage())
        if self._dropped:
            text += f" ({self._dropped} entries before this one were too many to log)"
            self._dropped = 0
        record.msg, record.args = text, ()
        if record.exc_info:
            whole = "".join(traceback.format_exception(*record.exc_info))
            record.exc_text = escaped(whole[-MAX_TRACEBACK:])
        return True


def bound_logs() -> None:
    """Bounds the logs that browsers cause entries of. To be called once."""
    bounded = BoundedLog()
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, BoundedLog) for one in logger.filters):
            logger.addFilter(bounded)
