"""The rescue beside the demo: a boat and two officers on their way to the place of an alert. Pure.

Only the ways of the forces are made up; what starts them is the alert of the real agent. They move
`SPEED_UP` times as fast as in reality.
"""

import math
from dataclasses import dataclass

SPEED_UP = 10.0
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class Force:
    """A force that waits ``east_m`` and ``north_m`` of the device, and moves at ``speed_mps``."""

    name: str
    kind: str
    domain: str
    east_m: float
    north_m: float
    speed_mps: float


@dataclass(frozen=True, slots=True)
class ForcePosition:
    """Degrees (WGS84), and the metres still to go."""

    force: Force
    lat: float
    lon: float
    to_go_m: float

    @property
    def remaining_s(self) -> float:
        """Seconds of real time until it is there."""
        return self.to_go_m / self.force.speed_mps


FORCES = (
    Force("officers on the bridge", "post", "ground", 40.0, 210.0, 3.0),
    Force("patrol boat", "patrol_boat", "water", -620.0, -260.0, 9.0),
    Force("drone", "drone_ground_station", "air", 900.0, 700.0, 15.0),
)


def positions(lat: float, lon: float, alerted_s: float | None, now_s: float) -> list[ForcePosition]:
    """All forces at ``now_s``; ``alerted_s`` is when the alert at (``lat``, ``lon``) came, None before it.

    The nearest in time comes first.
    """
    found = []
    for force in FORCES:
        distance_m = math.hypot(force.east_m, force.north_m)
        moved_m = 0.0 if alerted_s is None else max(0.0, now_s - alerted_s) * SPEED_UP * force.speed_mps
        share = max(0.0, 1 - moved_m / distance_m)
        found.append(
            ForcePosition(
                force,
                lat + share * force.north_m / METRES_PER_DEGREE,
                lon + share * force.east_m / (METRES_PER_DEGREE * math.cos(math.radians(lat))),
                share * distance_m,
            )
        )
    return sorted(found, key=lambda one: one.remaining_s)
