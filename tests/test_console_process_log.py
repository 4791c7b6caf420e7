"""What browsers cause in the log of the process is bounded, and plain."""

import io
import logging
from collections.abc import Iterator

import pytest

from console.web.process_log import BURST, EVERY_S, MAX_TRACEBACK, BoundedLog


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(clock: Clock, output: io.StringIO) -> Iterator[logging.Logger]:
    logger, handler = logging.getLogger("test of bounded logs"), logging.StreamHandler(output)
    logger.propagate = False
    logger.addHandler(handler)
    logger.filters = [BoundedLog(clock)]
    yield logger
    logger.handlers, logger.filters = [], []


def test_a_flood_of_entries_is_dropped_and_counted(
    log: logging.Logger, clock: Clock, output: io.StringIO
) -> None:
    for _ in range(10_000):
        log.error("a button that there is not")
    assert output.getvalue().count("\n") == BURST
    clock.now_s += EVERY_S
    log.error("the next")
    assert output.getvalue().endswith("the next (9980 entries before this one were too many to log)\n")


def test_words_of_a_browser_are_one_short_line(log: logging.Logger, output: io.StringIO) -> None:
    log.error("\x1b]0;evil\x07\nlogin ok\u202e" + "A" * 1_000_000)
    line = output.getvalue()
    assert line.count("\n") == 1
    assert len(line) < 600
    assert not set(line) & set("\x1b\x07\u202e")


def test_a_traceback_is_bounded_and_plain(log: logging.Logger, output: io.StringIO) -> None:
    try:
        raise ValueError("\x1b[2J" + "A" * 1_000_000)
    except ValueError:
        log.exception("%s", "failed")
    assert len(output.getvalue()) < MAX_TRACEBACK + 100
    assert "\x1b" not in output.getvalue()
