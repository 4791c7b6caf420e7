"""The clocks of the machine, read only: the only file of the agent and of the centre that reads one."""

import ctypes
import errno
import json
import time
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

NEVER_BEFORE = datetime(2026, 11, 1, tzinfo=UTC)
"""A clock before this instant is wrong: this software is newer."""
NEVER_AFTER = datetime(2046, 11, 1, tzinfo=UTC)
"""A clock after this instant is taken as wrong."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STATE = Path("/run/ringpost-clock/state")
"""Where `agent.host.clock_service` writes the state of the kernel's clock, for an agent whose service may not
read it (``ProtectClock=`` forbids adjtimex even to readers)."""
STATE_S = 15.0
"""An older state counts as none."""

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_UNSYNCED = 0x40  # STA_UNSYNC of <sys/timex.h>
_ERROR = 5  # TIME_ERROR: the kernel reports that the clock is not reliable


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
    """Cached: each CDLL makes a class of its own, which only the oldest generation of the collector frees."""
    return ctypes.CDLL(None, use_errno=True)


class Clock:
    """The clocks of this machine."""

    def utc_now(self) -> datetime:
        """This instant, by the wall clock."""
        return datetime.now(UTC)

    def unix_s(self) -> float:
        """Seconds since 1970, by the wall clock."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds that no step of the wall clock changes; it stands still while the machine is suspended.
        The loop's clock has the same zero."""
        return time.monotonic()

    def since_boot_s(self) -> float:
        """Seconds since this boot, including suspend."""
        return time.clock_gettime(_SINCE_BOOT)

    def kernel_boot_id(self) -> str | None:
        """The kernel's own id of this boot; None where it has none."""
        try:
            return BOOT_ID.read_text().strip() or None
        except OSError:
            return None

    def kernel_clock(self) -> tuple[bool, float | None]:
        """Whether the kernel's clock is synchronised, and its largest error in ms (adjtimex, read only)."""
        timex = _Timex()
        try:
            state = _libc().adjtimex(ctypes.byref(timex))
        except (OSError, AttributeError):  # not Linux
            return False, None
        if state < 0 and ctypes.get_errno() == errno.EPERM:
            return self._written_state()
        if state < 0 or state == _ERROR or timex.status & _UNSYNCED:
            return False, None
        return True, timex.maxerror / 1000

    def _written_state(self) -> tuple[bool, float | None]:
        """What the clock service wrote; not synchronised where it is missing, old or damaged."""
        try:
            found = json.loads(STATE.read_bytes())
            age_s = self.since_boot_s() - found["since_boot_s"]
            if not (0 <= age_s <= STATE_S and found["synchronised"] is True):
                return False, None
            return True, float(found["error_ms"])
        except (OSError, ValueError, KeyError, TypeError):
            return False, None


_CLOCK: ContextVar[Clock] = ContextVar("clock", default=Clock())  # noqa: B039  it has no state


def use_clock(clock: Clock) -> Token[Clock]:
    """Makes ``clock`` the one of the present context, and of all tasks that it starts from now on."""
    return _CLOCK.set(clock)


def utc_now() -> datetime:
    """This instant, on the wall clock."""
    return _CLOCK.get().utc_now()


def unix_s() -> float:
    """This instant in seconds since 1970, on the wall clock."""
    return _CLOCK.get().unix_s()


def monotonic_s() -> float:
    """This instant on the monotonic clock."""
    return _CLOCK.get().monotonic_s()


def read_clocks() -> tuple[datetime, float]:
    """This instant, on the wall clock and on the monotonic clock."""
    clock = _CLOCK.get()
    return clock.utc_now(), clock.monotonic_s()


def since_boot_s() -> float:
    """Seconds since this boot, including suspend: the age of stored messages is measured by this clock.

    The monotonic clock stands still while the machine is suspended, so that an alert from before two hours of
    sleep would seem seconds old, and would be given an instant two hours late.
    """
    return _CLOCK.get().since_boot_s()


def kernel_boot_id() -> str | None:
    """The kernel's own id of this boot; None where it has none."""
    return _CLOCK.get().kernel_boot_id()


def boot_id() -> str:
    """An id of this boot, by the clocks where the kernel has none: the monotonic clock of another boot means
    nothing here."""
    return kernel_boot_id() or f"unknown-{unix_s() - monotonic_s():.0f}"


def kernel_clock() -> tuple[bool, float | None]:
    """Whether the kernel's clock is synchronised, and its largest error in ms."""
    return _CLOCK.get().kernel_clock()


def certainly_past(remembered: bytes | None) -> datetime:
    """The latest instant known to be past: the one remembered while the clock was synchronised."""
    try:
        found = max(NEVER_BEFORE, datetime.fromisoformat((remembered or b"").decode()))
        return found if found < NEVER_AFTER else NEVER_BEFORE
    except (ValueError, TypeError):  # nothing remembered, or no instant with its zone
        return NEVER_BEFORE
