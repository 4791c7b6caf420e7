"""The values that a drone reports over MAVLink, a part of the vocabulary of `readings`. Imports nothing of
ours.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

TextSeverity: TypeAlias = Literal[
    "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"
]
"""MAVLink's severities, the most severe first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drone:
    """A vehicle as its autopilot reports it over MAVLink, by its ``system`` number.

    ``state`` "lost": its heartbeat stopped; the position is then the last known one, ``position_age_s``
    old. A live vehicle has a position only where it is fresh and its estimator, or its receiver, flags it
    valid; ``fix`` is the receiver's own report. ``height_m`` is above home, ``alt_m`` above sea. Angles
    are level and true north, ``gimbal_…`` too, so that yaw 90 and pitch -45 looks down to the east.
    ``loss_pct`` is the recent share of its messages that were lost.
    """

    kind: Literal["drone"] = "drone"
    system: int
    state: Literal["live", "lost"] = "live"
    vehicle: str | None = None
    mode: str | None = None
    armed: bool | None = None
    status: str | None = None
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    height_m: float | None = None
    position_age_s: float | None = None
    fix: Literal["none", "2d", "3d", "dgps", "rtk"] | None = None
    satellites: int | None = None
    hdop: float | None = None
    error_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    climb_mps: float | None = None
    heading_deg: float | None = None
    roll_deg: float | None = None
    pitch_deg: float | None = None
    yaw_deg: float | None = None
    gimbal_roll_deg: float | None = None
    gimbal_pitch_deg: float | None = None
    gimbal_yaw_deg: float | None = None
    battery_pct: int | None = None
    battery_v: float | None = None
    battery_a: float | None = None
    home_lat: float | None = None
    home_lon: float | None = None
    home_alt_m: float | None = None
    loss_pct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusText:
    """A text message from a MAVLink component, such as a failed pre-arm check."""

    kind: Literal["status_text"] = "status_text"
    system: int
    component: int
    severity: TextSeverity
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A picture that a drone's camera took: its number, and the camera's position and direction."""

    kind: Literal["capture"] = "capture"
    system: int
    number: int
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    height_m: float | None = None
    roll_deg: float | None = None
    pitch_deg: float | None = None
    yaw_deg: float | None = None
