"""The fix gate of one GNSS receiver: which of its fixes are accepted, and the receiver's state. Pure.

A fix that the receiver calls valid is not yet the true position: the receiver may have only three satellites,
or be spoofed.
"""

import math
from collections import Counter, deque
from typing import Any

from agent.domain.observations import Observation
from agent.positioning.fix_quality import Positioning, TimedFix, error_of
from firmware_bridge.readings import Fix, GnssState
from firmware_bridge.wgs84 import distance_m

NOISE_STEP_M = 30.0
"""A step up to this length is the receiver's noise, whatever the top speed."""
CONFIRMING_FIXES = 5
"""An implausible step is accepted after this many consistent fixes in a row."""
MAX_GAP_S = 60.0
"""Cap on the gap used for the speed check, so that a long outage does not excuse any jump. Consecutive
consistent fixes are exempt."""
MAX_EPOCH_S = 10.0
"""No receiver has longer epochs: a longer gap is an outage, and does not count for `interval_s`."""
CLOCK_OFFSETS_KEPT = 30
JUMP_TOLD_S = 600.0
"""How long position and alert points report an accepted jump of a receiver that stayed at its new place."""
STATE_VALID_S = 60.0
"""A `GnssState` of the receiver expires after this time."""
MAX_LATE_S = 2.0
"""A fix older than the one before by up to this arrived late, such as NAV-PVT behind HNR-PVT, and is ignored.
A larger step back means that the receiver's clock was set back."""
SPOOFED = ("indicated", "affirmed")


