"""A position as a device reported it: with its age, its error and its trust. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from centre.map.field_values import coordinates, name, number, text, whole

STALE_S = 15.0
"""A position without ``stale_after_s`` is stale after this time."""
UNDER_WAY_S = 5.0
"""A report may be this long on its way before its age counts against it."""
MAX_INTERVAL_S = 60.0
"""A device that reports less often is stale between two reports."""
Quality = Literal["good", "low", "old", "none"]


@dataclass(frozen=True, slots=True)
class Position:
    """WGS-84 degrees. ``measured_at``: when the fix was measured, not when its report came."""

    lat: float
    lon: float
    measured_at: datetime
    mode: str
    """``2d``, ``3d``, ``none`` (the last known one), ``surveyed``."""
    source: str
    quality: Quality
    error_m: float | None
    """Radius, 1 sigma; None where the receiver gives none."""
    stale_after_s: float
    speed_mps: float | None = None
    course_deg: float | None = None
    altitude_m: float | None = None
    satellites: int | None = None
    why: str = ""
    """Why the receiver's newest fix was rejected."""

    @property
    def surveyed(self) -> bool:
        """Whether it is that of a fixed post, which does not age."""
        return self.mode == "surveyed"

    def age_s(self, now: datetime) -> float:
        return max(0.0, (now - self.measured_at).total_seconds())

    def stale(self, now: datetime) -> bool:
        """Whether the device may be elsewhere by now: drawn as the last known position."""
        if self.surveyed:
            return False
        return self.quality == "old" or self.mode == "none" or self.age_s(now) > self.stale_after_s


def read_position(
    body: Mapping[str, Any], made_at: datetime, before: Position | None = None
) -> Position | None:
    """The position of a message; None where it has none.

    It holds until the next one is overdue, where one may have been lost: a device that does not move reports
    seldom, and says when it will by ``next_within_s``. Of an older agent ``before`` tells how often.
    """
    place = coordinates(body.get("lat"), body.get("lon"))
    if place is None:
        return None
    measured_at = made_at - timedelta(seconds=number(body.get("age_s"), 0, 10**7) or 0.0)
    every_s = 0.0 if before is None else (measured_at - before.measured_at).total_seconds()
    own_s = number(body.get("stale_after_s"), 1, 86_400) or STALE_S
    next_s = number(body.get("next_within_s"), 0, 86_400)
    wait_s = min(max(every_s, 0.0), MAX_INTERVAL_S) if next_s is None else 2 * next_s
    return Position(
        lat=place[0],
        lon=place[1],
        measured_at=measured_at,
        mode=name(body.get("mode")),
        source=name(body.get("source")),
        quality=_quality(body.get("trust")),
        error_m=number(body.get("error_m"), 0, 10**7),
        stale_after_s=own_s + UNDER_WAY_S + wait_s,
        speed_mps=number(body.get("speed_mps"), 0, 1000),
        course_deg=number(body.get("course_deg"), 0, 360),
        altitude_m=number(body.get("alt_m"), -1000, 100_000),
        satellites=whole(body.get("satellites"), 0, 200),
        why=text(body.get("why")),
    )


def _quality(trust: object) -> Quality:
    match trust:
        case "good" | "low" | "old":
            return trust
        case _:
            return "none"
