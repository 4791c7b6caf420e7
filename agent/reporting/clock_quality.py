"""The quality of this machine's clock. The agent never sets it; it reports its source and its error."""

from pathlib import Path
from typing import Any

from agent.domain.observations import Observation
from agent.host.clock import kernel_clock
from agent.positioning.fix_quality import HELD
from firmware_bridge.readings import Fix

FIX_COUNTS_S = 60.0
"""The time of a GNSS receiver confirms the clock for this long."""
SERIAL_DELAY_MS = 200.0
"""The highest delay of a sentence on a serial line without a pulse per second."""


class ClockWatch:
    """Chooses between the kernel's synchronisation state and the newest receiver time."""

    def __init__(self) -> None:
        self._fix: tuple[float, float] | None = None  # monotonic instant, |receiver - machine| in ms

    def on_observation(self, observation: Observation) -> None:
        """Takes the time of a fix; a receiver that holds its position and measures only time counts too."""
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
