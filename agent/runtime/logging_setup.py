"""Logging: one line for each event, coloured on a terminal, JSON for the journal. Details are keys."""

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from agent.runtime.recent_lines import keep_line
from agent.runtime.recent_warnings import keep_warning
from agent.runtime.sanitize import escaped, raw_stream


class _Lines:
    """Writes whole lines. A line that a full disk or a closed pipe refuses is lost, without an exception."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def set_up_log(level: str = "info") -> None:
    """Logs to standard error from ``level`` up."""
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = raw_stream(sys.stderr)
    on_terminal = stream.isatty()
    renderer = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Lines(stream))),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape_strings,
            keep_warning,
            keep_line,
            renderer,
        ],
        cache_logger_on_first_use=False,
    )


def _escape_strings(_logger: Any, _method: str, event: Any) -> Any:
    """Escapes control characters in values: data from outside is logged too."""
    return {key: escaped(value) if isinstance(value, str) else value for key, value in event.items()}