class FixGate:
    """`accepted` is the newest fix that passed, `latest` the newest with a position, whatever its quality."""

    def __init__(self) -> None:
        self.accepted: TimedFix | None = None
        self.latest: TimedFix | None = None
        self.rejection: str | None = None
        """Why the newest fix was rejected; None where it was accepted."""
        self.late = False
        """The last fix received is older than the newest one, and was ignored."""
        self.jumped = False
        """The newest fix was rejected because the platform can't have moved there so fast."""
        self._jump: tuple[float, float] | None = None
        self.accepted_since_s: float | None = None
        """Since when every fix has been accepted (monotonic)."""
        self.newest: Fix | None = None
        self.received_s: float | None = None
        self.interval_s = 1.0
        """Moving average of the time between fixes."""
        self.rejected: Counter[str] = Counter()
        """Number of rejected fixes by kind: ``quality``, ``jump``."""
        self._state: tuple[GnssState, float] | None = None
        self._candidate: TimedFix | None = None
        """The last fix after an implausible step, until `CONFIRMING_FIXES` agree with it."""
        self._confirmations = 0
        self._clock_offsets_s: deque[float] = deque(maxlen=CLOCK_OFFSETS_KEPT)

    def add_state(self, state: GnssState, now_s: float) -> None:
        """Takes what the receiver reports about jamming, spoofing and its antenna."""
        self._state = state, now_s

    def add_fix(
        self, observation: Observation, fix: Fix, positioning: Positioning, top_mps: float
    ) -> float | None:
        """Takes a fix. Returns the length in metres of a jump that this fix confirmed, otherwise None."""
        now_s = observation.mono_s
        self.late = self._is_late(fix)
        if self.late:
            return None
        self._update_interval(now_s)
        self.newest, self.received_s = fix, now_s
        if fix.time is not None:
            self._clock_offsets_s.append((fix.time - observation.at).total_seconds())
        self.rejection = self._spoofing_reason(now_s) or positioning.rejection(fix)
        self.jumped, jump_m = False, None
        if fix.lat is not None:
            timed = TimedFix(fix, now_s)
            self.latest = timed
            if self.rejection is not None:
                self.rejected["quality"] += 1
            elif _reachable(timed, self.accepted, top_mps, MAX_GAP_S):
                self.accepted, self._candidate = timed, None
            else:
                jump_m = self._check_jump(timed, top_mps)
        if self.rejection is not None:
            self.accepted_since_s = None
        elif self.accepted_since_s is None:
            self.accepted_since_s = now_s
        return jump_m

    def _update_interval(self, now_s: float) -> None:
        if self.received_s is None:
            return
        if now_s - self.received_s > self._silence_limit_s():
            self.accepted_since_s = None
        gap_s = min(now_s - self.received_s, MAX_EPOCH_S)
        self.interval_s += 0.1 * (gap_s - self.interval_s)

    def _is_late(self, fix: Fix) -> bool:
        newest = self.newest.time if self.newest is not None else None
        if fix.time is None or newest is None:
            return False
        return 0 < (newest - fix.time).total_seconds() <= MAX_LATE_S

    def _spoofing_reason(self, now_s: float) -> str | None:
        spoofing = self.state(now_s).spoofing
        return f"spoofing {spoofing}" if spoofing in SPOOFED else None

    def _check_jump(self, timed: TimedFix, top_mps: float) -> float | None:
        """Rejects a step that the platform can't make, until `CONFIRMING_FIXES` in a row agree with it."""
        assert self.accepted is not None  # noqa: S101  without an accepted fix every fix is reachable
        step_m = distance_m(self.accepted.position, timed.position)
        consistent = self._candidate is not None and _reachable(timed, self._candidate, top_mps, math.inf)
        self._confirmations = self._confirmations + 1 if consistent else 1
        self._candidate = timed
        if self._confirmations < CONFIRMING_FIXES:
            self.rejected["jump"] += 1
            self.jumped = True
            self.rejection = f"a jump of {step_m:.0f} m"
            return None
        self.accepted, self._candidate = timed, None
        self._jump = step_m, timed.mono_s
        return step_m

    def jump(self, now_s: float) -> dict[str, float]:
        """The last accepted jump, ``jumped_m`` and ``jumped_s`` ago, for `JUMP_TOLD_S`; else empty."""
        if self._jump is None or now_s - self._jump[1] > JUMP_TOLD_S:
            return {}
        return {"jumped_m": round(self._jump[0]), "jumped_s": round(now_s - self._jump[1], 1)}

    def _silence_limit_s(self) -> float:
        """Three epochs, at least 5 seconds."""
        return max(5.0, 3 * self.interval_s)

    def fresh(self, now_s: float) -> bool:
        """Whether the accepted fix is no older than three epochs."""
        return self.accepted is not None and now_s - self.accepted.mono_s <= self._silence_limit_s()

    def silent(self, now_s: float) -> bool:
        """Whether no fix arrived for three epochs."""
        return self.received_s is None or now_s - self.received_s > self._silence_limit_s()

    def clock_offset_s(self) -> float | None:
        """The receiver's time less this machine's, by the least delayed of the last fixes."""
        return round(max(self._clock_offsets_s), 3) if self._clock_offsets_s else None

    def state(self, now_s: float) -> GnssState:
        """What the receiver reported within `STATE_VALID_S`; an empty state where that has expired."""
        if self._state is None or now_s - self._state[1] > STATE_VALID_S:
            return GnssState()
        return self._state[0]

    def fields(self, now_s: float) -> dict[str, Any]:
        """The receiver's state for ``health``; unknown fields are absent."""
        fix, state = self.newest or Fix(mode="none"), self.state(now_s)
        silent = self.silent(now_s)
        error_m, error_from = error_of(fix)
        fields = {
            "fix": "silent" if silent else fix.mode,
            "trust": "good" if self.fresh(now_s) and self.rejection is None else "low",
            "why": None if silent else self.rejection,
            "age_s": None if self.received_s is None else round(now_s - self.received_s, 1),
            "satellites": fix.satellites,
            "satellites_seen": fix.satellites_seen,
            "cn0_dbhz": fix.cn0_dbhz,
            "hdop": fix.hdop,
            "error_m": error_m,
            "error_from": error_from,
            "jamming": state.jamming,
            "jamming_pct": state.jamming_pct,
            "spoofing": state.spoofing,
            "antenna": state.antenna,
            "clock_offset_s": self.clock_offset_s(),
            "rollover_weeks": fix.rollover_weeks,
            "rejected": dict(self.rejected) or None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def troubles(self, now_s: float) -> list[str]:
        """Conditions that need maintenance: jamming, spoofing, the antenna, a wrong date."""
        state, troubles = self.state(now_s), []
        if state.jamming in ("warning", "critical"):
            troubles.append(f"jamming ({state.jamming})")
        if state.spoofing in SPOOFED:
            troubles.append(f"spoofing ({state.spoofing})")
        if state.antenna in ("short", "open"):
            troubles.append(f"its antenna is {state.antenna}")
        if self.newest is not None and self.newest.rollover_weeks:
            weeks = self.newest.rollover_weeks
            side = "behind" if weeks > 0 else "ahead"
            troubles.append(f"its date is {abs(weeks)} weeks {side}, and was corrected")
        return troubles


def _reachable(now: TimedFix, before: TimedFix | None, top_mps: float, max_gap_s: float) -> bool:
    """Whether the platform can have moved from one fix to the other, with room for both errors."""
    if before is None:
        return True
    gap_s = min(max(now.mono_s - before.mono_s, 1.0), max_gap_s)
    room_m = NOISE_STEP_M + (now.error_m or 0.0) + (before.error_m or 0.0)
    return distance_m(before.position, now.position) <= room_m + top_mps * gap_s
