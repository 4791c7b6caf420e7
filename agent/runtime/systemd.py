"""Talks to systemd, where it started us: ready, alive, stopping. Elsewhere it says nothing.

The watchdog is fed while the agent gets on. A cable that is unplugged, a broker that is away, a disk that
refuses are no reason to be started anew; a loop that hangs or a write that never ends is.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import asyncio
import os
import socket
import time
from contextlib import suppress

import structlog

log = structlog.get_logger()

STUCK_S = 90.0
"""Longer than any part waits before its next try."""


class Liveness:
    """Whether the agent gets on: its clock ticks, and what is to be kept is being written. Pure."""

    def __init__(self, now_s: float) -> None:
        self._ticked_s = now_s
        self._waits_s: float | None = None

    def ticked(self, now_s: float) -> None:
        """Time has passed, and all that listens has heard of it."""
        self._ticked_s = now_s

    def waits(self, now_s: float) -> None:
        """Something is to be written."""
        if self._waits_s is None:
            self._waits_s = now_s

    def wrote(self) -> None:
        """It was written, or the disk refused it in words."""
        self._waits_s = None

    def stuck(self, now_s: float) -> str | None:
        """What hangs, or None."""
        if now_s - self._ticked_s > STUCK_S:
            return f"no tick for {now_s - self._ticked_s:.0f} s"
        if self._waits_s is not None and now_s - self._waits_s > STUCK_S:
            return f"nothing was written for {now_s - self._waits_s:.0f} s"
        return None


def notify(state: str) -> None:
    """Sends one state, such as ``READY=1``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)


def watchdog_s() -> float | None:
    """How often systemd wants to hear from us at least, where it does."""
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if meant and usec.isdecimal() and int(usec) else None


async def feed_watchdog(liveness: Liveness) -> None:
    """Reports readiness, then feeds the watchdog as long as the agent makes progress, until cancelled."""
    notify("READY=1")
    limit_s = watchdog_s()
    if limit_s is None:  # not under systemd, or without WatchdogSec
        await asyncio.Event().wait()
        return
    while True:
        stuck = liveness.stuck(time.monotonic())
        if stuck is None:
            notify("WATCHDOG=1")
        else:
            log.error("watchdog_not_fed", reason=stuck)
        await asyncio.sleep(limit_s / 4)
