"""When a fix is good enough: the limits of the section ``positioning``, and the error of a fix. Pure."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from agent.domain.observations import Observation
from firmware_bridge.readings import Fix

HDOP_M = 5.0
"""Metres of error (1 sigma) for each unit of HDOP, where the receiver gives no estimate of its own."""
NO_FIX, HELD, LATE = "no fix", "not measured but held", "older than the fix before"


class Positioning(BaseModel):
    """Limits for accepting a fix as the device's position. They can't detect what a receiver hides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_hdop: float = Field(default=5.0, gt=0, le=100)
    max_error_m: float = Field(default=25.0, gt=0, le=100_000)
    """One of these two limits must hold, where the receiver reports both values."""
    min_satellites: int = Field(default=4, ge=0, le=100)
    top_speed_mps: float | None = Field(default=None, ge=0, le=1000)
    """Top speed of the platform, also when carried away. Default: 30 for a patrol boat, otherwise 60."""
    receivers: tuple[str, ...] = ()
    """Sources by rank, the best first. Default: the order of the sources."""

    def rejection(self, fix: Fix) -> str | None:
        """Why a fix is not good enough, or None."""
        if fix.mode == "none" or fix.lat is None:
            return NO_FIX
        if fix.held:
            return HELD
        if fix.satellites is not None and fix.satellites < self.min_satellites:
            return f"{fix.satellites} satellites"
        good_hdop = fix.hdop is not None and fix.hdop <= self.max_hdop
        good_error = fix.error_m is not None and fix.error_m <= self.max_error_m
        if good_hdop or good_error or (fix.hdop is None and fix.error_m is None):
            return None
        return f"an error of {fix.error_m:g} m" if fix.error_m is not None else f"an HDOP of {fix.hdop:g}"


@dataclass(frozen=True, slots=True)
class TimedFix:
    """A fix with a position, and the monotonic time at which it was received."""

    fix: Fix
    mono_s: float

    @property
    def position(self) -> tuple[float, float]:
        """Latitude and longitude in degrees (WGS-84)."""
        assert self.fix.lat is not None  # noqa: S101  a TimedFix is made only of a fix with a position
        assert self.fix.lon is not None  # noqa: S101  latitude and longitude come together
        return self.fix.lat, self.fix.lon

    @property
    def error_m(self) -> float | None:
        """Estimated error (1 sigma)."""
        return error_of(self.fix)[0]


def accepted_fix(observation: Observation) -> TimedFix | None:
    """The fix in an observation, if it was accepted. The only test of a fix in the agent."""
    fix = observation.value
    if not isinstance(fix, Fix) or observation.doubt is not None or fix.lat is None or fix.mode == "none":
        return None
    return TimedFix(fix, observation.mono_s)


def error_of(fix: Fix) -> tuple[float | None, str | None]:
    """The error of a fix in metres (1 sigma), and its origin: ``receiver``, or ``hdop``."""
    if fix.error_m is not None:
        return fix.error_m, "receiver"
    return (round(fix.hdop * HDOP_M, 1), "hdop") if fix.hdop is not None else (None, None)
