"""Steps of the system clock, seen against the clock that counts from the boot. Pure."""

from datetime import datetime

STEP_S = 1.0
"""A clock that is moved by less than this between two looks is disciplined, not set."""


class ClockSteps:
    """Compares the system clock with seconds since the boot; both come in, about once a second."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def step_s(self, at: datetime, since_boot_s: float) -> float | None:
        """By how much the clock was set since the last call; None where it was not."""
        last, self._last = self._last, (at, since_boot_s)
        if last is None:
            return None
        step_s = (at - last[0]).total_seconds() - (since_boot_s - last[1])
        return round(step_s, 3) if abs(step_s) >= STEP_S else None
