"""What the checker finds, and how long a device has to say the truth."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken invariant: its name, the device, what happened, and when (seconds since the start)."""

    invariant: str
    device: str | None
    detail: str
    t: float | None = None

    def __str__(self) -> str:
        when = "" if self.t is None else f" at {self.t:.1f} s"
        return f"{self.invariant}: {self.device or 'run'}{when}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in seconds, and what the figures of a device may differ by."""

    told_s: float = 30.0
    """From the effect of a fault to the device's word of it."""
    offline_s: float = 60.0
    """From the death of a device, or of its link, to its last will."""
    settle_s: float = 120.0
    """From the end of the last fault until all is delivered and healthy."""
    position_times: float = 3.0
    """No position is off by more than so many times the error that it claims."""
    position_share: float = 0.95
    """So many of the positions of a device are within `position_sigmas` times the error that they claim."""
    position_sigmas: float = 2.0
    """A receiver claims 1 sigma, and its error drifts slowly: it may stay beyond 1 sigma for minutes."""
    unclaimed_m: float = 30.0
    """The error of a position that claims none, such as a surveyed one."""
    clock_slack_s: float = 10.0
    """Beyond the error that a clock claims: the age of a message when the broker takes it."""
    growth_mb: float = 32.0
    """How much the process may grow from the first measurement of its memory to the last."""
