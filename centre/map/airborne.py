"""Drones in the air, as their ground station reports them in telemetry. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.runtime.sanitize import as_dict
from centre.map.field_values import coordinates, instant, name, number, whole

STALE_S = 15.0
MAX_DRONES = 20
FLYING_M = 2.0
"""Higher above home than this, a drone is in the air whatever its autopilot calls its state."""


@dataclass(frozen=True, slots=True)
class Airborne:
    """A drone of a ground station; WGS-84 degrees, metres, m/s."""

    system: int
    lat: float
    lon: float
    measured_at: datetime
    lost: bool
    """Its heartbeat stopped; the position is the last known one."""
    armed: bool
    height_m: float | None
    course_deg: float | None
    speed_mps: float | None
    mode: str

    @property
    def flying(self) -> bool:
        return self.armed and not self.lost and (self.height_m is None or self.height_m > FLYING_M)

    def stale(self, now: datetime) -> bool:
        return self.lost or (now - self.measured_at).total_seconds() > STALE_S


def read_drones(values: Iterable[Any], made_at: datetime, before: dict[int, Airborne]) -> dict[int, Airborne]:
    """The drones after a batch of telemetry; ``before`` it, by system number."""
    found = dict(before)
    for value in map(as_dict, values):
        system = whole(value.get("system"), 0, 255)
        place = coordinates(value.get("lat"), value.get("lon"))
        if value.get("kind") != "drone" or system is None or place is None:
            continue
        if system not in found and len(found) >= MAX_DRONES:
            continue
        at = min(instant(value.get("at")) or made_at, made_at)
        found[system] = Airborne(
            system=system,
            lat=place[0],
            lon=place[1],
            measured_at=at - timedelta(seconds=number(value.get("position_age_s"), 0, 10**6) or 0),
            lost=value.get("state") == "lost",
            armed=value.get("armed") is True,
            height_m=number(value.get("height_m"), -1000, 100_000),
            course_deg=number(value.get("course_deg"), 0, 360),
            speed_mps=number(value.get("speed_mps"), 0, 1000),
            mode=name(value.get("mode")),
        )
    return found
