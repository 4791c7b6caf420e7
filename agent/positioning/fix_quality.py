"""When is a fix good enough?"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from agent.domain.observations import Observation
from firmware_bridge.readings import Fix

HDOP_M = 5.0
"""Metres of error (1 sigma) for each unit of HDOP, where the receiver gives no estimate of its own."""
NO_FIX, HELD, LATE = "no fix", "not measured but held", "older than the fix before"


class Positioning(BaseModel):
    """When a fix is good enough to be where the device is. A limit says nothing of what a receiver hides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_hdop: float = Field(default=5.0, gt=0, le=100)
    max_error_m: float = Field(default=25.0, gt=0, le=100_000)
    """One of these two must hold, where the receiver tells both."""
    min_satellites: int = Field(default=4, ge=0, le=100)
    top_speed_mps: float | None = Field(default=None, ge=0, le=1000)
    """How fast the platform can be, or be carried off: 30 for a patrol boat, else 60, if not set."""
    receivers: tuple[str, ...] = ()
    """Sources by their rank, the best first; in the order of the sources, if not set."""

    def fault(self, fix: Fix) -> str | None:
        """Why a fix is not good enough, or None."""
        if fix.mode == "none" or fix.lat is None:
            return NO_FIX
        if fix.held:
            return HELD
        if fix.satellites is not None and fix.satellites < self.min_satellites:
            return f"{fix.satellites} satellites"
        precise = fix.hdop is not None and fix.hdop <= self.max_hdop
        near = fix.error_m is not None and fix.error_m <= self.max_error_m
        if precise or near or (fix.hdop is None and fix.error_m is None):
            return None
        return f"an error of {fix.error_m:g} m" if fix.error_m is not None else f"an HDOP of {fix.hdop:g}"


@dataclass(frozen=True, slots=True)
class TimedFix:
    """A fix with a position, and when it was heard."""

    fix: Fix
    mono_s: float

    @property
    def position(self) -> tuple[float, float]:
        assert self.fix.lat is not None  # noqa: S101  nobody keeps one without
        assert self.fix.lon is not None  # noqa: S101  nor without this
        return self.fix.lat, self.fix.lon

    @property
    def error_m(self) -> float | None:
        """How far off it may be (1 sigma)."""
        return error_of(self.fix)[0]


def accepted_fix(observation: Observation) -> TimedFix | None:
    """Where a receiver says that it is, if that holds: nobody else asks what its word is worth."""
    fix = observation.value
    if not isinstance(fix, Fix) or observation.doubt is not None or fix.lat is None or fix.mode == "none":
        return None
    return TimedFix(fix, observation.mono_s)


def error_of(fix: Fix) -> tuple[float | None, str | None]:
    """How far off a fix may be (1 sigma), and who says so: its receiver, or its HDOP."""
    if fix.error_m is not None:
        return fix.error_m, "receiver"
    return (round(fix.hdop * HDOP_M, 1), "hdop") if fix.hdop is not None else (None, None)
