"""Reports to systemd where it started the agent: ready, alive, stopping. Elsewhere it does nothing.

The watchdog is fed as long as the agent makes progress. An unplugged cable, an unreachable broker or a full
disk is no reason for a restart; a hanging event loop or a write that never ends is one.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import asyncio
import os
import socket
from contextlib import suppress

import structlog

from agent.host.clock import monotonic_s

log = structlog.get_logger()

STUCK_AFTER_S = 90.0
"""Longer than any part waits before its next attempt."""


class Liveness:
    """Whether the agent makes progress: its clock ticks, and pending messages are written. Pure."""

    def __init__(self, now_s: float) -> None:
        self._ticked_s = now_s
        self._pending_s: float | None = None

    def on_tick(self, now_s: float) -> None:
        """Every listener got the tick."""
        self._ticked_s = now_s

    def on_pending(self, now_s: float) -> None:
        """Messages wait to be written."""
        if self._pending_s is None:
            self._pending_s = now_s

    def on_write(self) -> None:
        """The messages were written, or the disk refused them with an error."""
        self._pending_s = None

    def stuck_reason(self, now_s: float) -> str | None:
        """What hangs, or None."""
        if now_s - self._ticked_s > STUCK_AFTER_S:
            return f"no tick for {now_s - self._ticked_s:.0f} s"
        if self._pending_s is not None and now_s - self._pending_s > STUCK_AFTER_S:
            return f"nothing was written for {now_s - self._pending_s:.0f} s"
        return None


def notify(state: str) -> None:
    """Sends one state, such as ``READY=1``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)


def watchdog_s() -> float | None:
    """The watchdog interval of systemd in seconds, or None where it expects no signs of life."""
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
        stuck = liveness.stuck_reason(monotonic_s())
        if stuck is None:
            notify("WATCHDOG=1")
        else:
            log.error("watchdog_not_fed", reason=stuck)
        await asyncio.sleep(limit_s / 4)
