"""What this machine's clock is worth. The agent never sets it; it says how far off it may be."""

import ctypes
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from agent.observations import Observation
from agent.receiver import HELD
from firmware_bridge.readings import Fix

FIX_COUNTS_S = 60.0
"""A receiver's time vouches for the clock this long."""
SERIAL_DELAY_MS = 200.0
"""How late a sentence may come down a serial line without a pulse per second."""
NEVER_BEFORE = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that says less is right: this was written later."""
NEVER_AFTER = datetime(2046, 11, 1, tzinfo=UTC)
"""No clock that said more was right, as long as software of this age runs."""

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_UNSYNCED = 0x40  # STA_UNSYNC of <sys/timex.h>
_ERROR = 5  # TIME_ERROR: the kernel itself says that the clock is not to be trusted


class _Timex(ctypes.Structure):
    """The head of ``struct timex`` of <sys/timex.h>, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@cache
def _libc() -> ctypes.CDLL:
    """Once: each makes a class of its own, which is garbage that only Python's rarest collection finds."""
    return ctypes.CDLL(None, use_errno=True)


def since_boot_s() -> float:
    """Seconds since this boot, those asleep among them: the age of what is kept goes by this.

    ``time.monotonic`` stands still while the machine is suspended, so that an alert from before two hours of
    sleep would seem seconds old, and would be given an instant two hours late.
    """
    return time.clock_gettime(_SINCE_BOOT)


def kernel_clock() -> tuple[bool, float | None]:
    """Whether the kernel's clock is synchronised, and its largest error in ms (adjtimex, read only)."""
    try:
        timex = _Timex()
        state = _libc().adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):  # not Linux, or not allowed
        return False, None
    if state < 0 or state == _ERROR or timex.status & _UNSYNCED:
        return False, None
    return True, timex.maxerror / 1000


def certainly_past(remembered: bytes | None) -> datetime:
    """The latest instant that is known to be past: what was remembered while the clock was synchronised."""
    try:
        found = max(NEVER_BEFORE, datetime.fromisoformat((remembered or b"").decode()))
        return found if found < NEVER_AFTER else NEVER_BEFORE
    except (ValueError, TypeError):  # nothing remembered, or no instant with its zone
        return NEVER_BEFORE


class ClockWatch:
    """Weighs the kernel's word against the newest receiver time."""

    def __init__(self) -> None:
        self._fix: tuple[float, float] | None = None  # monotonic instant, |receiver - machine| in ms

    def hear(self, observation: Observation) -> None:
        """A receiver that keeps its position and measures only the time is made for this."""
        fix = observation.value
        if isinstance(fix, Fix) and fix.time is not None and observation.doubt in (None, HELD):
            off_ms = abs((fix.time - observation.at).total_seconds()) * 1000
            self._fix = observation.mono_s, off_ms

    def state(self, now_s: float) -> dict[str, Any]:
        """``{"source": gnss|ntp|rtc|unsynced, "error_ms": …}`` as each envelope carries it."""
        synced, error_ms = kernel_clock()
        if synced and error_ms is not None:
            return {"source": "ntp", "error_ms": round(error_ms)}
        if self._fix is not None and now_s - self._fix[0] <= FIX_COUNTS_S:
            return {"source": "gnss", "error_ms": round(self._fix[1] + SERIAL_DELAY_MS)}
        return {"source": "rtc" if Path("/dev/rtc0").exists() else "unsynced"}
