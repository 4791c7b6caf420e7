"""One GNSS receiver as the agent sees it: which of its fixes are good enough, and how it does. Pure.

What the receiver calls valid is not yet where we are: it may hear three satellites, or be led astray.
"""

import math
from collections import Counter, deque
from typing import Any

from agent.domain.observations import Observation
from agent.positioning.fix_quality import Positioning, TimedFix, error_of
from firmware_bridge.readings import Fix, GnssState
from firmware_bridge.wgs84 import distance_m

STEP_M = 30.0
"""A step this long is a receiver's noise, whatever the top speed."""
PERSISTS = 5
"""A step that is too long is believed when so many fixes in a row say so."""
LONGEST_GAP_S = 60.0
"""Being away longer than this allows no longer a step; fixes that bear each other out may
be farther apart."""
LONGEST_INTERVAL_S = 10.0
"""No receiver has longer epochs: a longer gap was an outage, and is not usual."""
OFFSETS = 30
TELLS_S = 60.0
"""What a receiver notices counts this long."""
LATE_S = 2.0
"""A fix that is older than the one before by no more came late, such as NAV-PVT behind HNR-PVT; by more, the
receiver's clock was set back."""


class Receiver:
    """``good`` is the newest fix that holds, ``last`` the newest with a position, whatever its quality."""

    def __init__(self) -> None:
        self.good: TimedFix | None = None
        self.last: TimedFix | None = None
        self.fault: str | None = None
        """Why the newest fix does not hold."""
        self.late = False
        """What was heard last is older than the newest fix, and changed nothing."""
        self.jumps = False
        """It does not because nobody can have come there so fast."""
        self.good_since_s: float | None = None
        """Since when every fix held."""
        self.newest: Fix | None = None
        self.heard_s: float | None = None
        self.interval_s = 1.0
        self.rejected: Counter[str] = Counter()
        self._state: tuple[GnssState, float] | None = None
        self._doubted: TimedFix | None = None
        self._persisted = 0
        self._offsets: deque[float] = deque(maxlen=OFFSETS)

    def notice(self, state: GnssState, now_s: float) -> None:
        self._state = state, now_s

    def hear(
        self, observation: Observation, fix: Fix, positioning: Positioning, top_mps: float
    ) -> float | None:
        """Takes a fix; how many metres it jumped, where that was believed after all."""
        now_s = observation.mono_s
        self.late = self._is_late(fix)
        if self.late:
            return None
        if self.heard_s is not None:
            if now_s - self.heard_s > self._patience_s():
                self.good_since_s = None
            gap_s = min(now_s - self.heard_s, LONGEST_INTERVAL_S)
            self.interval_s += 0.1 * (gap_s - self.interval_s)
        self.newest, self.heard_s = fix, now_s
        if fix.time is not None:
            self._offsets.append((fix.time - observation.at).total_seconds())
        self.fault, self.jumps, jump = self._astray(now_s) or positioning.fault(fix), False, None
        if fix.lat is not None:
            heard = TimedFix(fix, now_s)
            self.last = heard
            if self.fault is not None:
                self.rejected["quality"] += 1
            elif _in_reach(heard, self.good, top_mps, LONGEST_GAP_S):
                self.good, self._doubted = heard, None
            else:
                jump = self._doubt(heard, top_mps)
        if self.fault is not None:
            self.good_since_s = None
        elif self.good_since_s is None:
            self.good_since_s = now_s
        return jump

    def _is_late(self, fix: Fix) -> bool:
        newest = self.newest.time if self.newest is not None else None
        return (
            fix.time is not None and newest is not None and 0 < (newest - fix.time).total_seconds() <= LATE_S
        )

    def _astray(self, now_s: float) -> str | None:
        spoofing = self.state(now_s).spoofing
        return f"spoofing {spoofing}" if spoofing in ("indicated", "affirmed") else None

    def _doubt(self, heard: TimedFix, top_mps: float) -> float | None:
        """A step that the platform can't make is believed once it persists."""
        assert self.good is not None  # noqa: S101  the first fix is in reach of nothing
        step_m = distance_m(self.good.position, heard.position)
        known = self._doubted is not None and _in_reach(heard, self._doubted, top_mps, math.inf)
        self._persisted = self._persisted + 1 if known else 1
        self._doubted = heard
        if self._persisted < PERSISTS:
            self.rejected["jump"] += 1
            self.jumps = True
            self.fault = f"a jump of {step_m:.0f} m"
            return None
        self.good, self._doubted = heard, None
        return step_m

    def _patience_s(self) -> float:
        """Three epochs."""
        return max(5.0, 3 * self.interval_s)

    def fresh(self, now_s: float) -> bool:
        """Whether a fix that holds is no older than three epochs."""
        return self.good is not None and now_s - self.good.mono_s <= self._patience_s()

    def silent(self, now_s: float) -> bool:
        return self.heard_s is None or now_s - self.heard_s > self._patience_s()

    def offset_s(self) -> float | None:
        """The receiver's time less this machine's, by that of the last fixes which was least delayed."""
        return round(max(self._offsets), 3) if self._offsets else None

    def state(self, now_s: float) -> GnssState:
        """What the receiver noticed around it of late."""
        if self._state is None or now_s - self._state[1] > TELLS_S:
            return GnssState()
        return self._state[0]

    def fields(self, now_s: float) -> dict[str, Any]:
        """How it does, for ``health``; what is not known is absent."""
        fix, noticed = self.newest or Fix(mode="none"), self.state(now_s)
        silent = self.silent(now_s)
        error_m, error_from = error_of(fix)
        fields = {
            "fix": "silent" if silent else fix.mode,
            "trust": "good" if self.fresh(now_s) and self.fault is None else "low",
            "why": None if silent else self.fault,
            "age_s": None if self.heard_s is None else round(now_s - self.heard_s, 1),
            "satellites": fix.satellites,
            "satellites_seen": fix.satellites_seen,
            "cn0_dbhz": fix.cn0_dbhz,
            "hdop": fix.hdop,
            "error_m": error_m,
            "error_from": error_from,
            "jamming": noticed.jamming,
            "jamming_pct": noticed.jamming_pct,
            "spoofing": noticed.spoofing,
            "antenna": noticed.antenna,
            "clock_offset_s": self.offset_s(),
            "rollover_weeks": fix.rollover_weeks,
            "rejected": dict(self.rejected) or None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def troubles(self, now_s: float) -> list[str]:
        """What its owner should look after."""
        noticed, troubles = self.state(now_s), []
        if noticed.jamming in ("warning", "critical"):
            troubles.append(f"jamming ({noticed.jamming})")
        if noticed.spoofing in ("indicated", "affirmed"):
            troubles.append(f"spoofing ({noticed.spoofing})")
        if noticed.antenna in ("short", "open"):
            troubles.append(f"its antenna is {noticed.antenna}")
        if self.newest is not None and self.newest.rollover_weeks:
            weeks = self.newest.rollover_weeks
            side = "behind" if weeks > 0 else "ahead"
            troubles.append(f"its date is {abs(weeks)} weeks {side}, and was corrected")
        return troubles


def _in_reach(now: TimedFix, before: TimedFix | None, top_mps: float, longest_s: float) -> bool:
    """Whether the platform can have come from there to here, with room for both errors."""
    if before is None:
        return True
    gap_s = min(max(now.mono_s - before.mono_s, 1.0), longest_s)
    room_m = STEP_M + (now.error_m or 0.0) + (before.error_m or 0.0)
    return distance_m(before.position, now.position) <= room_m + top_mps * gap_s
