"""An invented city and its devices, as pure functions of a seed and the time. See `simulators.city_map`."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from firmware_bridge.wgs84 import Plane

CENTRE = (33.0, 170.0)
"""In the open ocean: no real place is meant."""
HALF_EAST_M, HALF_NORTH_M = 14_000.0, 10_000.0
DISTRICTS = (
    "Amberfield",
    "Coldquay",
    "Dunmoor",
    "Eastlock",
    "Fernbank",
    "Greywharf",
    "Hightarn",
    "Ironmere",
)
KINDS: tuple[tuple[str, str, float], ...] = (
    ("checkpoint_camera", "ground", 0.30),
    ("patrol_boat", "water", 0.25),
    ("metro_post", "underground", 0.15),
    ("watch_point", "between", 0.20),
    ("drone_ground_station", "air", 0.10),
)
"""Kind, domain and share of the devices."""
PLANE = Plane(*CENTRE)


def river() -> list[tuple[float, float]]:
    """The river from west to east, as [latitude, longitude] every 500 m."""
    steps = range(-28, 29)
    return [
        PLANE.position(step * 500.0, 2_500 * math.sin(step / 9) + 400 * math.sin(step / 2.3))
        for step in steps
    ]


def roads() -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """A ring road and streets."""
    ring = [
        PLANE.position(7_000 * math.sin(math.radians(turn)), 5_500 * math.cos(math.radians(turn)))
        for turn in range(0, 361, 10)
    ]
    yield "Ring Road", ring
    for number, north_m in enumerate(range(-8_000, 8_001, 4_000), 1):
        yield (
            f"East Street {number}",
            [PLANE.position(-HALF_EAST_M, north_m), PLANE.position(HALF_EAST_M, north_m)],
        )
    for number, east_m in enumerate(range(-12_000, 12_001, 4_000), 1):
        yield (
            f"North Street {number}",
            [PLANE.position(east_m, -HALF_NORTH_M), PLANE.position(east_m, HALF_NORTH_M)],
        )


_RIVER_M = [PLANE.metres(*position) for position in river()]
_LEGS = [math.dist(a, b) for a, b in pairwise(_RIVER_M)]
RIVER_LENGTH_M = sum(_LEGS)


def on_river(along_m: float) -> tuple[float, float, float]:
    """East and north in metres, and course in degrees, at a distance from the west end."""
    along_m = max(0.0, min(along_m, RIVER_LENGTH_M - 1))
    for (a, b), length_m in zip(pairwise(_RIVER_M), _LEGS, strict=True):
        if along_m <= length_m:
            share = along_m / length_m
            course = math.degrees(math.atan2(b[0] - a[0], b[1] - a[1])) % 360
            return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), course
        along_m -= length_m
    raise AssertionError("beyond the end of the river")


@dataclass(frozen=True, slots=True)
class CityDevice:
    """One device. ``trouble``: ``no_fix``, ``blind``, ``silent`` or empty."""

    name: str
    kind: str
    domain: str
    ring: str
    site: str
    east_m: float
    north_m: float
    speed_mps: float
    phase: float
    trouble: str

    @property
    def moves(self) -> bool:
        return self.speed_mps > 0

    def place(self, second: float) -> tuple[float, float, float]:
        """East and north in metres, and course in degrees."""
        if self.kind == "patrol_boat":
            turns, along_m = divmod(self.phase * RIVER_LENGTH_M + self.speed_mps * second, RIVER_LENGTH_M)
            back = int(turns) % 2 == 1
            east_m, north_m, course = on_river(RIVER_LENGTH_M - along_m if back else along_m)
            return east_m, north_m, (course + 180 * back) % 360
        if self.moves:
            angle = self.phase * math.tau + second * self.speed_mps / 600
            return (
                self.east_m + 600 * math.sin(angle),
                self.north_m + 600 * math.cos(angle),
                (math.degrees(angle) + 90) % 360,
            )
        return self.east_m, self.north_m, 0.0

    def position(self, second: float, at: datetime) -> dict[str, Any]:
        """The fields of its ``position`` message."""
        east_m, north_m, course = self.place(second)
        lat, lon = PLANE.position(east_m, north_m)
        lat, lon = round(lat, 6), round(lon, 6)
        if not self.moves:
            return {
                "source": "place",
                "mode": "surveyed",
                "trust": "good",
                "age_s": 0.0,
                "lat": lat,
                "lon": lon,
            }
        fix: dict[str, Any] = {"source": "gnss", "lat": lat, "lon": lon, "stale_after_s": 15.0, "time": at}
        if self.trouble == "no_fix":
            return fix | {"mode": "none", "trust": "old", "age_s": round(second % 3600, 1), "satellites": 0}
        return fix | {
            "mode": "3d", "trust": "good", "age_s": 0.4, "satellites": 11, "error_m": 2.5,
            "speed_mps": round(self.speed_mps, 1), "course_deg": round(course, 1),
        }  # fmt: skip

    def birth(self) -> dict[str, Any]:
        """The fields of its ``birth`` message."""
        fields: dict[str, Any] = {
            "kind": self.kind, "ring": self.ring, "domain": self.domain, "site": self.site, "post": self.name,
            "timezone": "Asia/Shanghai", "groups": [],
            "duty": {"unit": f"{self.site} station", "responsible": "watch"},
            "capabilities": {
                "sources": {"cam1": "camera", "gnss": "nmea", "board": "sensor_board"},
                "rules": {"panic": "switch"},
                "outputs": {"board": ["siren", "light"]},
            },
            "software": {"ringpost": "0.1.0"}, "reporting": {"health_every_s": 60.0},
        }  # fmt: skip
        if not self.moves:
            fields["lat"], fields["lon"] = (
                round(one, 6) for one in PLANE.position(self.east_m, self.north_m)
            )
        return fields

    def health(self, at: datetime) -> dict[str, Any]:
        """The fields of its ``health`` message."""
        blind = [{"zone": "gate", "why": "dark", "since": at}] if self.trouble == "blind" else []
        seen = ["quay"] if blind else ["gate", "quay"]
        return {"parts": [], "reasons": self.reasons(), "coverage": {"cam1": {"seen": seen, "blind": blind}}}

    def reasons(self) -> list[str]:
        return {"blind": ["cam1: blind in gate (dark)"], "no_fix": ["position: no fix for 60 s"]}.get(
            self.trouble, []
        )


def make_fleet(count: int, seed: int) -> list[CityDevice]:
    """The devices of a city, the same for the same seed."""
    chance = random.Random(seed)
    fleet: list[CityDevice] = []
    numbers: dict[str, int] = {}
    shares = [share for _, _, share in KINDS]
    speeds: Mapping[str, tuple[float, float]] = {"patrol_boat": (3, 12), "drone_ground_station": (8, 15)}
    for _ in range(count):
        kind, domain, _ = chance.choices(KINDS, shares)[0]
        numbers[kind] = number = numbers.get(kind, 0) + 1
        east_m = chance.uniform(-HALF_EAST_M, HALF_EAST_M)
        north_m = chance.uniform(-HALF_NORTH_M, HALF_NORTH_M)
        far = math.hypot(east_m / 7_000, north_m / 5_500)
        trouble = chance.choices(("", "no_fix", "blind", "silent"), (94, 2, 3, 1))[0]
        fleet.append(
            CityDevice(
                name=f"{kind.split('_')[0]}-{number:04d}", kind=kind, domain=domain,
                ring="inner_city" if far < 0.8 else "ring_road" if far < 1.3 else "perimeter",
                site=DISTRICTS[int((east_m + HALF_EAST_M) / (2 * HALF_EAST_M + 1) * len(DISTRICTS))],
                east_m=east_m, north_m=north_m,
                speed_mps=chance.uniform(*speeds[kind]) if kind in speeds else 0.0,
                phase=chance.random() * (2 if kind == "patrol_boat" else 1), trouble=trouble,
            )
        )  # fmt: skip
    return fleet
