"""Logging is for people; it stops nobody."""

import sys

import pytest
import structlog

from agent.runtime.logging_setup import set_up_log


class FullDisk:
    """A log file on a disk without a byte left."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return False

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_log_that_takes_nothing_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    before = structlog.get_config()
    monkeypatch.setattr(sys, "stderr", FullDisk())
    try:
        set_up_log()
        structlog.get_logger().warning("part_failed", error="unplugged")
    finally:
        structlog.configure(**before)
